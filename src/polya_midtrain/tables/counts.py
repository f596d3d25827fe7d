"""Read results/counts/*.json, the results that tables of scores are made from.

One file per arm, small enough for git: per phase, training seed, benchmark and question the samples n, how many were
right (c), cut off by the token limit (truncated) and without an answer (no_answer).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from polya_midtrain.errors import UserError
from polya_midtrain.runtime import yamlfile
from polya_midtrain.tables.row import PHASES, Phase

COUNTED = ("c", "truncated", "no_answer")
REMEDY = "run `dvc repro`"

M = TypeVar("M", bound=BaseModel)


class CountRow(BaseModel):
    """One question, answered n times by one trained policy."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    phase: Phase
    seed: int
    benchmark: str
    question: str
    n: int = Field(ge=1)
    c: int = Field(ge=0)
    truncated: int = Field(ge=0)
    no_answer: int = Field(ge=0)

    @model_validator(mode="after")
    def _possible(self) -> CountRow:
        if self.c + self.no_answer > self.n or self.truncated > self.n:
            raise ValueError(f"c, no_answer and truncated do not fit into the n={self.n} samples of {self.question!r}")
        return self


class CountFile(BaseModel):
    """One arm's file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    arm: str
    samples: int = Field(ge=1)
    decoding: dict[str, Any]
    rows: list[CountRow] = Field(min_length=1)


class Cell(NamedTuple):
    """One arm, phase and benchmark: integer counts, each (seeds, questions)."""

    correct: NDArray[np.int64]
    truncated: NDArray[np.int64]
    no_answer: NDArray[np.int64]


@dataclass(frozen=True)
class Counts:
    """The counts of some arms, in the order asked for, with the same questions in every arm, phase and seed."""

    arms: tuple[str, ...]
    benchmarks: tuple[str, ...]
    seeds: tuple[int, ...]
    samples: int
    decoding: dict[str, Any]
    cells: Mapping[tuple[str, str, str], Cell]  # (arm, phase, benchmark)


def read(
    folder: Path,
    arms: Sequence[str],
    benchmarks: Sequence[str],
    seeds: Sequence[int],
    phases: Sequence[Phase] = PHASES,
) -> Counts:
    """Read and check the files of ``arms``, which may hold more benchmarks than are asked for; other files are ignored.

    Besides the shape of each file it is checked that all hold every phase, seed and benchmark, the same questions
    and number of samples, and the same decoding settings: otherwise arms could not be compared. The arms of the
    ablations have no phase "before". Every fault is a one-line `UserError`.
    """
    files = {arm: _read_file(folder / f"{arm}.json", arm) for arm in arms}
    first_arm, first = next(iter(files.items()))
    cells: dict[tuple[str, str, str], Cell] = {}
    questions: dict[str, list[str]] = {}
    for arm, file in files.items():
        path = folder / f"{arm}.json"
        if (file.samples, file.decoding) != (first.samples, first.decoding):
            raise UserError(f"{path}: samples or decoding differ from those of {first_arm}.json; {REMEDY}")
        rows: dict[tuple[str, str, int], dict[str, CountRow]] = {}
        for row in file.rows:
            rows.setdefault((row.phase, row.benchmark, row.seed), {})[row.question] = row
        for phase, benchmark in product(phases, benchmarks):
            grid = []
            for seed in seeds:
                by_question = rows.get((phase, benchmark, seed), {})
                expected = questions.setdefault(benchmark, sorted(by_question))
                where = f"benchmark {benchmark!r}, phase {phase}, seed {seed}"
                if len(by_question) < 2:
                    raise UserError(f"{path}: {len(by_question)} questions for {where}, at least 2 needed; {REMEDY}")
                if sorted(by_question) != expected:
                    raise UserError(f"{path}: other questions than elsewhere for {where}; {REMEDY}")
                grid.append([by_question[question] for question in expected])
            cells[arm, phase, benchmark] = Cell(
                *(np.array([[getattr(row, name) for row in line] for line in grid]) for name in COUNTED)
            )
    return Counts(tuple(arms), tuple(benchmarks), tuple(seeds), first.samples, first.decoding, cells)


def parse(path: Path, model: type[M], needed: str = "") -> tuple[M, str]:
    """A results file and its text; every fault is a one-line `UserError`. ``needed``: why it should be there."""
    try:
        text = path.read_text(encoding="utf-8")
        return model.model_validate(json.loads(text)), text
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing{f', and {needed}' if needed else ''}; {REMEDY}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        line = getattr(error, "lineno", 1)
        raise UserError(f"{path}:{line}: not valid JSON; delete the file and {REMEDY}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        raise refusal(path, text, list(fault["loc"]), fault["msg"].removeprefix("Value error, ")) from error


def _read_file(path: Path, arm: str) -> CountFile:
    file, text = parse(path, CountFile, f"arm {arm!r} is in params.yaml")
    if file.arm != arm:
        raise refusal(path, text, ["arm"], f"expected {arm!r}, found {file.arm!r}")
    seen = set()
    for number, row in enumerate(file.rows):
        key = (row.phase, row.seed, row.benchmark, row.question)
        if key in seen:
            raise refusal(path, text, ["rows", number], f"question {row.question!r} is there twice")
        if row.n != file.samples:
            raise refusal(path, text, ["rows", number, "n"], f"{row.n}, but the file's samples are {file.samples}")
        seen.add(key)
    return file


def refusal(path: Path, text: str, location: list[int | str], what: str) -> UserError:
    """The error that names what is wrong with a results file's field, and its line."""
    return yamlfile.refusal(path, text, location, f"{what}; delete the file and {REMEDY}")
