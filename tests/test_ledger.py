"""The rule of the ledger: every verdict has its case, and what it says would decide does."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binomtest

from polya_midtrain.ledger.evaluate import Direction, Evidence, Judgement, growth, judge, together, unanimous

ALPHA = 0.05
RANKS = {"not replicated": 0, "inconclusive": 1, "replicated": 2}


def evidence(value: float, low: float | None, high: float | None, **changes: Any) -> Evidence:
    """An effect whose test agrees with its interval, unless a p is given."""
    found = Evidence("an arm:", value, low, high, questions=100, units=4)
    zero = changes.get("zero", 0.0)
    held = low is None or high is None or low <= zero <= high
    return replace(found, **{"p": 0.5 if held else 0.01} | changes)


def verdict(
    value: float, low: float | None, high: float | None, sesoi: float = 0.05, way: Direction = "up", **more: Any
) -> str:
    return judge(evidence(value, low, high, **more), way, sesoi, ALPHA).verdict


# The rule


def test_each_verdict_has_its_case() -> None:
    assert verdict(0.05, 0.01, 0.09) == "replicated"
    assert verdict(-0.05, -0.09, -0.01) == "not replicated"
    assert verdict(0.01, -0.02, 0.06) == "inconclusive"
    assert verdict(0.01, -0.02, 0.04) == "not replicated"
    assert verdict(0.01, -0.02, 0.04, sesoi=0.03) == "inconclusive"
    assert verdict(-0.05, -0.09, -0.01, way="down") == "replicated"
    assert verdict(-0.01, -0.04, 0.02, way="down") == "not replicated"


def test_the_text_says_which_of_the_two_kinds_of_evidence_against_it_was() -> None:
    opposite = judge(evidence(-0.05, -0.09, -0.01), "up", 0.04, ALPHA).reason
    assert opposite == "an arm: -0.050 [-0.090, -0.010] (Holm p 0.010) lies below 0: the opposite"
    excluded = judge(evidence(0.01, -0.02, 0.03), "up", 0.0375, ALPHA).reason
    assert excluded == (
        "an arm: +0.010 [-0.020, +0.030] (Holm p 0.500) excludes the smallest effect of interest, +0.0375, though "
        "not a smaller one"
    )
    down = judge(evidence(-0.01, -0.03, 0.02), "down", 0.04, ALPHA).reason
    assert down.endswith("excludes the smallest effect of interest, -0.04, though not a smaller one")


def test_an_effect_short_of_the_smallest_of_interest_is_replicated_and_says_so() -> None:
    found = judge(evidence(0.02, 0.01, 0.03), "up", 0.04, ALPHA)
    assert found.verdict == "replicated"
    assert found.reason.endswith("lies above 0, as claimed, but short of the smallest effect of interest, +0.04")
    assert "short" not in judge(evidence(0.02, 0.01, 0.05), "up", 0.04, ALPHA).reason


def test_the_corrected_p_has_to_agree_either_way() -> None:
    assert verdict(0.05, 0.01, 0.09, p=0.049) == "replicated"
    assert verdict(0.05, 0.01, 0.09, p=0.05) == "inconclusive"
    assert verdict(-0.05, -0.09, -0.01, p=0.04) == "not replicated"
    # Not shown to be the opposite, it still excludes what is of interest; and the text says no more than that.
    barely = judge(evidence(-0.05, -0.09, -0.01, p=0.06), "up", 0.04, ALPHA)
    assert barely.verdict == "not replicated"
    assert barely.reason == (
        "an arm: -0.050 [-0.090, -0.010] (Holm p 0.060) excludes the smallest effect of interest, +0.04"
    )


def test_a_part_that_is_not_primary_needs_no_test_and_is_held_against_no_size() -> None:
    assert judge(evidence(0.05, 0.01, 0.09, p=None), "up", None, ALPHA).verdict == "replicated"
    assert judge(evidence(0.01, -0.02, 0.03, p=None), "up", None, ALPHA).verdict == "inconclusive"
    assert judge(evidence(-0.05, -0.09, -0.01, p=0.06), "up", None, ALPHA).reason.endswith("cannot be told from 0")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"low": None, "high": None}, "no interval to judge by"),
        ({"low": 0.05, "high": 0.05}, "no spread was seen"),
        ({"units": 1}, "one training seed cannot tell the method from its luck"),
        ({"p": None}, "has no test"),
    ],
)
def test_what_no_interval_or_test_speaks_for_is_inconclusive(changes: dict[str, Any], why: str) -> None:
    found = judge(replace(evidence(0.05, 0.04, 0.06), **changes), "up", 0.04, ALPHA)
    assert (found.verdict, why in found.reason) == ("inconclusive", True)


def test_what_no_trained_policy_takes_part_in_needs_no_seeds() -> None:
    assert verdict(0.05, 0.04, 0.06, units=0) == "replicated"


def test_another_zero_moves_everything_with_it() -> None:
    assert verdict(0.6, 0.55, 0.65, zero=0.5) == "replicated"
    assert verdict(0.4, 0.35, 0.45, zero=0.5) == "not replicated"
    assert judge(evidence(0.6, 0.4, 0.8, zero=0.5), "up", 0.2, ALPHA).reason.startswith(
        "an arm: +0.600 [+0.400, +0.800] (Holm p 0.500) cannot be told from 0.5, nor from the smallest effect of "
        "interest, +0.7; "
    )


numbers = st.floats(-1.0, 1.0).map(lambda number: round(number, 4))
sizes = st.floats(0.001, 0.5)


@st.composite
def effects(draw: st.DrawFn) -> Evidence:
    low, value, high = sorted(draw(st.tuples(numbers, numbers, numbers)))
    return evidence(value, low, high)


@given(effects(), sizes, st.floats(0.0, 2.0))
def test_a_larger_effect_is_never_judged_worse(effect: Evidence, sesoi: float, more: float) -> None:
    assert effect.low is not None
    assert effect.high is not None
    moved = evidence(effect.value + more, effect.low + more, effect.high + more)
    assume(moved.low != moved.high)
    before, after = (RANKS[judge(one, "up", sesoi, ALPHA).verdict] for one in (effect, moved))
    assert before <= after


@given(effects(), sizes)
def test_up_and_down_are_mirror_images(effect: Evidence, sesoi: float) -> None:
    assert effect.low is not None
    assert effect.high is not None
    mirrored = replace(effect, value=-effect.value, low=-effect.high, high=-effect.low)
    up, down = judge(effect, "up", sesoi, ALPHA), judge(mirrored, "down", sesoi, ALPHA)
    assert up.verdict == down.verdict
    swapped = {"replicated": "not replicated", "not replicated": "replicated"}
    plain = judge(effect, "up", None, ALPHA).verdict  # against no size the two directions are each other's opposite
    assert judge(effect, "down", None, ALPHA).verdict == swapped.get(plain, plain)


@given(numbers, st.floats(0.0001, 0.2), st.floats(0.001, 0.5))
def test_an_interval_narrower_than_the_smallest_effect_decides(value: float, share: float, sesoi: float) -> None:
    half = share * 2.0 * sesoi  # at most 0.4 of the effect to either side
    assert judge(evidence(value, value - half, value + half), "up", sesoi, ALPHA).verdict != "inconclusive"


@given(numbers, st.floats(0.001, 0.5), st.floats(0.001, 0.5), sizes)
def test_more_of_everything_by_the_stated_factor_decides(
    value: float, below: float, above: float, sesoi: float
) -> None:
    def run(times: float) -> Evidence:
        return evidence(value, value - below / math.sqrt(times), value + above / math.sqrt(times))

    times = growth(run(1.0), sesoi)
    if judge(run(1.0), "up", sesoi, ALPHA).verdict == "inconclusive" and math.isfinite(times):
        assert judge(run(1.001 * times), "up", sesoi, ALPHA).verdict != "inconclusive"
        if times > 1.01:  # and less does not, for some truth
            wide = run(0.99 * times)
            assert wide.low is not None
            assert wide.high is not None
            moved = (sesoi - wide.low - wide.high) / 2.0
            held = evidence(value + moved, wide.low + moved, wide.high + moved)
            assert judge(held, "up", sesoi, ALPHA).verdict == "inconclusive"


def test_what_would_decide_is_planned_from_the_fixed_size_and_not_from_the_estimate() -> None:
    wide = evidence(0.01, -0.05, 0.07)  # 0.12 wide
    assert judge(wide, "up", 0.04, ALPHA).reason.endswith(
        "cannot be told from 0, nor from the smallest effect of interest, +0.04; an interval narrower than that takes "
        "9.0 times the size: 900 questions and 36 training seeds"
    )
    assert growth(wide, 0.04) == growth(evidence(0.03, -0.03, 0.09), 0.04) == pytest.approx(9.0)
    assert "takes 16.0 times" in judge(replace(wide, detectable=0.16), "up", 0.04, ALPHA).reason
    assert judge(replace(wide, units=0), "up", 0.04, ALPHA).reason.endswith("the size: 900 questions")
    assert judge(wide, "up", 0.001, ALPHA).reason.endswith("no size up to 10,000 times this one would decide")
    # Away from zero, not by Holm's p, and narrower than the smallest effect: a repeat has a fair chance.
    near = evidence(0.05, 0.01, 0.09, p=0.06, detectable=0.08)
    assert judge(near, "up", 0.09, ALPHA).reason.endswith("; another run of this size may decide")


def test_what_all_questions_agree_on_gets_the_exact_interval() -> None:
    all_of_them = evidence(1.0, 1.0, 1.0, questions=30)
    found = unanimous(all_of_them, ALPHA)
    exact = binomtest(30, 30).proportion_ci(1 - ALPHA, method="exact")
    assert (found.low, found.high) == (pytest.approx(exact.low), 1.0)
    none = binomtest(0, 30).proportion_ci(1 - ALPHA, method="exact")
    found = unanimous(evidence(0.0, 0.0, 0.0, questions=30), ALPHA)
    assert (found.low, found.high) == (0.0, pytest.approx(none.high))
    for other in (evidence(0.5, 0.5, 0.5), evidence(1.0, 0.9, 1.0), evidence(1.0, None, None)):
        assert unanimous(other, ALPHA) == other


# Several at once

YES, NO, MAYBE = (
    Judgement(verdict, f"because {verdict}", None)  # type: ignore[arg-type]
    for verdict in ("replicated", "not replicated", "inconclusive")
)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ([YES, YES], "replicated"),
        ([YES, MAYBE], "inconclusive"),
        ([MAYBE, NO, YES], "not replicated"),
    ],
)
def test_all_of_several_have_to_hold(of: list[Judgement], expected: str) -> None:
    assert together(of).verdict == expected
    assert together(of[::-1]).verdict == expected


def test_one_alone_keeps_its_words_and_several_name_the_one_that_decides() -> None:
    assert together([MAYBE]) == MAYBE
    assert together([YES, MAYBE, MAYBE]).reason == "2 of 3 as because inconclusive"
