"""Which heuristics a trace follows: the labels that the reward model learns from."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from polya_midtrain.prompting.heuristics import Catalogue
from polya_midtrain.records import Completion, Question, by_id
from polya_midtrain.traces.preference import Pair

Labeller = Callable[[Completion], frozenset[str]]


def by_world(trace: Completion) -> frozenset[str]:
    """The plans that an embedded-world trace works by: it writes their names and their operations."""
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
        for follows, strays in _one_each(group, heuristic.id, rng)
    ]
    candidates = sorted(set(candidates))
    rng.shuffle(candidates)
    return [
        Pair(catalogue.get(name), asked[question_id].question, follows, strays)
        for name, question_id, follows, strays in candidates[:count]
    ]


def _one_each(group: list[tuple[str, frozenset[str]]], heuristic: str, rng: random.Random) -> list[tuple[str, str]]:
    """For each trace that follows the heuristic, one that does not, at random."""
    with_it = [text for text, found in group if heuristic in found]
    without = [text for text, found in group if heuristic not in found]
    return [(text, rng.choice(without)) for text in with_it] if without else []
