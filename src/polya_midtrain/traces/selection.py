"""Which responses an arm learns from (paper, 5 and 6)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from polya_midtrain.grading.verdict import WRONG
from polya_midtrain.records import Graded, Scored
from polya_midtrain.seeding import derive

G = TypeVar("G", bound=Graded)
Key = tuple[str, str]  # (question id, heuristic)
Places = Mapping[Key, int]  # of a heuristic in the order of a question, from 0


def candidates(rows: Sequence[G]) -> list[G]:
    """What is worth scoring: correct responses, and wrong answers under a heuristic that also led to a correct one.

    The latter are the other half of matched pairs (see `pairs`). A response without an answer is no wrong answer.
    """
    right = {(row.question_id, row.heuristic) for row in rows if row.correct and row.heuristic}
    return [row for row in rows if row.correct or (row.reason == WRONG and (row.question_id, row.heuristic) in right)]


def places(questions: Iterable[str], heuristics: Sequence[str], order: str, seed: int) -> dict[Key, int]:
    """Where each heuristic stands for each question: as given (``order`` catalogue), or as drawn for it (question)."""
    found: dict[Key, int] = {}
    for question in questions:
        rng = random.Random(derive(seed, "order", question))
        ordered = rng.sample(heuristics, len(heuristics)) if order == "question" else heuristics
        found |= {(question, name): place for place, name in enumerate(ordered)}
    return found


def best_per_heuristic(rows: Iterable[Scored], ordered: Places, n: int) -> list[Scored]:
    """The best-scoring correct response per (question, heuristic), for the first ``n`` heuristics of each question.

    Ties go to the earlier sample. At most ``n`` rows a question; a pair without a correct response has none. Order:
    place of the heuristic, then question as it first appears.
    """
    best: dict[Key, Scored] = {}
    for row in rows:
        if not row.correct or not _within(row, ordered, n):
            continue
        held = best.get((row.question_id, row.heuristic))
        if held is None or _better(row, held):
            best[row.question_id, row.heuristic] = row
    return sorted(best.values(), key=lambda row: ordered[row.question_id, row.heuristic])


def unprompted(rows: Iterable[G], n: int, seed: int) -> list[G]:
    """Up to ``n`` correct responses without a heuristic per question, drawn by ``seed``.

    STaR's set (Zelikman et al. 2022), and of the teacher's responses the set of distillation. The answer alone
    decides, as in the paper: no adherence score takes part. Order: every question's first, every question's second ...
    """
    found: dict[str, list[G]] = {}
    for row in rows:
        if row.correct and not row.heuristic:
            found.setdefault(row.question_id, []).append(row)
    chosen = []
    for question_id, group in found.items():
        rng = random.Random(derive(seed, "star", question_id))
        chosen.append(rng.sample(sorted(group, key=lambda row: row.sample), min(n, len(group))))
    return [row for turn in itertools.zip_longest(*chosen) for row in turn if row is not None]


def pairs(rows: Iterable[Scored], ordered: Places, n: int, tolerance: float) -> list[tuple[Scored, Scored]]:
    """(right, wrong) responses to the same question under the same heuristic: arms that differ in correctness alone.

    Of all pairs whose lengths in tokens differ by at most ``tolerance`` of the longer, the best-scoring by the sum of
    the two adherence scores: both sides went through the same filter. A (question, heuristic) without such a pair has
    none, in either arm. Heuristics and order as of `best_per_heuristic`.
    """
    groups: dict[Key, list[Scored]] = {}
    for row in rows:
        if _within(row, ordered, n) and (row.correct or row.reason == WRONG):
            groups.setdefault((row.question_id, row.heuristic), []).append(row)
    chosen = []
    for group in groups.values():
        close = [
            (right, wrong)
            for right in group
            for wrong in group
            if right.correct and not wrong.correct and _gap(right, wrong) <= tolerance
        ]
        if close:
            chosen.append(max(close, key=_together))
    return sorted(chosen, key=lambda pair: ordered[pair[0].question_id, pair[0].heuristic])


def mixed(chosen: Sequence[tuple[Scored, Scored]], seed: int) -> list[Scored]:
    """Of matched pairs the right side of one half, drawn by ``seed``, and the wrong side of the other; as many rows."""
    order = list(range(len(chosen)))
    random.Random(derive(seed, "mixed")).shuffle(order)
    wrong = set(order[: len(order) // 2])
    return [pair[index in wrong] for index, pair in enumerate(chosen)]


def fit(rows: Sequence[G], seed: int, *, most_rows: int | None = None, most_tokens: int | None = None) -> list[G]:
    """The first of ``rows``, question by question, up to a number of rows or of response tokens.

    Questions come in an order drawn by ``seed`` that is the same for every arm, each with all of its rows, so that an
    arm of more approaches covers fewer questions: approaches x questions at a fixed budget (paper). The last question
    may be cut. With tokens, the rows stop before the first that would exceed them.
    """
    places = {question: random.Random(derive(seed, "budget", question)).random() for question in _questions(rows)}
    chosen: list[G] = []
    tokens = 0
    for row in sorted(rows, key=lambda row: places[row.question_id]):
        if most_rows is not None and len(chosen) >= most_rows:
            break
        if most_tokens is not None and tokens + row.tokens > most_tokens:
            break
        chosen.append(row)
        tokens += row.tokens
    return chosen


def spread(rows: Sequence[G], shares: Mapping[str, int], total: int) -> list[G]:
    """``total`` of the rows, as many of each question as ``shares`` says where there are, then others in order.

    The unprompted or distilled set that has the rows of one by heuristics, on its questions as far as it can.
    """
    left = dict(shares)
    taken = []
    for index, row in enumerate(rows):
        if left.get(row.question_id, 0) > 0:
            left[row.question_id] -= 1
            taken.append(index)
    held = set(taken)
    others = [index for index in range(len(rows)) if index not in held]
    return [rows[index] for index in sorted([*taken, *others[: max(0, total - len(taken))]])][:total]


def repeated(rows: Sequence[G], total: int) -> list[G]:
    """``total`` rows, these again and again: an epoch of them is as many optimiser steps as one of so many others."""
    return list(itertools.islice(itertools.cycle(rows), total))


def _within(row: Graded, ordered: Places, n: int) -> bool:
    return ordered.get((row.question_id, row.heuristic), n) < n


def _questions(rows: Iterable[Graded]) -> list[str]:
    return list(dict.fromkeys(row.question_id for row in rows))


def _better(row: Scored, held: Scored) -> bool:
    return (row.score, -row.sample) > (held.score, -held.sample)


def _together(pair: tuple[Scored, Scored]) -> tuple[float, int, int]:
    right, wrong = pair
    return right.score + wrong.score, -right.sample, -wrong.sample


def _gap(one: Graded, other: Graded) -> float:
    return abs(one.tokens - other.tokens) / max(one.tokens, other.tokens)
