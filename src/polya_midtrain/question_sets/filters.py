"""Dropping questions that cannot be used, with the reasons counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from polya_midtrain.question_sets import normal
from polya_midtrain.records import Question

EMPTY = "empty"
TOO_LONG = "too long"
NOT_LATIN = "not Latin"
CONFLICT = "conflicting answers"
DUPLICATE = "duplicate"

# Chinese characters only: Greek letters are mathematics, and full-width punctuation occurs in English rows.
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def drop(
    questions: Sequence[Question], max_chars: int | None = None, latin_only: bool = False
) -> tuple[list[Question], dict[str, int]]:
    """The usable questions in their order, and how many rows fell to each reason.

    A row falls to the first reason that holds: no question or no gold; a question above ``max_chars`` characters; a
    question with Chinese characters, if ``latin_only``; a question that stands with another gold elsewhere, whose rows
    all fall; a repetition of an earlier row. Questions and golds are compared as `normal` spells them.
    """
    reasons = Counter({EMPTY: 0, CONFLICT: 0, DUPLICATE: 0})
    if max_chars is not None:
        reasons[TOO_LONG] = 0
    if latin_only:
        reasons[NOT_LATIN] = 0
    fit = []
    for question in questions:
        asked = question.question.strip()
        if not asked or not question.answer.strip():
            reasons[EMPTY] += 1
        elif max_chars is not None and len(asked) > max_chars:
            reasons[TOO_LONG] += 1
        elif latin_only and _HAN.search(asked):
            reasons[NOT_LATIN] += 1
        else:
            fit.append(question)
    golds: dict[str, set[Any]] = {}
    for question in fit:
        golds.setdefault(normal.question(question.question), set()).add(normal.gold(question.answer))
    kept = []
    seen = set()
    for question in fit:
        asked = normal.question(question.question)
        if len(golds[asked]) > 1:
            reasons[CONFLICT] += 1
        elif asked in seen:
            reasons[DUPLICATE] += 1
        else:
            seen.add(asked)
            kept.append(question)
    return kept, dict(reasons)
