"""expected/PROFILE.yaml: the ranges that a run of the profile is held against, and where they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from polya_midtrain.errors import UserError
from polya_midtrain.runtime import yamlfile

FOLDER = Path("expected")
FEWEST = 5  # runs
Column = Literal["value", "diff"]


class Part(BaseModel):
    """Unknown keys are errors: a range under a misspelt name would hold nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Made(Part):
    """Where the ranges come from, in words and numbers that a reader can check."""

    date: str
    machine: str
    commit: str
    version: str
    rule: str


class Shape(Part):
    """What every run's table had. ``arms``: in all of them; ``rows``: how many, None where the runs differ in that."""

    columns: list[str] = Field(min_length=1)
    arms: list[str] = Field(min_length=1)
    rows: int | None


class Cell(Part):
    """A number of a table's pooled row, and the ends of its range in the row's unit. ``mean``: of the runs."""

    arm: str
    phase: str
    benchmark: str
    metric: str
    k: int | None
    reference: str
    column: Column
    mean: float
    low: float
    high: float


class Table(Part):
    """A table's shape and its held numbers."""

    shape: Shape
    cells: list[Cell]


class Expected(Part):
    """The whole file. ``runs``: per run its seeds by setting; ``settings``: a hash per block of params.yaml."""

    profile: str
    made: Made
    runs: list[dict[str, list[int]]] = Field(min_length=FEWEST)
    settings: dict[str, str]
    tables: dict[str, Table] = Field(min_length=1)


def path_of(profile: str) -> Path:
    """The file of a profile."""
    return FOLDER / f"{profile}.yaml"


def load(profile: str) -> Expected:
    """Read and check a profile's file; every fault is a one-line `UserError`."""
    path = path_of(profile)
    if not path.exists():
        known = ", ".join(file.stem for file in sorted(FOLDER.glob("*.yaml"))) or "none"
        raise UserError(
            f"{path}: no such file, so nothing is known of profile {profile!r} (known: {known}); make it with "
            f"`polya expect FOLDER...` from {FEWEST} runs or more"
        )
    return yamlfile.load(path, Expected)


def dump(expected: Expected) -> str:
    """The file's text: a held number a line."""
    header = (
        f"# Made by `polya expect` from {len(expected.runs)} runs with different seeds. Do not edit: run it again.\n"
        "# What `make verify` holds a run of this profile against. Numbers are in the units of the tables.\n"
    )
    return header + yamlfile.dump(
        expected.model_dump(mode="json"), default_flow_style=None, sort_keys=False, allow_unicode=True, width=400
    )


def fingerprint(settings: Mapping[str, Any]) -> dict[str, str]:
    """A short hash per block of the settings, seeds apart; the machine's block has no part in the results."""
    return {
        name: hashlib.sha256(json.dumps(block, sort_keys=True).encode()).hexdigest()[:12]
        for name, block in settings.items()
        if name != "machine"
    }
