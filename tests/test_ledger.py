"""The rule of the ledger: every verdict has its case, and what it says would decide does."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binomtest

from polya_midtrain.ledger.evaluate import Direction, Evidence, Judgement, growth, judge, together, unanimous, widened

ALPHA = 0.05
RANKS = {"not replicated": 0, "inconclusive": 1, "replicated": 2}


def evidence(value: float, low: float | None, high: float | None, **changes: Any) -> Evidence:
    return replace(Evidence("an arm:", value, low, high, questions=100, seeds=4), **changes)


def verdict(
    value: float, low: float | None, high: float | None, paper: float | None = None, way: Direction = "up", **more: Any
) -> str:
    return judge(evidence(value, low, high, **more), way, paper, ALPHA).verdict


# The rule


def test_each_verdict_has_its_case() -> None:
    assert verdict(0.05, 0.01, 0.09) == "replicated"
    assert verdict(-0.05, -0.09, -0.01) == "not replicated"
    assert verdict(0.01, -0.02, 0.04) == "inconclusive"
    assert verdict(0.01, -0.02, 0.04, paper=0.05) == "not replicated"
    assert verdict(0.01, -0.02, 0.04, paper=0.03) == "inconclusive"
    assert verdict(-0.05, -0.09, -0.01, way="down") == "replicated"
    assert verdict(-0.01, -0.04, 0.02, paper=0.05, way="down") == "not replicated"


def test_the_text_says_which_of_the_two_ways_of_not_replicating_it_was() -> None:
    opposite = judge(evidence(-0.05, -0.09, -0.01), "up", 0.04, ALPHA).reason
    assert opposite == "an arm: -0.050 [-0.090, -0.010] lies below 0: the opposite"
    excluded = judge(evidence(0.01, -0.02, 0.03), "up", 0.04, ALPHA).reason
    assert excluded == "an arm: +0.010 [-0.020, +0.030] excludes the paper's +0.040, though not a smaller effect"
    down = judge(evidence(-0.01, -0.03, 0.02), "down", 0.04, ALPHA).reason
    assert down.endswith("excludes the paper's -0.040, though not a smaller effect")


def test_an_effect_short_of_the_papers_is_replicated_and_says_so() -> None:
    found = judge(evidence(0.02, 0.01, 0.03), "up", 0.04, ALPHA)
    assert found.verdict == "replicated"
    assert found.reason.endswith("lies above 0, as claimed, but short of the paper's +0.040")
    assert "short" not in judge(evidence(0.02, 0.01, 0.05), "up", 0.04, ALPHA).reason


def test_holms_p_has_to_agree_either_way() -> None:
    assert verdict(0.05, 0.01, 0.09, p=0.04) == "replicated"
    assert verdict(0.05, 0.01, 0.09, p=0.05) == "inconclusive"
    assert verdict(-0.05, -0.09, -0.01, p=0.04) == "not replicated"
    assert verdict(-0.05, -0.09, -0.01, p=0.06) == "inconclusive"
    # What the paper gives is one number, not one of many: the interval alone excludes it.
    barely = judge(evidence(-0.05, -0.09, -0.01, p=0.06), "up", 0.04, ALPHA)
    assert barely.verdict == "not replicated"
    assert barely.reason == "an arm: -0.050 [-0.090, -0.010] (Holm p 0.060) excludes the paper's +0.040"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"low": None, "high": None}, "no interval to judge by"),
        ({"low": 0.05, "high": 0.05}, "no spread was seen"),
        ({"seeds": 1}, "one training seed cannot tell the method from its luck"),
    ],
)
def test_what_no_interval_speaks_for_is_inconclusive(changes: dict[str, Any], why: str) -> None:
    found = judge(replace(evidence(0.05, 0.04, 0.06), **changes), "up", 0.04, ALPHA)
    assert (found.verdict, why in found.reason) == ("inconclusive", True)


def test_what_no_trained_policy_takes_part_in_needs_no_seeds() -> None:
    assert verdict(0.05, 0.04, 0.06, seeds=0) == "replicated"


def test_another_zero_moves_everything_with_it() -> None:
    assert verdict(0.6, 0.55, 0.65, zero=0.5) == "replicated"
    assert verdict(0.4, 0.35, 0.45, zero=0.5) == "not replicated"
    assert judge(evidence(0.6, 0.4, 0.8, zero=0.5), "up", None, ALPHA).reason.startswith(
        "an arm: +0.600 [+0.400, +0.800] cannot be told from 0.5; "
    )


numbers = st.floats(-1.0, 1.0).map(lambda number: round(number, 4))
sizes = st.none() | st.floats(0.001, 0.5)


@st.composite
def effects(draw: st.DrawFn) -> Evidence:
    low, value, high = sorted(draw(st.tuples(numbers, numbers, numbers)))
    return evidence(value, low, high)


@given(effects(), sizes, st.floats(0.0, 2.0))
def test_a_larger_effect_is_never_judged_worse(effect: Evidence, paper: float | None, more: float) -> None:
    assert effect.low is not None
    assert effect.high is not None
    moved = replace(effect, value=effect.value + more, low=effect.low + more, high=effect.high + more)
    assume(moved.low != moved.high)
    before, after = (RANKS[judge(one, "up", paper, ALPHA).verdict] for one in (effect, moved))
    assert before <= after


@given(effects(), sizes)
def test_up_and_down_are_mirror_images(effect: Evidence, paper: float | None) -> None:
    assert effect.low is not None
    assert effect.high is not None
    mirrored = replace(effect, value=-effect.value, low=-effect.high, high=-effect.low)
    up, down = judge(effect, "up", paper, ALPHA), judge(mirrored, "down", paper, ALPHA)
    assert up.verdict == down.verdict
    swapped = {"replicated": "not replicated", "not replicated": "replicated"}
    plain = judge(effect, "up", None, ALPHA).verdict
    assert judge(effect, "down", None, ALPHA).verdict == swapped.get(plain, plain)


@given(numbers, st.floats(0.0001, 0.2), st.floats(0.001, 0.5))
def test_an_interval_narrower_than_the_papers_effect_decides(value: float, share: float, paper: float) -> None:
    half = share * 2.0 * paper  # at most 0.4 of the effect to either side
    assert judge(evidence(value, value - half, value + half), "up", paper, ALPHA).verdict != "inconclusive"


@given(numbers, st.floats(0.001, 0.5), st.floats(0.001, 0.5), sizes)
def test_more_of_everything_by_the_stated_factor_decides(
    value: float, below: float, above: float, paper: float | None
) -> None:
    def run(times: float) -> Evidence:
        return evidence(value, value - below / math.sqrt(times), value + above / math.sqrt(times))

    times = growth(run(1.0), paper)
    if judge(run(1.0), "up", paper, ALPHA).verdict == "inconclusive" and math.isfinite(times):
        assert judge(run(1.001 * times), "up", paper, ALPHA).verdict != "inconclusive"
        if paper is not None and times > 1.01:  # and less does not, for some truth
            wide = run(0.99 * times)
            assert wide.low is not None
            assert wide.high is not None
            moved = (paper - wide.low - wide.high) / 2.0
            held = replace(wide, value=value + moved, low=wide.low + moved, high=wide.high + moved)
            assert judge(held, "up", paper, ALPHA).verdict == "inconclusive"


def test_what_would_decide_is_said_in_questions_and_seeds() -> None:
    wide = evidence(0.01, -0.05, 0.07)  # 0.12 wide
    assert judge(wide, "up", 0.04, ALPHA).reason.endswith(
        "cannot be told from 0, nor from the paper's +0.040; an interval narrower than the paper's effect takes 9.0 "
        "times the size: 900 questions and 36 training seeds"
    )
    assert judge(wide, "up", None, ALPHA).reason.endswith(
        "that decides, if the estimate holds, takes 36.0 times the size: 3,600 questions and 144 training seeds"
    )
    assert "takes 16.0 times" in judge(replace(wide, detectable=0.16), "up", 0.04, ALPHA).reason
    assert judge(replace(wide, seeds=0), "up", 0.04, ALPHA).reason.endswith("the size: 900 questions")
    assert judge(evidence(0.0, -0.05, 0.05), "up", None, ALPHA).reason.endswith(
        "no size up to 10,000 times this one would decide"
    )
    # Away from zero, not by Holm's p, and narrower than the paper's effect: a repeat has a fair chance.
    near = evidence(0.05, 0.01, 0.09, p=0.06, detectable=0.08)
    assert judge(near, "up", 0.09, ALPHA).reason.endswith("; another run of this size may decide")
    # An interval that is not symmetric: what counts is how far its end is on the side of zero.
    assert growth(evidence(0.02, -0.06, 0.04), None) == pytest.approx(16.0)
    assert growth(evidence(-0.02, -0.06, 0.04), None) == pytest.approx(9.0)


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


def test_one_of_several_looks_gets_a_wider_interval_unless_holm_corrected_already() -> None:
    one = evidence(0.05, 0.01, 0.10)
    assert widened(one, 1, ALPHA) == one
    two = widened(one, 2, ALPHA)  # 97.5% in place of 95%: z 2.2414 over 1.9600
    assert (two.low, two.high) == (pytest.approx(0.05 - 0.04 * 1.14358, abs=1e-5), pytest.approx(0.107179, abs=1e-5))
    tested = replace(one, p=0.01)
    assert widened(tested, 5, ALPHA) == tested
    assert widened(replace(one, low=None, high=None), 5, ALPHA).low is None


# Several at once

YES, NO, MAYBE, NEVER = (
    Judgement(verdict, f"because {verdict}", None)  # type: ignore[arg-type]
    for verdict in ("replicated", "not replicated", "inconclusive", "not tested")
)


@pytest.mark.parametrize(
    ("rule", "of", "expected"),
    [
        ("all", [YES, YES], "replicated"),
        ("all", [YES, MAYBE], "inconclusive"),
        ("all", [MAYBE, NO, YES], "not replicated"),
        ("all", [YES, NEVER], "inconclusive"),
        ("all", [NO, NEVER], "not replicated"),
        ("all", [NEVER, NEVER], "not tested"),
        ("any", [NO, NO], "not replicated"),
        ("any", [NO, MAYBE], "inconclusive"),
        ("any", [NO, YES, MAYBE], "replicated"),
        ("any", [NO, NEVER], "inconclusive"),
        ("any", [YES, NEVER], "replicated"),
    ],
)
def test_all_needs_every_one_and_any_needs_one(rule: Literal["all", "any"], of: list[Judgement], expected: str) -> None:
    assert together(of, rule).verdict == expected
    assert together(of[::-1], rule).verdict == expected


def test_one_alone_keeps_its_words_and_several_name_the_one_that_decides() -> None:
    assert together([MAYBE], "all") == MAYBE
    assert together([YES, MAYBE, MAYBE], "all").reason == "2 of 3 inconclusive, such as because inconclusive"
    assert together([YES, NEVER], "all").reason == "1 of 2 could not be tested; because replicated"


verdicts = st.lists(st.sampled_from([YES, NO, MAYBE]), min_size=1, max_size=5)


@given(verdicts)
def test_all_and_any_are_dual(of: list[Judgement]) -> None:
    swap = {YES: NO, NO: YES, MAYBE: MAYBE}
    mirrored = together([swap[one] for one in of], "any").verdict
    assert RANKS[together(of, "all").verdict] == 2 - RANKS[mirrored]
    assert RANKS[together(of, "all").verdict] <= RANKS[together(of, "any").verdict]
