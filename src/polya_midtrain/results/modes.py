"""results/modes/ARM.json: next-token distributions at branch points, and what one policy-gradient step does to them.

State columns: tokens above the threshold, how many of them fit, exp of the entropy, and the probability on fitting and
unfit approaches. Per step, changes of probability: ``moved``, of the sampled approach (for ``expected``: of all fitting
ones together); ``fitting`` and ``unfit``, of all approaches of that kind that are not among the moved; what is missing
to 0 went to other tokens. ``others`` counts the fitting modes (for a sampled approach: without it), and ``risen`` how
many of them rose. ``table_moved`` is what free logits move at the same rate; the other ``table_`` columns are what free
logits do when they move as far as the model did. null: no such step, where no approach is known to be unfit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from polya_midtrain.results.small import PHASES, OfArm, refusal

STATE = ("modes", "fitting_modes", "effective", "fitting", "unfit")
# A sampled approach that fits, with advantage +1 or -1; one that does not, with -1; the expectation over a group.
STEPS = ("positive", "negative", "negative_unfit", "expected")
MOVED = (
    "moved",
    "fitting",
    "unfit",
    "risen",
    "others",
    "table_moved",
    "table_fitting",
    "table_unfit",
    "table_risen",
)
COLUMNS = ("phase", "seed", "question", *STATE, *(f"{step}.{what}" for step in STEPS for what in MOVED))


class ModesFile(OfArm):
    """One arm's file: settings, and a row per phase, training seed and question, named by ``columns``."""

    LINES: ClassVar = ("rows",)

    branch: Literal["world", "start"]
    questions: int
    threshold: float
    learning_rate: float
    generations: int
    seed: int
    columns: list[str]
    rows: list[list[Any]] = Field(min_length=1)


@dataclass(frozen=True)
class Measured:
    """What was measured: per arm and phase an array (seeds, questions, columns), NaN where there was no such step."""

    settings: ModesFile  # of the first arm; the rest agree
    seeds: tuple[int, ...]
    questions: tuple[str, ...]
    cells: Mapping[tuple[str, str], NDArray[np.float64]]


def read(folder: Path, arms: Sequence[str], seeds: Sequence[int]) -> Measured:
    """Read and check the files of ``arms``: same settings and questions, every phase and seed. Faults: `UserError`."""
    cells: dict[tuple[str, str], NDArray[np.float64]] = {}
    first: ModesFile | None = None
    questions: list[str] = []
    for arm in arms:
        path = folder / f"{arm}.json"
        file = ModesFile.of(folder, arm)
        first = first or file
        if _settings(file) != _settings(first):
            raise refusal(path, ["columns"], f"other settings or columns than those of {first.arm}.json")
        rows: dict[tuple[str, int], dict[str, list[Any]]] = {}
        for number, row in enumerate(file.rows):
            if len(row) != len(file.columns) or not all(x is None or isinstance(x, (int, float)) for x in row[3:]):
                raise refusal(path, ["rows", number], "not a row of numbers as long as the columns")
            rows.setdefault((row[0], row[1]), {})[row[2]] = row[3:]
        for phase in PHASES:
            grid = []
            for seed in seeds:
                found = rows.get((phase, seed), {})
                questions = questions or sorted(found)
                if sorted(found) != questions or len(questions) < 2:
                    raise refusal(path, ["rows"], f"no or other questions for phase {phase}, seed {seed}")
                grid.append([found[question] for question in questions])
            cells[arm, phase] = np.array(grid, dtype=float)
    assert first is not None
    return Measured(first, tuple(seeds), tuple(questions), cells)


def _settings(file: ModesFile) -> dict[str, Any]:
    return file.model_dump(exclude={"arm", "rows"})
