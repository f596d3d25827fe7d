"""The verifier on the real golds of every public set of mathematics."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from math_verify import parse
from math_verify import verify as math_verify

from polya_midtrain.grading import grade_many
from polya_midtrain.grading.maths import boxed
from polya_midtrain.question_sets.adapters import ADAPTERS
from polya_midtrain.question_sets.load import load
from polya_midtrain.records import Question

# The sets of which there is a published copy to read; the readers of the others are tested on rows of ours.
SPLITS = [
    (name, split)
    for name, adapter in ADAPTERS.items()
    if adapter.kind == "maths"
    for split, files in adapter.splits.items()
    if all(file.sha256 is not None for file in files.files)
]


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_every_gold_verifies_against_itself(public_sets: Path, name: str, split: str) -> None:
    questions = load(name, split, public_sets)
    verdicts = grade_many([(f"So {boxed(q.answer)}.", q.answer, q.kind) for q in questions], workers=2)
    # no exception is needed: wrapped in a box, each gold of each set is read and equals itself
    assert [q.id for q, verdict in zip(questions, verdicts, strict=True) if not verdict.correct] == []


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_a_wrong_answer_fails_on_every_gold(public_sets: Path, name: str, split: str) -> None:
    questions = load(name, split, public_sets)
    questions = questions[:: max(1, len(questions) // 250)]
    wrong = [(f"So {boxed(_wrong(q))}.", q.answer, q.kind) for q in questions]
    verdicts = grade_many(wrong, workers=2)
    assert {verdict.reason for verdict in verdicts} == {"wrong"}


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_the_gold_of_another_question_is_wrong(public_sets: Path, name: str, split: str) -> None:
    golds = [re.sub(r"\s|[.]0$|^x=", "", question.answer) for question in load(name, split, public_sets)]
    pairs = [(other, gold) for other, gold in zip(golds[1:] + golds[:1], golds, strict=True) if other != gold]
    verdicts = grade_many([(f"So {boxed(other)}.", gold, "maths") for other, gold in pairs], workers=2)
    assert [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.correct] == []


NOTATIONS: dict[str, Callable[[str], str]] = {
    "a full stop": lambda gold: f"{gold}.",
    "dollars": lambda gold: f"${gold}$",
    "braces": lambda gold: f"{{{gold}}}",
    "display": lambda gold: "\\displaystyle " + gold.replace("\\frac", "\\dfrac"),
    "a unit": lambda gold: gold if re.search(r"text|mbox|\.$", gold) else f"{gold}\\text{{ units}}",
    "Unicode": lambda gold: (
        re.sub(r"\\sqrt\{(\d)\}", r"√\1", re.sub(r"\^\{?\\circ\}?", "°", gold))
        .replace("-", "−")
        .replace("\\pi", "π")
        .replace("\\infty", "∞")
        .replace("\\cup", "∪")
    ),
}


@pytest.mark.parametrize("notation", NOTATIONS)
def test_golds_in_another_notation_are_right(public_sets: Path, notation: str) -> None:
    golds = [question.answer for name in ("math500", "olympiadbench") for question in load(name, "test", public_sets)]
    items = [(f"So {boxed(NOTATIONS[notation](gold))}.", gold, "maths") for gold in golds]
    verdicts = grade_many(items, workers=2)
    assert [item for item, verdict in zip(items, verdicts, strict=True) if not verdict.correct] == []


def _wrong(question: Question) -> str:
    return str(int(question.answer) + 1) if re.fullmatch(r"-?\d+", question.answer) else "17/23"


def test_verdicts_are_those_of_a_plain_loop(public_sets: Path) -> None:
    """Golds of MATH-500 and OlympiadBench with one of their numbers changed, or in another notation."""
    questions = (load("math500", "test", public_sets) + load("olympiadbench", "test", public_sets))[::25]
    pairs = []
    for question in questions:
        gold = question.answer
        slip = re.sub(r"\d+", lambda match: str(int(match.group()) + 2), gold, count=1)
        pairs += [(answer, gold) for answer in (slip, gold.replace("\\frac", "\\dfrac"), gold.replace(",", ", "))]
    ours = [v.correct for v in grade_many([(boxed(answer), gold, "maths") for answer, gold in pairs], workers=2)]
    plain = [math_verify(parse(boxed(gold)), parse(boxed(answer))) for answer, gold in pairs]
    differing = [pair for pair, a, b in zip(pairs, ours, plain, strict=True) if a != b]
    assert differing == []
    assert 0 < sum(ours) < len(ours)


def _bench() -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "bench" / "verify_ratio.py"
    spec = importlib.util.spec_from_file_location("verify_ratio", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("source", ["public sets", "generated"])
def test_the_bench_compares_like_with_like(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, source: str
) -> None:
    data = request.getfixturevalue("public_sets") if source == "public sets" else None
    bench = _bench()
    monkeypatch.setattr(bench, "ROUNDS", 2)
    monkeypatch.setattr(bench, "QUESTIONS", 6)
    result = bench.measure(data)
    assert result["answers"] == 2 * 6 * bench.SAMPLES
    assert result["disagreements"] == 0
    assert result["golds"] == source
    assert result["verify_ratio"] == pytest.approx(result["answers_per_second"] / result["plain_answers_per_second"])
