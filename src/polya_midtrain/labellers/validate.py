"""How well a judge judges: its labels against chains whose heuristics are known otherwise.

In the embedded world a writer with known plans writes the chains, and then errs as a small model errs (`Habits`). What
the writer did is the label, whether or not it can still be read: a plan whose operations are spoilt, or that was begun
and cut off, was used all the same, and a plan that was only named was not. So a judge of what is written cannot be
right about all of them. In prose nobody knows; there the heuristic that a trace was asked for stands in, a noisy label:
a model may ignore what it was asked for, or use other heuristics besides.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from polya_midtrain.labellers.contract import Chain, Judge
from polya_midtrain.records import Graded, Question
from polya_midtrain.seeding import derive
from polya_midtrain.world import families, problems, traces
from polya_midtrain.world.families import PLANS, Plan
from polya_midtrain.world.problems import Part

NONE = ""  # no heuristic: what stands on the empty side of a confusion
DIGITS = "0123456789"
_WHOLE = re.compile(r"\d[-+*]\d=\d")


class Labelled(NamedTuple):
    """A chain and the heuristics that it is known, or taken, to use."""

    chain: Chain
    used: frozenset[str]


@dataclass(frozen=True, slots=True)
class Habits:
    """How the writers of labelled chains err, as probabilities per part (``single`` and ``cut``: per chain).

    The faults of a part are drawn apart from each other, so that they meet. The rates are chosen, not fitted. In a run
    of profile tiny, policies erred less on questions of two and three parts (a wrong operand in one part of forty, a
    slip in one of a hundred), and more on four parts, which are longer than all that they were trained on: some skip a
    part there, and take other digits than the part's in up to half of the rest.
    """

    single: float = 0.5  # one plan for all parts; otherwise any plan for each
    slip: float = 0.06  # a wrong result, which later operations take up (every second time) or not
    miscopied: float = 0.1  # an operand that is another digit
    strayed: float = 0.06  # all of it with the digits of any part
    left_out: float = 0.03  # an operation missing
    misnamed: float = 0.04  # the name of another plan
    unnamed: float = 0.03  # no name
    unworked: float = 0.03  # a name and a result, no operation: the plan is not used
    feigned: float = 0.03  # operations with the plan's signs and any digits: the plan is not used
    cut: float = 0.08  # the chain ends anywhere


def world_chains(names: Sequence[str], count: int, lengths: Sequence[int], seed: int, habits: Habits) -> list[Labelled]:
    """``count`` answers by plans of ``names`` to random problems of ``lengths`` parts, lengths in turn."""
    rng = random.Random(derive(seed, "labelled chains"))
    return [_labelled(rng, names, lengths[index % len(lengths)], habits) for index in range(count)]


def _labelled(rng: random.Random, names: Sequence[str], parts: int, habits: Habits) -> Labelled:
    problem = problems.sample(rng, parts)
    only = rng.choice(names) if rng.random() < habits.single else None
    plans = [only or rng.choice(names) for _ in problem]
    box = traces.write(problem, plans).rpartition(" ")[2]
    written = [_written(rng, part, plan, names, problem, habits) for part, plan in zip(problem, plans, strict=True)]
    text = "".join(piece for piece, _ in written) + f" {box}"
    end = rng.randrange(len(text)) if rng.random() < habits.cut else len(text)
    used, begin = set(), 0
    for (piece, worked), plan in zip(written, plans, strict=True):
        if worked and _WHOLE.search(text[begin : min(end, begin + len(piece))]):
            used.add(plan)
        begin += len(piece)
    return Labelled(Chain(problems.text(problem), text[:end]), frozenset(used))


def _written(
    rng: random.Random, part: Part, name: str, names: Sequence[str], problem: Sequence[Part], habits: Habits
) -> tuple[str, bool]:
    """One part as `traces.write` writes it, with the writer's faults; and whether the plan was worked at all."""

    def errs(rate: float) -> bool:
        return rng.random() < rate

    source = rng.choice(problem) if errs(habits.strayed) else part
    work, _, result = traces.write((source,), [name]).rpartition(" ")[0].rpartition(":")
    pieces = work.split()[2:]  # after the part's word and the plan's name
    if errs(habits.slip):
        pieces, result = _slipped(rng, PLANS[name], source)
    if errs(habits.miscopied):
        place, at = rng.randrange(len(pieces)), rng.choice((0, 2))  # the operands of "3+5=8"
        old = pieces[place]
        pieces[place] = old[:at] + _other(rng, old[at]) + old[at + 1 :]
    if errs(habits.left_out):
        del pieces[rng.randrange(len(pieces))]
    feigned, unworked = errs(habits.feigned), errs(habits.unworked)
    if feigned:
        pieces = ["".join(rng.choice(DIGITS) if sign.isdigit() else sign for sign in piece) for piece in pieces]
    if unworked:
        pieces = []
    shown = rng.choice([other for other in names if other != name] or [name]) if errs(habits.misnamed) else name
    kept = [part.word, *([] if errs(habits.unnamed) else [shown]), *pieces]
    return "".join(f" {piece}" for piece in kept) + f":{result}", not feigned and not unworked


