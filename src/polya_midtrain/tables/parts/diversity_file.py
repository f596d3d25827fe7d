"""Read results/counts/diversity.json: the scores that table diversity is made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from polya_midtrain import paths
from polya_midtrain.science.bootstrap import Array
from polya_midtrain.tables.counts import parse, refusal


class Entry(BaseModel):
    """One training set under one kernel: its rows, and the scores of draws of equal size (none: too few rows)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kernel: str
    arm: str
    rows: int = Field(ge=0)
    draws: list[float]


class Pair(BaseModel):
    """Two arms under one kernel, at equal size: scores of (arm, other) as a whole and on halves of the questions, and
    per question (id, traces, score of arm, score of other). Empty where there is nothing to compare."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kernel: str
    arm: str
    other: str
    whole: list[float] = Field(max_length=2)
    halves: list[tuple[float, float]]
    questions: list[tuple[str, int, float, float]]


class DiversityFile(BaseModel):
    """results/counts/diversity.json (see stages/diversity.py)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    embedding: Literal["world", "hub", "words"]
    size: int
    resamples: int
    kernels: list[str] = Field(min_length=1)
    sets: list[Entry]
    pairs: list[Pair]

    def scores(self, arm: str, kernel: str) -> Array:
        """The scores of an arm's draws; none for a set with too few rows."""
        found = [entry.draws for entry in self.sets if (entry.arm, entry.kernel) == (arm, kernel)]
        return np.array(found[0])


def read(arms: Sequence[str]) -> DiversityFile:
    """The file of stage diversity, checked to hold each of ``arms`` under every kernel; faults are a `UserError`."""
    path = paths.DIVERSITY
    file, text = parse(path, DiversityFile)
    held = {(entry.arm, entry.kernel): entry for entry in file.sets}
    for arm in arms:
        for kernel in file.kernels:
            if (arm, kernel) not in held:
                raise refusal(path, text, ["sets"], f"no entry of arm {arm!r}, which is in params.yaml, by {kernel}")
            if len(held[arm, kernel].draws) not in (0, file.resamples):
                raise refusal(path, text, ["sets"], f"arm {arm!r} has not {file.resamples} draws by {kernel}")
    return file
