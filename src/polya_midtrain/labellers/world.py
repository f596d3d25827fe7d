"""A judge for answers of the embedded world: it reads the operations of each part, not the plan's name alone.

What counts, part by part:

- The operations are a plan's, with the part's own digits: as many, with its signs, every operand the digit or the
  earlier result that the plan takes there. Then that plan is used, whatever name stands before it, or none. Where
  digits coincide, two plans may be written alike (a = b makes distribute and regroup one): the name decides between
  them, and where it names neither, no plan is credited.
- Otherwise the name and the form must agree: the plan that is named is used if the operations have its signs and either
  miss one operand at most, or hang together as its do on some other digits (a model may copy them from another part).
- Results are read as they were written: an arithmetic slip does not change which way of working it was, nor does
  working on with the slip.
- A name without its operations, or with another plan's operations that fit nothing, is no use of the plan.
- A part counts once its result is written, so that a chain that was cut off counts for the parts that it finished.

Whether a plan suits its part, and whether the answer is right, is not the judge's concern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from polya_midtrain.labellers.contract import Chain
from polya_midtrain.world import problems
from polya_midtrain.world.families import PLANS, TYPES, Plan
from polya_midtrain.world.problems import Problem

_PIECE = re.compile(r"([a-z]+)|(?<!\d)(\d)([-+*])(\d)=(\d)(?!\d)|(:)\d")
_FORGIVEN = 1  # operands miscopied, where the name agrees

Digits = tuple[int, int, int]
Operation = tuple[int, str, int, int]


@dataclass
class _Work:
    """What was written about one part."""

    word: str = ""
    name: str = ""
    operations: list[Operation] = field(default_factory=list)
    done: bool = False


class WorldJudge:
    """The plans among ``names`` that an answer works by."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_signs: dict[str, list[Plan]] = {}
        for name in names:
            plan = PLANS[name]
            self._by_signs.setdefault("".join(step.op for step in plan.steps), []).append(plan)

    def __str__(self) -> str:
        return "world"

    def labels(self, chains: Sequence[Chain]) -> list[frozenset[str]]:
        """As `contract.Judge` says; raises ValueError where a question is not of the embedded world."""
        asked = {question: problems.parse(question) for question in {chain.question for chain in chains}}
        return [self._used(asked[chain.question], chain.response) for chain in chains]

    def _used(self, problem: Problem, response: str) -> frozenset[str]:
        works = ((place, work) for place, work in enumerate(_parts(response)) if work.done)
        found = {self._plan(work, _digits(problem, place, work.word)) for place, work in works}
        return frozenset(found - {""})

    def _plan(self, work: _Work, digits: Digits | None) -> str:
        """The plan of one part's operations, or ""."""
        plans = {plan.name: plan for plan in self._by_signs.get("".join(sign for _, sign, _, _ in work.operations), ())}
        wrong = {name: _miscopied(plan, digits, work.operations) for name, plan in plans.items()} if digits else {}
        exact = [name for name, count in wrong.items() if count == 0]
        if len(exact) == 1:
            return exact[0]
        if exact:
            return work.name if work.name in exact else ""
        named = plans.get(work.name)
        if named is None:
            return ""
        close = wrong.get(work.name, _FORGIVEN + 1) <= _FORGIVEN
        return work.name if close or _hangs_together(named, work.operations) else ""


def _parts(response: str) -> list[_Work]:
    """The response cut into parts: each begins with a type's word, or where work goes on after a result."""
    parts: list[_Work] = []
    for word, left, sign, right, out, end in _PIECE.findall(response):
        if word in TYPES or not parts or (parts[-1].done and (sign or word in PLANS)):
            parts.append(_Work())
        work = parts[-1]
        if word in TYPES:
            work.word = word
        elif word in PLANS:
            work.name = word
        elif sign:
            work.operations.append((int(left), sign, int(right), int(out)))
        elif end:
            work.done = True
    return parts


def _digits(problem: Problem, place: int, word: str) -> Digits | None:
    """The digits that the work at a place is about: of the part there, unless the word says another one.

    None where no part of the problem has the word.
    """
    if place < len(problem) and word in ("", problem[place].word):
        return problem[place].digits
    return next((part.digits for part in problem if part.word == word), None)


def _miscopied(plan: Plan, digits: Digits, operations: Sequence[Operation]) -> int:
    """Operands that are not what the plan takes there; as many operations as the plan has steps."""
    values = dict(zip("abc", digits, strict=True))
    wrong = 0
    for step, (left, _, right, out) in zip(plan.steps, operations, strict=True):
        wrong += (left != values[step.left]) + (right != values[step.right])
        values[step.out] = out
    return wrong


def _hangs_together(plan: Plan, operations: Sequence[Operation]) -> bool:
    """Whether some digits make the operations the plan's: equal letters equal, earlier results taken up."""
    values: dict[str, int] = {}
    for step, (left, _, right, out) in zip(plan.steps, operations, strict=True):
        if values.setdefault(step.left, left) != left or values.setdefault(step.right, right) != right:
            return False
        values[step.out] = out
    return True
