"""results/composition.json: what stage compose leaves and table composition reads.

Counts only, never texts: per arm, phase and benchmark matrices with a row per training seed and a column per question.
Of the combinations only the most frequent keep their counts, by seed and by question, which is what intervals need.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import model_validator

from polya_midtrain.results.small import PHASES, Part, Small, refusal

Matrix = list[list[int]]
FIELDS = ("correct", "composed", "composed_correct", "spare", "new", "new_correct", "silent")


class Asked(Part):
    """A benchmark's questions. ``parts`` of each, and how many heuristics a right answer ``needs`` at least, where that
    is known; ``single``: questions of one part, in which nothing can be combined and which are left out."""

    questions: list[str]
    parts: list[int] | None
    needs: list[int] | None
    single: int


class PhaseCounts(Part):
    """Chains of one arm before or after RL: by benchmark, seeds x questions.

    ``correct`` ones; ``composed``: with two heuristics or more; ``spare``: correct, with more heuristics than a right
    answer needs (where that is known); ``new``: composed, in a combination that stood together in no mid-training chain
    of the arm; ``silent``: the judge found nothing. ``distinct``: how many different combinations.
    """

    correct: dict[str, Matrix]
    composed: dict[str, Matrix]
    composed_correct: dict[str, Matrix]
    spare: dict[str, Matrix]
    new: dict[str, Matrix]
    new_correct: dict[str, Matrix]
    silent: dict[str, Matrix]
    distinct: int


class Frequency(Part):
    """Chains that have just this combination: all, and correct ones; by benchmark, then by seed or by question."""

    chains: int
    correct: int
    by_seed: dict[str, list[int]]
    by_question: dict[str, list[int]]


class Frequent(Part):
    """A frequent combination: the mid-training chains that hold all of it, with others or not, and its frequencies."""

    midtraining: int
    before: Frequency
    after: Frequency


class Trained(Part):
    """The arm's mid-training chains: all, composed ones, how many have which combination, on how many questions."""

    rows: int
    questions: int
    composed: int
    combinations: dict[str, int]


class ArmResult(Part):
    """One arm. ``frequent``: the most frequent combinations after RL, then those before RL."""

    midtraining: Trained
    before: PhaseCounts
    after: PhaseCounts
    frequent: dict[str, Frequent]


class Validation(Part):
    """The judge on ``chains`` whose heuristics are known, see `labellers.validate.measure`.

    ``label``: what is known of them; ``habits``: the writers' faults, where writers wrote them.
    """

    label: str
    habits: dict[str, float]
    chains: int
    heuristics: dict[str, list[int]]
    confused: dict[str, dict[str, int]]
    composed: list[int]


class Composition(Small, Part):
    """The whole file. ``samples``: chains per arm, phase, seed and question."""

    judge: str
    samples: int
    decoding: dict[str, Any]
    seeds: list[int]
    benchmarks: dict[str, Asked]
    validation: Validation
    arms: dict[str, ArmResult]

    @model_validator(mode="after")
    def _shaped(self) -> Composition:
        for arm, result in self.arms.items():
            for name, asked in self.benchmarks.items():
                due = (len(self.seeds), len(asked.questions))
                for place, shape in self._shapes(result, name):
                    if shape != due:
                        raise ValueError(f"arm {arm}, {place}, {name}: {shape} counts, but seeds x questions are {due}")
        return self

    @staticmethod
    def _shapes(result: ArmResult, name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        for phase in PHASES:
            for field in FIELDS:
                matrix: Matrix = getattr(getattr(result, phase), field).get(name, [])
                yield f"{phase}.{field}", (len(matrix), *sorted({len(row) for row in matrix}))
            for combination, frequent in result.frequent.items():
                found: Frequency = getattr(frequent, phase)
                yield combination, (len(found.by_seed.get(name, [])), len(found.by_question.get(name, [])))

    def text(self) -> str:
        """A line a key, and lists on one line."""
        return _lines(self.model_dump(), 1) + "\n"


def read(path: Path, arms: Sequence[str], benchmarks: Sequence[str], seeds: Sequence[int]) -> Composition:
    """Read and check the file; every fault is a one-line `UserError`. More arms than are asked for may be there."""
    found = Composition.read(path)
    for name in arms:
        if name not in found.arms:
            raise refusal(path, ["arms", name], "missing, and it is an arm of the main table in params.yaml")
    for place, ours, theirs in (
        ("benchmarks", list(benchmarks), list(found.benchmarks)),
        ("seeds", list(seeds), found.seeds),
    ):
        if ours != theirs:
            raise refusal(path, [place], f"{theirs}, but params.yaml has {ours}")
    return found


def _lines(value: Any, depth: int) -> str:
    if not isinstance(value, dict) or not value:
        return json.dumps(value)
    lines = (f"{' ' * depth}{json.dumps(key)}: {_lines(item, depth + 1)}" for key, item in value.items())
    return "{\n" + ",\n".join(lines) + "\n" + " " * (depth - 1) + "}"
