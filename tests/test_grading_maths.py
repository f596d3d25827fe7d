"""The maths grader: which answer is taken, and that its shortcuts agree with math-verify."""

from __future__ import annotations

import time

import pytest
import sympy  # type: ignore[import-untyped]
from hypothesis import example, given, settings
from hypothesis import strategies as st
from math_verify import parse
from math_verify import verify as math_verify

from polya_midtrain.grading import answers, equality, maths, notation
from polya_midtrain.grading.verdict import Verdict


def judged_by_math_verify(answer: str, gold: str) -> bool:
    return math_verify(parse(maths.boxed(gold)), parse(maths.boxed(answer)))


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"so \boxed{12}", "12"),
        (r"\boxed{1} then \boxed{2}, done", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed {7}", "7"),
        (r"\boxed{3} and \boxed{4", None),  # cut off in the last box
        (r"\boxed{3} and \boxed{\frac{1}{2}", None),
        (r"\boxed{3} and \boxed{ }", None),  # a blank box is no answer, and the one before it was taken back
        (r"the form \boxed{ is asked: \boxed{3}", "3"),
        (r"\fbox{3}", "3"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),  # an escaped brace closes nothing
        (r"\\boxed{8}", "8"),  # escaped twice
        (r"a \\ \boxed{9}", "9"),
        ("no box", None),
        (r"\boxed{", None),
        (r"\boxed{}", None),
        (r"} \boxed{6}", "6"),
    ],
)
def test_the_last_box_holds_the_answer(text: str, content: str | None) -> None:
    assert maths.last_boxed(text) == content


balanced = st.recursive(
    st.text("ab1 ,+\\$", min_size=1).map(lambda text: text.replace("\\", "")),
    lambda inner: st.lists(inner.map(lambda text: "{" + text + "}") | inner, min_size=1, max_size=4).map("".join),
    max_leaves=12,
)


@given(st.text(max_size=60), balanced.filter(str.strip), st.text("ab1 $.", max_size=20))
def test_any_balanced_content_comes_back_whole(before: str, content: str, after: str) -> None:
    assert maths.last_boxed(before.rstrip("\\") + maths.boxed(content) + after) == content


def test_looking_for_the_box_takes_linear_time() -> None:
    for piece in ("\\boxed{", "{", "}", "\\", "\\boxed" + " " * 50, "\\boxed{1"):
        start = time.process_time()
        maths.quick(piece * 100_000, "1")
        assert time.process_time() - start < 60  # of the CPU: it would be hours if it were not linear


digits = st.integers(-12, 12) | st.integers(-(10**7), 10**7)
below = st.sampled_from([1, 2, 3, 4, 6])
plain_numbers = st.one_of(
    digits.map(str),
    digits.map(lambda n: f"{n:06d}"),
    st.integers(-99, 99).map(lambda n: f"{n * 1000 + 234:,}"),
    st.tuples(st.sampled_from(["", "-"]), st.sampled_from(["\\frac", "\\dfrac", "\\tfrac"]), digits, below).map(
        lambda part: f"{part[0]}{part[1]}{{{part[2]}}}{{{part[3]}}}"
    ),
    st.tuples(digits, below).map(lambda part: f"{part[0]}/{part[1]}"),
    st.tuples(digits, st.sampled_from(["0", "00", "5", "50", "25", "333333", "000001"])).map(
        lambda part: f"{part[0]}.{part[1]}"
    ),
)
dressed = st.tuples(
    st.sampled_from(["", "", "$", "\\$", " ", "\n"]), plain_numbers, st.sampled_from(["", "", "$", " "])
)


