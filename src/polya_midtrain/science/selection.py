"""Which responses an arm learns from (paper, 5 and 6)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from polya_midtrain.records import Scored
from polya_midtrain.seeding import derive


def best_per_heuristic(rows: Iterable[Scored], heuristics: Sequence[str]) -> list[Scored]:
    """The best-scoring correct response per (question, heuristic), for the given heuristics only.

    Ties go to the earlier sample. At most ``len(heuristics)`` rows a question; a pair without a correct response has
    none. Order: heuristic as given, then question as it first appears.
    """
    best: dict[tuple[str, str], Scored] = {}
    for row in rows:
        if not row.correct or row.heuristic not in heuristics:
            continue
        held = best.get((row.heuristic, row.question_id))
        if held is None or (row.score, -row.sample) > (held.score, -held.sample):
            best[row.heuristic, row.question_id] = row
    return sorted(best.values(), key=lambda row: heuristics.index(row.heuristic))


def unprompted(rows: Iterable[Scored], n: int, seed: int) -> list[Scored]:
    """STaR's set (Zelikman et al. 2022): up to ``n`` correct unprompted responses per question, drawn by ``seed``.

    The answer alone decides, as in the paper: no adherence score takes part.
    """
    found: dict[str, list[Scored]] = {}
    for row in rows:
        if row.correct and not row.heuristic:
            found.setdefault(row.question_id, []).append(row)
    chosen = []
    for question_id, group in found.items():
        rng = random.Random(derive(seed, "star", question_id))
        chosen += rng.sample(sorted(group, key=lambda row: row.sample), min(n, len(group)))
    return chosen
