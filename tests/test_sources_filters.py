"""Filtering with counted reasons, and overlap between training questions and benchmarks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polya_midtrain.common.records import Question
from polya_midtrain.sources.decontaminate import overlaps, runs, tokens
from polya_midtrain.sources.filters import drop
from polya_midtrain.sources.load import load


def questions(*pairs: tuple[str, str]) -> list[Question]:
    return [Question(f"q{i}", asked, gold, "maths", "test") for i, (asked, gold) in enumerate(pairs)]


def test_each_reason_is_counted() -> None:
    rows = questions(
        ("one", "1"),
        (" one ", "1"),  # a duplicate, blanks aside
        ("two", "2"),
        ("two", "3"),  # two golds: both go
        ("two", "2"),
        ("", "4"),
        ("five", " "),
        ("a question beyond the limit", "6"),
        ("求和", "7"),
        ("π and ＄5", "8"),
    )
    kept, reasons = drop(rows, max_chars=12, latin_only=True)
    assert [question.id for question in kept] == ["q0", "q9"]
    assert reasons == {"empty": 2, "conflicting answers": 3, "duplicate": 1, "too long": 1, "not Latin": 1}
    kept, reasons = drop(rows)
    assert [question.id for question in kept] == ["q0", "q7", "q8", "q9"]
    assert reasons == {"empty": 2, "conflicting answers": 3, "duplicate": 1}


@given(st.lists(st.tuples(st.sampled_from(["a", "b ", " b", "c", "", "长"]), st.sampled_from(["1", "2", ""]))))
def test_what_is_kept_is_clean_and_nothing_is_lost(pairs: list[tuple[str, str]]) -> None:
    rows = questions(*pairs)
    kept, reasons = drop(rows, max_chars=5, latin_only=True)
    assert len(kept) + sum(reasons.values()) == len(rows)
    assert [question for question in rows if question in kept] == kept  # in order
    asked = [question.question.strip() for question in kept]
    assert len(set(asked)) == len(asked)
    assert drop(kept, max_chars=5, latin_only=True)[0] == kept
    for question in kept:
        golds = {row.answer for row in rows if row.question.strip() == question.question.strip() and row.answer}
        assert golds == {question.answer}


@pytest.mark.parametrize(
    ("name", "split"), [("gsm8k", "train"), ("gsm8k", "test"), ("math500", "test"), ("olympiadbench", "test")]
)
def test_most_sets_have_nothing_to_drop(public_sets: Path, name: str, split: str) -> None:
    rows = load(name, split, public_sets)
    assert drop(rows) == (rows, {"empty": 0, "conflicting answers": 0, "duplicate": 0})


def test_dapo_has_conflicts_duplicates_and_chinese_rows(public_sets: Path) -> None:
    rows = load("dapo", "train", public_sets)
    assert len({row.question for row in rows}) == 17290
    golds: dict[str, set[str]] = {}
    for row in rows:
        golds.setdefault(row.question.strip(), set()).add(row.answer)
    assert len(golds) == 17255
    assert sum(len(found) > 1 for found in golds.values()) == 12
    kept, reasons = drop(rows)
    assert reasons == {"empty": 0, "conflicting answers": 24, "duplicate": 650}
    assert len(kept) == 17255 - 12
    latin, reasons = drop(rows, latin_only=True)
    assert reasons["not Latin"] == 3432
    assert len(rows) - 3432 == 14485
    # 14,042 distinct questions are not Chinese; 11 of the 12 that conflict are among them
    assert len(latin) == 14042 - 11


@pytest.fixture(scope="module")
def dapo(public_sets: Path) -> tuple[list[Question], set[str]]:
    """The training questions and every run of 25 words in them."""
    rows = load("dapo", "train", public_sets)
    return rows, {part for row in rows for part in runs(tokens(row.question), 25)}


@pytest.mark.parametrize(
    ("name", "exact", "run"),
    [
        ("amc23", 8, 19),
        ("olympiadbench", 10, 52),
        ("math500", 7, 20),
        ("aime24", 0, 1),
        ("aime25", 0, 0),
        ("gsm8k", 0, 0),
    ],
)
def test_benchmark_questions_that_dapo_holds(
    public_sets: Path, dapo: tuple[list[Question], set[str]], name: str, exact: int, run: int
) -> None:
    rows, held = dapo
    benchmark = load(name, "test", public_sets)
    found = overlaps(benchmark, {"dapo": rows})
    shared = {q.id for q in benchmark if any(part in held for part in runs(tokens(q.question), 25))}
    assert Counter(held["dapo"] for held in found.values())["exact"] == exact
    assert len(shared) == run
    # a question below 25 words can be held exactly only, and counts once
    assert set(found) == shared | {key for key, held in found.items() if held == {"dapo": "exact"}}


WORDS = st.lists(st.sampled_from(["let", "x", "be", "3", "find"]), max_size=12)


@given(WORDS, WORDS, st.integers(1, 6))
def test_overlap_is_a_shared_run_or_the_whole(first: list[str], second: list[str], words: int) -> None:
    found = overlaps(questions((" ".join(first), "1")), {"b": questions((" ".join(second), "1"))}, words)
    starts = range(max(0, len(first) - words + 1))
    shared = any(
        first[i : i + words] == second[j : j + words] for i in starts for j in range(max(0, len(second) - words + 1))
    )
    if first and first == second:
        assert found == {"q0": {"b": "exact"}}
    else:
        assert found == ({"q0": {"b": "ngram"}} if shared else {})


def test_markup_and_case_do_not_hide_an_overlap() -> None:
    train = questions(("Find $x_1$ if\n\\(x_1 = 3\\) on $A B$.", "3"), ("Nothing alike", "1"))
    assert overlaps(train, {"a": [], "b": questions(("find x_1, if x_1 = 3 on AB", "3"))}) == {"q0": {"b": "exact"}}


def test_every_benchmark_that_holds_a_question_is_named_and_exact_wins() -> None:
    train = questions(("a b c d", "1"), ("a b c d e", "1"))
    benchmarks = {"first": questions(("a b c d e", "1")), "second": questions(("a b c d", "1"), ("b c d e", "1"))}
    assert overlaps(train, benchmarks, words=4) == {
        "q0": {"first": "ngram", "second": "exact"},
        "q1": {"first": "exact", "second": "ngram"},
    }
    assert overlaps(questions(("x b c d e", "1")), benchmarks, words=4) == {"q0": dict.fromkeys(benchmarks, "ngram")}
    assert overlaps(questions(("x b c d", "1")), benchmarks, words=4) == {}


def test_questions_without_words_overlap_with_nothing() -> None:
    assert overlaps(questions(("???", "1")), {"b": questions(("!", "1"))}) == {}
