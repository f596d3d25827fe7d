"""Filtering with counted reasons, and overlap between training questions and benchmarks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polya_midtrain.question_sets import normal
from polya_midtrain.question_sets.decontaminate import How, numbers, overlaps
from polya_midtrain.question_sets.filters import drop
from polya_midtrain.question_sets.load import load
from polya_midtrain.records import Question

BENCHMARKS = ("gsm8k", "math500", "aime24", "aime25", "amc23", "olympiadbench")
OTHERS = ("humaneval", "musr_murder", "musr_object", "musr_team")


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


@given(st.lists(st.tuples(st.sampled_from(["a", "b ", " B.", "c", "", "长"]), st.sampled_from(["1", "1.0", "2", ""]))))
def test_what_is_kept_is_clean_and_nothing_is_lost(pairs: list[tuple[str, str]]) -> None:
    rows = questions(*pairs)
    kept, reasons = drop(rows, max_chars=5, latin_only=True)
    assert len(kept) + sum(reasons.values()) == len(rows)
    assert [question for question in rows if question in kept] == kept  # in order
    asked = [normal.question(question.question) for question in kept]
    assert len(set(asked)) == len(asked)
    assert drop(kept, max_chars=5, latin_only=True)[0] == kept
    for question, spelt in zip(kept, asked, strict=True):
        golds = {normal.gold(row.answer) for row in rows if normal.question(row.question) == spelt and row.answer}
        assert golds == {normal.gold(question.answer)}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Find $A B$ if $x^2 + 3x = 4$.", "find AB,\nif \\(x^2+3x=4\\)", True),
        ("What is $\\dfrac{1}{2}$ of $1,000$ \\text{cm}?", "What is $\\frac{1}{2}$ of 1000 cm?", True),
        ("Let $\\left| m - n \\right| = 2$", "Let $|m-n|=2$.", True),
        ("How many ① and ５?", "How many 1 and 5?", True),
        ("Sum 1, 2 and 3", "Sum 12 and 3", False),
        ("Is it 3.5?", "Is it 35?", False),
        ("The roots of $z^4 + z^2 + 1$", "The roots of $z^4 - z^2 + 1$", False),
        ("Find $5!$", "Find $5$", False),
        ("All $x \u2264 5$", "All $x \u2265 5$", False),
        ("?!?", "???", False),
    ],
)
def test_one_spelling_of_a_question(first: str, second: str, same: bool) -> None:
    assert (normal.question(first) == normal.question(second)) is same


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("7", "7.0", True),
        ("$1,234$", "1234", True),
        ("1/2", "0.50", True),
        ("\\dfrac{1}{3}", "\\frac{1}{3}", True),
        ("(1, 2)", "(1,2)", True),
        ("7", "8", False),
        ("[0,1)", "(0,1]", False),
        ("1e400000000", "2e400000000", False),  # at once: not computed
        ("1/0", "2/0", False),
        ("nan", "inf", False),
    ],
)
def test_one_key_of_a_gold(first: str, second: str, same: bool) -> None:
    assert (normal.gold(first) == normal.gold(second)) is same


def test_another_spelling_is_a_duplicate_and_another_gold_of_it_a_conflict() -> None:
    rows = questions(
        ("What is $2+2$?", "4"),
        ("what is 2 + 2", "4.0"),  # a duplicate: its gold is the same number
        ("Find $x^2+bx$.", "168672"),
        ("Find $x^2 + bx$.", "88352"),  # both go
        ("What is $2-2$?", "0"),
    )
    kept, reasons = drop(rows)
    assert [question.id for question in kept] == ["q0", "q4"]
    assert reasons == {"empty": 0, "conflicting answers": 2, "duplicate": 1}


@pytest.mark.parametrize(("name", "split"), [("gsm8k", "train"), *((name, "test") for name in (*BENCHMARKS, *OTHERS))])
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
    spelt = {normal.question(row.question) for row in rows}
    kept, reasons = drop(rows)
    assert reasons == {"empty": 0, "conflicting answers": 54, "duplicate": 1674}
    assert len(kept) == len(rows) - 54 - 1674 == 16189
    assert len(spelt) == 16189 + 25  # that conflict
    latin, reasons = drop(rows, latin_only=True)
    assert reasons == {"empty": 0, "conflicting answers": 50, "duplicate": 1095, "not Latin": 3432}
    assert len(latin) == 13340
    asked = {row.id for row in latin}
    assert not {"dapo/train/1462", "dapo/train/10181"} & asked  # one question, with 168672 and 88352
    assert len(asked & {"dapo/train/7060", "dapo/train/7080"}) == 2  # 2n - 1 and 2n + 1: two questions


# Rows of DAPO that hold a whole benchmark question with a request behind it, and which.
WHOLE = {
    15843: "amc23/test/17",
    15867: "amc23/test/5",
    16744: "amc23/test/16",
    13496: "olympiadbench/test/1678",
    14284: "olympiadbench/test/1930",
    17761: "math500/test/test/algebra/1282.json",
}


def test_what_dapo_and_gsm8k_share_with_the_benchmarks(public_sets: Path) -> None:
    """Every pair was looked at: none is of two questions, none of the named rows is missed."""
    benchmarks = {name: load(name, "test", public_sets) for name in (*BENCHMARKS, *OTHERS)}
    rows, _ = drop(load("dapo", "train", public_sets), latin_only=True)
    found = overlaps(rows, benchmarks)
    assert {row: found[f"dapo/train/{row}"] for row in WHOLE} == {
        row: {held.partition("/")[0]: ("whole", next(q for q in benchmarks[held.partition("/")[0]] if q.id == held))}
        for row, held in WHOLE.items()
    }
    assert len(found) == 116
    assert Counter(f"{name}/{hit.how}" for hits in found.values() for name, hit in hits.items()) == {
        "olympiadbench/exact": 9,
        "olympiadbench/whole": 27,
        "olympiadbench/ngram": 29,
        "amc23/exact": 8,
        "amc23/whole": 7,
        "amc23/ngram": 16,
        "math500/exact": 7,
        "math500/whole": 2,
        "math500/ngram": 11,
    }
    assert overlaps(load("gsm8k", "train", public_sets), benchmarks) == {}


def how(train: list[Question], benchmarks: dict[str, list[Question]], words: int = 25) -> dict[str, dict[str, How]]:
    """The hits without the benchmarks' questions."""
    found = overlaps(train, benchmarks, words)
    return {key: {name: hit.how for name, hit in hits.items()} for key, hits in found.items()}