def _slipped(rng: random.Random, plan: Plan, part: Part) -> tuple[list[str], str]:
    """The operations and the result with a wrong result at one place, which is taken up or not."""
    values = {letter: str(digit) for letter, digit in zip("abc", part.digits, strict=True)}
    place, taken_up = rng.randrange(len(plan.steps)), rng.random() < 0.5
    pieces = []
    for index, step in enumerate(plan.steps):
        left, right = values[step.left], values[step.right]
        right_out = str(families.apply(int(left), step.op, int(right)))
        out = _other(rng, right_out) if index == place else right_out
        values[step.out] = out if taken_up else right_out
        pieces.append(f"{left}{step.op}{right}={out}")
    return pieces, values["u"] + values["v"]


def _other(rng: random.Random, digit: str) -> str:
    return rng.choice([other for other in DIGITS if other != digit])


def intended(
    rows: Iterable[Graded], asked: Mapping[str, Question], names: Sequence[str], count: int, seed: int
) -> list[Labelled]:
    """Up to ``count`` traces that were asked for a heuristic of ``names``, that heuristic being the noisy label."""
    prompted = [row for row in rows if row.heuristic in names]
    chosen = random.Random(derive(seed, "labelled chains")).sample(prompted, min(count, len(prompted)))
    return [Labelled(Chain(asked[row.question_id].question, row.text), frozenset([row.heuristic])) for row in chosen]


def measure(judge: Judge, labelled: Sequence[Labelled], names: Sequence[str]) -> dict[str, Any]:
    """The judge's hits and misses, as counts of chains.

    ``heuristics``: per id [found and used, found and not used, used and not found]; ``confused``: how often a heuristic
    that was used was missed and which was found instead, "" standing for none on either side; ``composed``: the chains
    with two heuristics or more [by label and judge, by judge alone, by label alone, by neither].
    """
    found = judge.labels([item.chain for item in labelled])
    pairs = [(item.used, labels) for item, labels in zip(labelled, found, strict=True)]
    confused: dict[str, Counter[str]] = {name: Counter() for name in (*names, NONE)}
    for used, labels in pairs:
        missed, invented = sorted(used - labels), sorted(labels - used)
        if missed or invented:
            for name in missed or [NONE]:
                confused[name].update(invented or [NONE])
    two = Counter((len(used) > 1, len(labels) > 1) for used, labels in pairs)
    return {
        "chains": len(labelled),
        "heuristics": {
            name: [
                sum(name in used and name in labels for used, labels in pairs),
                sum(name not in used and name in labels for used, labels in pairs),
                sum(name in used and name not in labels for used, labels in pairs),
            ]
            for name in names
        },
        "confused": {name: dict(sorted(instead.items())) for name, instead in confused.items() if instead},
        "composed": [two[True, True], two[False, True], two[True, False], two[False, False]],
    }
