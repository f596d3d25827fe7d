from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from polya_midtrain.science.bootstrap import Array, Estimate, draw_weights, interval, pooled
from polya_midtrain.science.compare import detectable, holm, p_values, paired_difference

STUDIES = 1500
RESAMPLES = 1000


def difference(arm: Array, vanilla: Array, rng: np.random.Generator) -> Estimate:
    return paired_difference(
        [arm],
        [vanilla],
        [draw_weights(arm.shape[1], RESAMPLES, rng)],
        draw_weights(len(arm), RESAMPLES, rng),
        draw_weights(len(vanilla), RESAMPLES, rng),
    )


def two_arms(
    rng: np.random.Generator, seeds: int, questions: int, seed_sd: float, effect: float = 0.0
) -> tuple[Array, Array]:
    """Two arms (seeds, questions, studies) on questions of very unequal difficulty."""
    difficulty = 3.0 * rng.standard_normal((1, questions, STUDIES))

    def arm() -> Array:
        runs = seed_sd * rng.standard_normal((seeds, 1, STUDIES))
        fit = 0.3 * rng.standard_normal((1, questions, STUDIES))
        return np.asarray(difficulty + runs + fit + 0.3 * rng.standard_normal((seeds, questions, STUDIES)))

    return arm() + effect, arm()


def test_pairing_cancels_what_makes_questions_hard() -> None:
    rng = np.random.default_rng(1)
    arm, vanilla = two_arms(rng, 3, 30, 0.05)
    weights = draw_weights(30, RESAMPLES, rng)
    none = np.zeros((RESAMPLES, 3))
    paired = paired_difference([arm], [vanilla], [weights], none, none)
    ours, theirs = (pooled([block], [weights], None) for block in (arm, vanilla))
    # One set of draws for both arms: the difference of their draws is the paired difference's draw.
    np.testing.assert_allclose(paired.deviations, ours.deviations - theirs.deviations, atol=1e-12)
    assert np.median(paired.error) < 0.2 * np.median(np.hypot(ours.error, theirs.error))


@pytest.mark.parametrize(("seeds", "questions"), [(2, 12), (3, 24), (10, 24)])
@pytest.mark.parametrize("seed_sd", [0.0, 0.2, 1.0])
def test_a_true_null_is_rejected_no_more_often_than_promised(seeds: int, questions: int, seed_sd: float) -> None:
    rng = np.random.default_rng(seeds)
    found = difference(*two_arms(rng, seeds, questions, seed_sd), rng)
    assert np.mean(p_values(found) < 0.05) <= 0.065
    low, high = interval(found, 0.95)
    assert np.mean((low <= 0) & (high >= 0)) >= 0.93


def test_a_test_over_questions_alone_would_take_seed_noise_for_an_effect() -> None:
    rng = np.random.default_rng(2)
    arm, vanilla = two_arms(rng, 3, 24, 0.4)
    over_questions = stats.wilcoxon((arm - vanilla).mean(axis=0), axis=0).pvalue
    assert np.mean(over_questions < 0.05) > 0.3
    assert np.mean(p_values(difference(arm, vanilla, rng)) < 0.05) <= 0.065


def test_power_at_the_detectable_difference_is_what_it_says() -> None:
    rng = np.random.default_rng(3)
    runs, questions, seeds = 0.5, 40, 6
    variance = 2 * runs**2 / seeds + 2 * 0.3**2 / questions  # cells' noise is far below both
    effect = float(detectable(np.array(sqrt(variance)), np.array(2.0 * (seeds - 1)), 0.05))
    power = np.mean(p_values(difference(*two_arms(rng, seeds, questions, runs, effect), rng)) < 0.05)
    assert power == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("df", [1.0, 2.3, 4.0, 30.0])
@pytest.mark.parametrize("alpha", [0.05, 0.008])
def test_the_detectable_difference_by_simulated_t_statistics(df: float, alpha: float) -> None:
    effect = float(detectable(np.array(0.5), np.array(df), alpha)) / 0.5
    rng = np.random.default_rng(4)
    statistic = (rng.standard_normal(100_000) + effect) / np.sqrt(rng.chisquare(df, 100_000) / df)
    assert np.mean(np.abs(statistic) > stats.t.ppf(1 - alpha / 2, df)) == pytest.approx(0.8, abs=0.01)


def test_with_seeds_that_agree_p_is_that_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(5)
    arm, vanilla = np.repeat(rng.random((1, 20, 1)), 3, axis=0), np.repeat(rng.random((1, 20, 1)), 3, axis=0)
    expected = stats.ttest_rel(arm[0], vanilla[0]).pvalue
    np.testing.assert_allclose(p_values(difference(arm, vanilla, rng)), expected)


def test_no_spread_is_no_evidence() -> None:
    rng = np.random.default_rng(6)
    found = difference(np.ones((3, 6, 1)), np.full((3, 6, 1), 0.1), rng)
    assert p_values(found) == [1.0]
    assert p_values(difference(np.ones((3, 6, 1)), np.ones((3, 6, 1)), rng)) == [1.0]


def test_holm_by_hand() -> None:
    p = np.array([[0.01, 0.5], [0.04, 0.5], [0.03, 0.001], [0.005, 0.9]])
    # 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1 raised to 0.06; second column: 0.001 x 4, then all 1
    np.testing.assert_allclose(holm(p), [[0.03, 1.0], [0.06, 1.0], [0.06, 0.004], [0.02, 1.0]])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.3))
def test_holm_rejects_what_the_step_down_procedure_rejects(p: list[float], alpha: float) -> None:
    ascending = sorted(p)
    passed = 0
    while passed < len(p) and ascending[passed] * (len(p) - passed) <= alpha:
        passed += 1
    corrected = holm(np.array(p)[:, None])[:, 0]
    assert (corrected >= np.array(p)).all()
    assert int((corrected <= alpha).sum()) == passed