@settings(max_examples=250, deadline=None)
@given(dressed.map("".join), plain_numbers)
@example("0038", "38")
@example("1,234", "1234")
@example("0.5", "\\frac{1}{2}")
@example("0.333333", "\\frac{1}{3}")
@example("-\\frac{-1}{2}", "0.50")
@example("\\frac{1}{0}", "\\frac{1}{0}")
def test_the_shortcut_for_numbers_gives_math_verifys_verdict(answer: str, gold: str) -> None:
    outcome = maths.quick(maths.boxed(answer), gold)
    if isinstance(outcome, Verdict):
        assert outcome.correct == judged_by_math_verify(answer, gold)
    else:
        assert outcome == maths.boxed(answer)


@pytest.mark.parametrize(
    ("answer", "gold", "correct"),
    [
        ("3804", "3804", True),
        ("0038", "38", True),  # compared as numbers: leading zeros do not count
        ("\\$1,234", "1234", True),
        ("\\dfrac{3}{6}", "\\frac{1}{2}", True),
        ("18.00", "18", True),
        ("3805", "3804", False),
        ("-3804", "3804", False),
        ("18.000001", "18", False),
    ],
)
def test_numbers_are_decided_without_algebra(answer: str, gold: str, correct: bool) -> None:
    outcome = maths.quick(f"The answer is {maths.boxed(answer)}.", gold)
    assert outcome == Verdict(correct, answer, "right" if correct else "wrong")


@pytest.mark.parametrize("answer", ["12,34", "1/0", "\\frac{1}{0}", "x", "1e5", "9" * 301, "0.1234567"])
def test_other_notations_are_left_to_math_verify(answer: str) -> None:
    assert maths.quick(maths.boxed(answer), "12") == maths.boxed(answer)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{2}, \boxed{3}", "2, 3"),
        (r"$x=\boxed{2}$ or $x=\boxed{3}$", "2, 3"),
        ("- $x_1 = \\boxed{2}$\n- $x_2 = \\boxed{3}$", "2, 3"),
        (r"\boxed{1}, \boxed{2}, and \boxed{3}", "1, 2, 3"),
        (r"\boxed{3}, \boxed{3}", "3"),
        (r"\boxed{2}. \boxed{3}", "3"),
        (r"\boxed{2}, so \boxed{3}", "3"),
        (r"\boxed{1}; then \boxed{2} and \boxed{3}", "2, 3"),
        (r"\boxed{}, \boxed{3}", "3"),
        (r"\boxed{3}, \boxed{", None),
        ("none", None),
    ],
)
def test_boxes_in_one_list_are_one_answer(text: str, content: str | None) -> None:
    assert answers.joined(text) == content


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The answer is 5.", "5"),
        ("The answer is 5. Not 6.", "5"),
        ("Answer: **42**", "42"),
        ("an answer is 3, but the answer is $x = 4$, which fits", "x = 4"),
        ("The answers are $3$, $5$ and $7$.", "3, 5, 7"),
        ("#### 1,234", "1,234"),
        ("**Final Answer**\n\n$\\frac{1}{2}$", "\\frac{1}{2}"),
        ("The answer is 20 percent", "20 percent"),
        ("The answer is $20$ percent", "20\\%"),
        ("no such words", None),
        ("the answer", None),
    ],
)
def test_what_stands_after_the_last_answer_is(text: str, said: str | None) -> None:
    assert answers.stated(text) == said


def test_neighbouring_boxes_are_not_merged() -> None:
    text = r"One root is \boxed{2}, so the answer is \boxed{7}."
    assert not math_verify(parse(maths.boxed("7")), parse(text))  # why the last box is taken first
    outcome = maths.quick(text, "7")
    assert isinstance(outcome, Verdict)
    assert outcome.correct


@pytest.mark.parametrize("text", ["", "I do not know", "\n\n", "{}{}"])
def test_text_without_digits_or_latex_has_no_answer(text: str) -> None:
    assert maths.quick(text, "1") == Verdict(False, "", "no answer")
    assert parse(text) == []


