"""results/counts/ARM.json: the results that tables of scores are made from.

Small enough for git: per phase, training seed, benchmark and question the samples n, how many were right (c), cut off
by the token limit (truncated) and without an answer (no_answer).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from polya_midtrain.errors import UserError
from polya_midtrain.results.small import PHASES, REMEDY, OfArm, Part, Phase, refusal

if TYPE_CHECKING:
    from polya_midtrain.records import Answer

COUNTED = ("c", "truncated", "no_answer")


class CountRow(Part):
    """One question, answered n times by one trained policy."""

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


class CountFile(OfArm):
    """One arm's file."""

    LINES: ClassVar = ("rows",)

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

    def of_runs(self, runs: Sequence[int]) -> Counts:
        """The counts of some of the training runs."""
        places = [self.seeds.index(run) for run in runs]
        cells = {key: Cell(*(part[places] for part in cell)) for key, cell in self.cells.items()}
        return replace(self, seeds=tuple(runs), cells=cells)


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


def _read_file(path: Path, arm: str) -> CountFile:
    file = CountFile.of(path.parent, arm)
    seen = set()
    for number, row in enumerate(file.rows):
        key = (row.phase, row.seed, row.benchmark, row.question)
        if key in seen:
            raise refusal(path, ["rows", number], f"question {row.question!r} is there twice")
        if row.n != file.samples:
            raise refusal(path, ["rows", number, "n"], f"{row.n}, but the file's samples are {file.samples}")
        seen.add(key)
    return file


def counted(answers: Iterable[Answer]) -> list[CountRow]:
    """The rows that count graded answers, in the order in which their questions come."""
    groups: dict[tuple[Any, ...], list[Answer]] = {}
    for answer in answers:
        groups.setdefault((answer.phase, answer.seed, answer.benchmark, answer.question_id), []).append(answer)
    return [
        CountRow(
            phase=phase,
            seed=seed,
            benchmark=benchmark,
            question=question,
            n=len(found),
            c=sum(answer.correct for answer in found),
            truncated=sum(answer.finish == "length" for answer in found),
            no_answer=sum(answer.extracted == "" for answer in found),
        )
        for (phase, seed, benchmark, question), found in groups.items()
    ]
