from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from polya_midtrain.science.bootstrap import Array, Estimate, draw_weights, interval, pooled
from polya_midtrain.science.compare import (
    RelativeChange,
    contrast,
    detectable,
    holm,
    p_values,
    paired_difference,
    relative_change,
    shifts,
    slope,
)

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


@pytest.mark.parametrize(("bases", "effect_sd", "most"), [(6, 0.0, 0.06), (6, 0.4, 0.06), (3, 0.4, 0.075)])
def test_a_true_null_over_bases_is_rejected_about_as_often_as_promised(
    bases: int, effect_sd: float, most: float
) -> None:
    """Of what a base does to both arms nothing is left; what it does to one of them alone is spread."""
    rng = np.random.default_rng(bases)
    of = [base for base in range(bases) for _ in range(2)]
    common = 2.0 * rng.standard_normal((bases, 1, STUDIES))[of]
    arm, vanilla = (block + common for block in two_arms(rng, len(of), 30, 0.2))
    arm += effect_sd * rng.standard_normal((bases, 1, STUDIES))[of]
    weights = draw_weights(bases, RESAMPLES, rng)
    questions = [draw_weights(30, RESAMPLES, rng)]
    found = paired_difference([arm], [vanilla], questions, weights, weights, of)
    assert np.mean(p_values(found) < 0.05) <= most
    low, high = interval(found, 0.95)
    assert 0.91 <= np.mean((low <= 0) & (high >= 0)) <= 0.995
    assert found.error.mean() < 1.0  # paired by base: 2.0 of both arms cancel
    if effect_sd:  # runs as if each had a base of its own
        own = [draw_weights(len(of), RESAMPLES, rng) for _ in range(2)]
        runs = paired_difference([arm - common], [vanilla - common], questions, *own)
        assert np.mean(p_values(runs) < 0.05) > 0.08


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


@pytest.mark.parametrize("seed_sd", [0.0, 0.2, 1.0])
def test_a_shift_between_two_runs_of_two_seeds_is_seen_as_often_as_promised(seed_sd: float) -> None:
    rng = np.random.default_rng(8)
    runs = [two_arms(rng, 2, 30, seed_sd) for _ in range(8)]
    found = shifts(*([[arm] for arm in one] for one in zip(*runs, strict=True)))
    assert [np.mean(p_values(one) < 0.05) for one in found] == pytest.approx([0.035] * 8, abs=0.03)
    effect = np.median([detectable(one.error, one.df, 0.05) for one in found])
    moved = shifts(
        *([[arm + size] for arm in one] for size, one in zip((effect, 0.0), zip(*runs, strict=True), strict=True))
    )
    assert np.mean([p_values(one) < 0.05 for one in moved]) == pytest.approx(0.84, abs=0.06)
    # The seeds of one arm alone have two degrees of freedom.
    alone = [shifts([[arm]], [[other]])[0] for arm, other in runs]
    assert seed_sd < 1.0 or np.median([detectable(one.error, one.df, 0.05) for one in alone]) > 1.3 * effect


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


def multiplicative(rng: np.random.Generator, seeds: int, sizes: list[int], ratio: float) -> tuple[list[Array], ...]:
    """Two arms of positive scores on several sets, whose expected means are exactly in a ratio."""

    def factor(spread: float, *shape: int) -> Array:
        return np.asarray(rng.uniform(1 - spread, 1 + spread, size=(*shape, STUDIES)))

    runs = [1.0 + 0.05 * rng.standard_normal((seeds, 1, STUDIES)) for _ in range(2)]
    arms: tuple[list[Array], ...] = ([], [])
    for size in sizes:
        difficulty = rng.beta(0.6, 1.2, size=(1, size, STUDIES))
        for arm, run, level in zip(arms, runs, (ratio, 1.0), strict=True):
            arm.append(level * difficulty * run * factor(0.4, 1, size) * factor(0.3, seeds, size))
    return arms


def change(arm: list[Array], reference: list[Array], rng: np.random.Generator) -> RelativeChange:
    questions = [draw_weights(block.shape[1], RESAMPLES, rng) for block in arm]
    seeds = [draw_weights(len(blocks[0]), RESAMPLES, rng) for blocks in (arm, reference)]
    return relative_change(arm, reference, questions, seeds[0], seeds[1], 0.95)


