"""Which heuristics a trace follows: the labels that the reward model learns from, and from which score on it does."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from polya_midtrain.labellers.contract import Chain
from polya_midtrain.prompting.heuristics import Catalogue
from polya_midtrain.records import Completion, Question, by_id
from polya_midtrain.results.small import Part, Small
from polya_midtrain.traces.preference import Pair

Labeller = Callable[[Completion], frozenset[str]]
STRAYS = 3  # that a trace which follows its heuristic is compared with, at most


class HeldOut(Small, Part):
    """held_out.json of a reward model that was trained here: its scores of the traces of pairs that it did not see."""

    follows: list[float]
    strays: list[float]


def by_world(trace: Completion) -> frozenset[str]:
    """The plans that an embedded-world trace names."""
    from polya_midtrain.world.traces import plans_used

    return frozenset(plans_used(trace.text))


def by_prompt(trace: Completion) -> frozenset[str]:
    """The heuristic that the trace was asked for: real prose carries no other label."""
    return frozenset([trace.heuristic])


LABELLERS: dict[str, Labeller] = {"world": by_world, "prompted": by_prompt}


def pairs(
    traces: Sequence[Completion],
    questions: Sequence[Question],
    catalogue: Catalogue,
    labels: Labeller,
    count: int,
    rng: random.Random,
) -> list[Pair]:
    """Up to ``count`` preference pairs: a trace that follows a heuristic before one of the same question that does not.

    To follow a heuristic is to follow it alone: a trace of several parts that works one of them otherwise strays.
    Truncated traces are left out; a question whose traces all agree gives no pair. Distinct pairs, in random order.
    """
    asked = by_id(questions)
    followed: dict[str, list[tuple[str, frozenset[str]]]] = {}
    for trace in traces:
        if trace.finish == "stop":
            followed.setdefault(trace.question_id, []).append((trace.text, labels(trace)))
    candidates = [
        (heuristic.id, question_id, follows, strays)
        for question_id, group in followed.items()
        for heuristic in catalogue.heuristics
        for follows, strays in _told_apart(group, heuristic.id, rng)
    ]
    candidates = sorted(set(candidates))
    rng.shuffle(candidates)
    return [
        Pair(catalogue.get(name), asked[question_id].question, follows, strays)
        for name, question_id, follows, strays in candidates[:count]
    ]


def _told_apart(group: list[tuple[str, frozenset[str]]], heuristic: str, rng: random.Random) -> list[tuple[str, str]]:
    """For each trace that follows the heuristic, some that do not, at random."""
    with_it = [text for text, found in group if found == {heuristic}]
    without = [text for text, found in group if found != {heuristic}]
    return [(text, stray) for text in with_it for stray in rng.sample(without, min(STRAYS, len(without)))]


def threshold(held: HeldOut, precision: float) -> float | None:
    """The lowest score with this ``precision``: of the traces that have it or more, so large a share follow.

    None where no score has it. Of either kind there are as many, so the precision among other traces is another where
    their kinds are not.
    """
    scored = sorted([*((score, 1) for score in held.follows), *((score, 0) for score in held.strays)], reverse=True)
    found, right = None, 0
    for count, (score, follows) in enumerate(scored, start=1):
        right += follows
        last = count == len(scored) or scored[count][0] < score
        if last and right / count >= precision:
            found = score
    return found


def share(rows: Sequence[Completion], asked: Mapping[str, Question]) -> float | None:
    """The share of the traces under a heuristic that work by it alone; None where that cannot be read, as in prose."""
    from polya_midtrain.labellers.world import WorldJudge
    from polya_midtrain.world.families import PLANS

    ours = [row for row in rows if row.heuristic in PLANS and asked[row.question_id].source == "world"]
    chains = [Chain(asked[row.question_id].question, row.text) for row in ours]
    used = WorldJudge(PLANS).labels(chains)
    return sum(found == {row.heuristic} for row, found in zip(ours, used, strict=True)) / len(ours) if ours else None
