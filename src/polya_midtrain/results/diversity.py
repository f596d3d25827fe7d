"""results/counts/diversity.json: Vendi scores of training sets, see stage diversity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from polya_midtrain import paths
from polya_midtrain.results.small import Part, Small, refusal


class Entry(Part):
    """One training set under one kernel: its rows, and the scores of ``resamples`` draws of ``size`` rows each (none
    where the set is smaller)."""

    kernel: str
    arm: str
    rows: int = Field(ge=0)
    draws: list[float]


class Pair(Part):
    """An arm that learns from the teacher (``other``) and the self-generated ``arm`` that it is matched to, under one
    kernel. Empty where there is nothing to compare.

    ``whole``: the scores of all traces, as many of either arm; ``halves``: the same for ``resamples`` random halves of
    the questions; ``questions``: per question that both answer at least twice (id, m, score, score of other) of m
    traces each, m being the smaller count.
    """

    kernel: str
    arm: str
    other: str
    whole: list[float] = Field(max_length=2)
    halves: list[tuple[float, float]]
    questions: list[tuple[str, int, float, float]]


class DiversityFile(Small, Part):
    """The file. ``embedding``: its kind; ``kernels``: their names, the leading one first."""

    LINES: ClassVar = ("sets", "pairs")

    embedding: Literal["world", "hub", "words"]
    size: int
    resamples: int
    kernels: list[str] = Field(min_length=1)
    sets: list[Entry]
    pairs: list[Pair]

    def scores(self, arm: str, kernel: str) -> NDArray[np.float64]:
        """The scores of an arm's draws; none for a set with too few rows."""
        found = [entry.draws for entry in self.sets if (entry.arm, entry.kernel) == (arm, kernel)]
        return np.array(found[0])


def read(arms: Sequence[str]) -> DiversityFile:
    """The file of stage diversity, checked to hold each of ``arms`` under every kernel; faults are a `UserError`."""
    path = paths.DIVERSITY
    file = DiversityFile.read(path)
    held = {(entry.arm, entry.kernel): entry for entry in file.sets}
    for arm in arms:
        for kernel in file.kernels:
            if (arm, kernel) not in held:
                raise refusal(path, ["sets"], f"no entry of arm {arm!r}, which is in params.yaml, by {kernel}")
            if len(held[arm, kernel].draws) not in (0, file.resamples):
                raise refusal(path, ["sets"], f"arm {arm!r} has not {file.resamples} draws by {kernel}")
    return file
