"""Recorded verdicts on maths answers: what is right was decided by hand, not by a library in the same environment.

A row of cases/maths.jsonl is a gold with answers that are right and answers that are wrong, in a notation of the
benchmark that `form` names; `boxed` ones are put in a box, others are whole completions. Rows with an `id` have the
property of the public report that `source` names, in words of ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polya_midtrain.grading import grade_many

ROWS = [json.loads(line) for line in (Path(__file__).parent / "cases" / "maths.jsonl").read_text().splitlines()]


def answers(row: dict[str, Any]) -> list[tuple[str, bool]]:
    found = [(text, side == "right") for side in ("right", "wrong") for text in row.get(side, ())]
    return [(f"Thus \\boxed{{{text}}}." if row.get("boxed") else text, correct) for text, correct in found]


@pytest.fixture(scope="module")
def verdicts() -> dict[tuple[str, str], bool]:
    items = [(text, row["gold"], "maths") for row in ROWS for text, _ in answers(row)]
    graded = grade_many(items, workers=2)
    return {(text, gold): verdict.correct for (text, gold, _), verdict in zip(items, graded, strict=True)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.get('id', row['kind'])}-{row['gold']}")
def test_the_verdict_is_the_recorded_one(row: dict[str, Any], verdicts: dict[tuple[str, str], bool]) -> None:
    assert [(text, verdicts[text, row["gold"]]) for text, _ in answers(row)] == answers(row)


def test_the_table_holds_many_answers_in_the_forms_of_the_benchmarks() -> None:
    assert sum(len(answers(row)) for row in ROWS) > 900
    assert {row.get("form") for row in ROWS} >= {"GSM8K", "MATH-500", "AIME", "OlympiadBench", "DAPO"}
    assert sum("id" in row for row in ROWS) == 39