@pytest.mark.parametrize("seeds", [2, 4, 10])
@pytest.mark.parametrize("sizes", [[40], [16] * 4])
def test_a_relative_changes_interval_covers_the_truth(seeds: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(10 * seeds + len(sizes))
    found = change(*multiplicative(rng, seeds, sizes, 1.07), rng)
    assert np.isfinite(found.low).mean() > 0.95
    firm = np.isfinite(found.low)
    assert 0.92 <= np.mean((found.low[firm] <= 0.07) & (found.high[firm] >= 0.07)) <= 0.99
    assert np.median(found.value) == pytest.approx(0.07, abs=0.01)


def test_a_relative_change_is_paired_and_knows_no_unit() -> None:
    rng = np.random.default_rng(12)
    arm, reference = multiplicative(rng, 3, [20, 30], 1.3)
    found, scaled = (change([scale * block for block in arm], reference, np.random.default_rng(1)) for scale in (1, 5))
    for end, other in zip(found, scaled, strict=True):
        np.testing.assert_allclose(5 * (1 + end), 1 + other)  # the interval of 5 times the ratio
    alone = pooled(reference, [draw_weights(block.shape[1], RESAMPLES, rng) for block in reference], None)
    # Hard questions are hard for both arms: the ratio is surer than either mean.
    assert np.median(np.log1p(found.high) - np.log1p(found.low)) < np.median(3.9 * alone.error / alone.value)
    same = change(reference, reference, rng)
    np.testing.assert_array_equal(same.value, 0.0)
    assert ((same.low < 0) & (same.high > 0)).all()  # other runs of either arm would have differed


def test_a_ratio_of_means_near_zero_gets_no_interval() -> None:
    rng = np.random.default_rng(13)
    rare = np.zeros((3, 40, 3))
    rare[:, 0, 0] = 1.0  # one question solved: the mean's standard error is all of it
    rare[:, :20, 1] = 1.0
    found = change([np.full((3, 40, 3), 0.5) + 0.01 * rng.standard_normal((3, 40, 1))], [rare], rng)
    assert np.isfinite(found.value).tolist() == [True, True, False]  # no ratio to 0
    assert np.isfinite(found.low).tolist() == np.isfinite(found.high).tolist() == [False, True, False]
    turned = change([rare], [np.full((3, 40, 3), 0.5)], rng)
    assert np.isfinite(turned.low).tolist() == [False, True, False]
    assert turned.value[2] == -1.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=6, unique=True), st.integers(0, 1000))
def test_a_slope_is_the_least_squares_line(places: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    arms = [[rng.random((2, 5, 1)), rng.random((2, 7, 1))] for _ in places]
    none = [np.zeros((9, size)) for size in (5, 7)]
    found = contrast(arms, slope(places), none, [np.zeros((9, 2))] * len(arms))
    means = [np.mean([block.mean() for block in arm]) for arm in arms]
    assert found.value[0] == pytest.approx(np.polyfit(places, means, 1)[0], abs=1e-9)


def test_a_slope_needs_two_places() -> None:
    with pytest.raises(ValueError, match="two different places"):
        slope([2.0, 2.0])


@pytest.mark.parametrize("seeds", [2, 4])
def test_a_trend_that_is_not_there_is_found_no_more_often_than_promised(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    difficulty = 3.0 * rng.standard_normal((1, 24, STUDIES))
    arms = [
        [difficulty + 0.2 * rng.standard_normal((seeds, 1, STUDIES)) + 0.3 * rng.standard_normal((1, 24, STUDIES))]
        for _ in range(4)
    ]
    weights = [draw_weights(seeds, RESAMPLES, rng) for _ in arms]
    found = contrast(arms, slope([0, 1, 2, 3]), [draw_weights(24, RESAMPLES, rng)], weights)
    assert np.mean(p_values(found) < 0.05) <= 0.065
    low, high = interval(found, 0.95)
    assert np.mean((low <= 0) & (high >= 0)) >= 0.93
