"""Judged answers to multiple choice: tests/cases/choice.jsonl, and the published questions of MuSR in many forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polya_midtrain.grading import grade_many, verify
from polya_midtrain.grading.reasoning import spoken
from polya_midtrain.question_sets.load import load

FILE = Path(__file__).parent / "cases" / "choice.jsonl"
CASES: list[dict[str, Any]] = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_judged_answer(case: dict[str, Any]) -> None:
    found = verify(case["completion"], case["gold"], "choice")
    assert found.correct == case["correct"], f"{case['kind']}: {case['completion']!r} gave {found}"


def test_the_cases_are_many_and_of_both_kinds() -> None:
    assert len({(case["completion"], case["gold"]) for case in CASES}) == len(CASES) >= 280
    assert sum(case["correct"] for case in CASES) >= 150
    assert sum(not case["correct"] for case in CASES) >= 80


# Ways of answering, with {letter}, {number} and {text} of the choice and {other} for the letter of another one.
FORMS = [
    "\\boxed{{{letter}}}",
    "\\boxed{{\\text{{{text}}}}}",
    "**Answer: {letter}**\n\nI hope this answer is helpful.",
    "ANSWER: {number}",
    "ANSWER: {number} - {text}",
    "The correct answer is ({letter}) {text}.",
    "The answer is {letter} because a person moved.\n\nWhy the other option is wrong: it is too far.",
    "I would pick {letter} — a safe choice.",
    "It is not {other}, the answer is {letter}.",
    "ANSWER: {other}\n\nNo, wait, it is {letter}.",
    "<think>The answer is {other}.</think>\n\n{text}",
    "So {letter} is correct.\n\nNote that {other} is a common distractor.",
]
BETWEEN = [
    "ANSWER: {letter} or {other}",
    "ANSWER: both {other} and {letter}",
    "<think>\\boxed{{{letter}}}</think>",
    "The answer is not {letter}.",
    "\\boxed{{{other}}} and \\boxed{{{letter}}}",
]


@pytest.mark.parametrize("name", ["musr_murder", "musr_object", "musr_team"])
def test_every_question_of_musr_in_many_forms(public_sets: Path, name: str) -> None:
    right: list[tuple[str, str, str]] = []
    wrong: list[tuple[str, str, str]] = []
    for question in load(name, "test", public_sets):
        gold = json.loads(question.answer)
        choices: list[str] = gold["choices"]
        index = "ABCDE".index(gold["answer"])
        other = next(place for place, text in enumerate(choices) if text != choices[index])
        fields = {"letter": "ABCDE"[index], "number": index + 1, "text": choices[index], "other": "ABCDE"[other]}
        swapped = {"letter": "ABCDE"[other], "number": other + 1, "text": choices[other], "other": "ABCDE"[index]}
        right += [(_said(form, fields), question.answer, "choice") for form in FORMS]
        wrong += [(_said(form, swapped), question.answer, "choice") for form in FORMS]
        wrong += [(_said(form, fields), question.answer, "choice") for form in BETWEEN]
    verdicts = grade_many(right, 1)
    assert [item for item, verdict in zip(right, verdicts, strict=True) if not verdict.correct] == []
    assert [item for item, verdict in zip(wrong, grade_many(wrong, 1), strict=True) if verdict.correct] == []


def _said(form: str, fields: dict[str, Any]) -> str:
    return f"I go through the story first.\n\n{form.format(**fields)}"


@pytest.mark.parametrize(
    ("completion", "said"),
    [
        ("B", "B"),
        ("<think>A</think>B", "B"),
        ("A <think>no</think> B", "A  B"),
        ("A</think>B", "B"),
        ("<think>A</think>B</think>C", "C"),
        ("B <think>or is it", "B "),
        ("<think><think>A</think>B", "B"),
        ("<THINKING>\nA\n</THINKING>\nB", "\nB"),
        ("x < think > y", "x < think > y"),
        ("<think>" * 50_000, ""),
        ("</think>" * 50_000 + "B", "B"),
    ],
)
def test_reasoning_is_not_speech(completion: str, said: str) -> None:
    assert spoken(completion) == said
