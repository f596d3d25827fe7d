"""Grading the study's completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polya_midtrain.common.records import Completion, Graded, Question, extended
from polya_midtrain.grading.pool import grade_many


def grade_rows(rows: Sequence[Completion], golds: Mapping[str, Question], workers: int) -> list[Graded]:
    """Every completion with its verdict, in order."""
    items = [(row.text, golds[row.question_id].answer, golds[row.question_id].kind) for row in rows]
    verdicts = grade_many(items, workers)
    return [
        extended(row, Graded, correct=verdict.correct, extracted=verdict.extracted, reason=verdict.reason)
        for row, verdict in zip(rows, verdicts, strict=True)
    ]
