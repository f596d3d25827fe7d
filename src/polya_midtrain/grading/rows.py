"""Grading the study's completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from polya_midtrain.grading.pool import grade_many
from polya_midtrain.grading.timeouts import Timeouts
from polya_midtrain.params import Params
from polya_midtrain.records import Completion, Graded, Question, extended
from polya_midtrain.runtime import workers


def grade_rows(rows: Sequence[Completion], golds: Mapping[str, Question], params: Params, work: Path) -> list[Graded]:
    """Every completion with its verdict, in order; ``work`` is the stage's scratch folder."""
    items = [(row.text, golds[row.question_id].answer, golds[row.question_id].kind) for row in rows]
    verdicts = grade_many(
        items,
        workers.worker_count(params.machine.workers),
        weak=params.machine.sandbox == "weak",
        timeouts=Timeouts(work / "timeouts"),
    )
    return [
        extended(row, Graded, correct=verdict.correct, extracted=verdict.extracted, reason=verdict.reason)
        for row, verdict in zip(rows, verdicts, strict=True)
    ]