@pytest.mark.parametrize(
    ("text", "gold", "verdict"),
    [
        ("so it is 42.", "42", Verdict(True, "42", "right")),
        ("The answer is $x + y$", "y + x", Verdict(True, "x + y", "right")),
        (maths.boxed("2x"), "3x", Verdict(False, "2x", "wrong")),
        (maths.boxed("\\{2, 1\\}"), "1,2", Verdict(True, "\\{2, 1\\}", "right")),
        ("cost: $", "1", Verdict(False, "", "no answer")),
    ],
)
def test_compare_asks_math_verify(text: str, gold: str, verdict: Verdict) -> None:
    assert maths.compare(text, gold) == verdict


NOTATIONS = r"""
2\sqrt{5} \sqrt{20} 4.472136 \frac{1}{3} 0.333333 0.333 33 x 2x x+x y+y e 90^\circ 90 \{1,2\} (1,2) x=5 5
2^{10} 1024 \text{yes} f(x) \sum_{k=1}^{4}k 10
"""


@pytest.mark.parametrize("gold", NOTATIONS.split())
def test_compare_agrees_with_math_verify_alone(gold: str) -> None:
    for answer in NOTATIONS.split():
        verdict = maths.compare(maths.boxed(answer), gold)
        assert verdict.correct == judged_by_math_verify(answer, gold), (answer, gold)


class Unanswering(sympy.Function):
    """A function that sympy fails to evaluate."""

    def _eval_evalf(self, prec: int) -> None:
        raise ValueError("no value")


def test_what_sympy_cannot_evaluate_is_left_to_math_verify() -> None:
    one, four = sympy.Integer(1), sympy.Integer(4)
    assert equality._same_value(four, one) is False
    assert equality._same_value(Unanswering(sympy.Symbol("x")), one) is None
    assert equality.equal(Unanswering(sympy.Symbol("x")), Unanswering(sympy.Symbol("x")))


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        (sympy.Rational(1, 3), sympy.Float("0.333333"), True),  # to six places, as math-verify
        (sympy.Rational(1, 3), sympy.Float("0.33333"), False),
        (sympy.Rational(1, 3 * 10**6), sympy.Float("3.33333e-7"), True),  # to six digits, where places say little
        (sympy.Rational(1, 3 * 10**6), sympy.Float("3.333e-7"), False),
        (sympy.Integer(0), sympy.Float("1e-9"), False),
        (sympy.Float("1.67e27"), 1670 * sympy.Integer(10) ** 24, True),
        (10 ** sympy.Integer(100), 10 ** sympy.Integer(100) + 1, False),  # alike in their first fifty digits
        (sympy.exp(sympy.pi * sympy.sqrt(163)), sympy.Integer(640320) ** 3 + 744, False),
        (sympy.sqrt(2) * sympy.sqrt(3), sympy.sqrt(6), True),
    ],
)
def test_a_difference_counts_in_proportion(gold: sympy.Expr, answer: sympy.Expr, same: bool) -> None:
    assert equality.equal(gold, answer) == same


@pytest.mark.parametrize(
    "answer",
    ["(" * 50 + "1" + ")" * 50, "9^{9^{9^{9}}}", "2^{123456}", "99999!", "7!!", "9^9^9^9", "x" * 1001, "1" * 500],
)
def test_what_no_parser_gets_to_the_end_of_is_wrong_at_once(answer: str) -> None:
    outcome = maths.quick(maths.boxed(answer), "12")
    assert isinstance(outcome, Verdict)
    assert outcome.reason == "wrong"
    same = maths.quick(maths.boxed(answer), answer)  # unless it is the gold itself
    assert isinstance(same, Verdict)
    assert same.correct


@given(st.text(max_size=80))
def test_any_text_has_a_notation_that_stays(text: str) -> None:
    once = notation.written(text).latex
    assert notation.written(once).latex == notation.written(notation.written(once).latex).latex


def test_what_is_kept_of_an_answer_is_short() -> None:
    outcome = maths.quick(maths.boxed("1" * 250), "1")
    assert isinstance(outcome, Verdict)
    assert outcome.extracted == "1" * 200