WORDS = st.lists(st.sampled_from(["let", "x", "be", "3", "find"]), max_size=12)


@given(WORDS, WORDS, st.integers(1, 6))
def test_overlap_is_a_shared_run_or_the_whole(first: list[str], second: list[str], words: int) -> None:
    found = how(questions((" ".join(first), "1")), {"b": questions((" ".join(second), "1"))}, words)
    starts = range(max(0, len(first) - words + 1))
    shared = any(
        first[i : i + words] == second[j : j + words] for i in starts for j in range(max(0, len(second) - words + 1))
    ) and set(second) & {"3"} <= set(first)
    if first == second or normal.question(" ".join(first)) == normal.question(" ".join(second)):
        assert found == {"q0": {"b": "exact"}}
    elif "whole" in found.get("q0", {}).values():
        assert normal.question(" ".join(second)) in normal.question(" ".join(first))
    else:
        assert found == ({"q0": {"b": "ngram"}} if shared else {})


def test_markup_and_case_do_not_hide_an_overlap() -> None:
    train = questions(("Find $x_1$ if\n\\(x_1 = 3\\) on $A B$.", "3"), ("Nothing alike", "1"))
    assert how(train, {"a": [], "b": questions(("find x_1, if x_1 = 3 on AB", "3"))}) == {"q0": {"b": "exact"}}


def test_every_benchmark_that_holds_a_question_is_named_and_exact_wins() -> None:
    train = questions(("a b c d", "1"), ("a b c d e", "1"))
    benchmarks = {"first": questions(("a b c d e", "1")), "second": questions(("a b c d", "1"), ("b c d e", "1"))}
    assert how(train, benchmarks, words=4) == {
        "q0": {"first": "ngram", "second": "exact"},
        "q1": {"first": "exact", "second": "ngram"},
    }
    assert how(questions(("x b c d e", "1")), benchmarks, words=4) == {"q0": dict.fromkeys(benchmarks, "ngram")}
    assert how(questions(("x b c d", "1")), benchmarks, words=4) == {}
    [hit] = overlaps(questions(("x b c d e", "1")), {"second": benchmarks["second"]}, words=4)["q0"].values()
    assert hit.question == benchmarks["second"][1]


SHORT = "How many primes less than $100$ are divisible by $5$?"


@pytest.mark.parametrize(
    ("asked", "held", "found"),
    [
        (f"{SHORT} Fill in the number of primes.", SHORT, "whole"),
        ("Answer this: how many primes less than 100 are divisible by 5, if any?", SHORT, "whole"),
        ("How many primes less than $100$ are divisible by $50$? Fill in the number.", SHORT, None),
        ("How many primes less than $200$ are divisible by $5$? Fill in the number.", SHORT, None),
        ("Triangle ABC has the sides 3, 4, 5. Find the area of it.", "Find the area of it.", None),  # too little
    ],
)
def test_a_short_question_with_words_around_it_is_found_with_its_own_numbers_only(
    asked: str, held: str, found: str | None
) -> None:
    assert how(questions((asked, "1")), {"b": questions((held, "1"))}) == ({"q0": {"b": found}} if found else {})


def test_a_template_with_other_numbers_and_a_drawing_alike_are_no_overlap() -> None:
    story = (
        "Max bought stamps at the office. Some had a snowflake, some had a truck, and some had a rose. He bought {} of "
    )
    story += "the first, {} more of the second and as many of the third as of both. How many stamps did Max buy in all?"
    held = {"b": questions((story.format(16, 3), "1"))}
    assert how(questions(("Now, in short: " + story.format(16, 3)[:-8], "1")), held) == {"q0": {"b": "ngram"}}
    assert how(questions(("Now, in short: " + story.format(11, 9)[:-8], "1")), held) == {}
    drawing = "[asy] " + "draw((0,0)--(1,1)); " * 9 + "[/asy]"
    assert how(questions((f"{drawing} Is it 3?", "1")), {"b": questions((f"Is 3 on it? {drawing}", "1"))}) == {}
    assert numbers(f"{drawing} $3x = 1,000$ or 2.5") == {"3", "1000", "2.5"}


def test_questions_without_words_overlap_with_nothing() -> None:
    assert how(questions(("???", "1")), {"b": questions(("!", "1"))}) == {}
