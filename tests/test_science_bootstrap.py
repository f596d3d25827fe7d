"""The intervals hold what they claim, in simulated studies whose true value is known (zero)."""

from __future__ import annotations

import numpy as np
import pytest

from polya_midtrain.science.bootstrap import Array, Factor, by_base, draw_weights, estimate, interval, pooled

STUDIES = 1500  # simulated studies, side by side as the statistics of one call
RESAMPLES = 1000


def studies(
    rng: np.random.Generator, seeds: int, questions: int, seed_sd: float, question_sd: float, noise_sd: float
) -> Array:
    """Scores (seeds, questions, studies) around a true mean of 0."""
    return np.asarray(
        seed_sd * rng.standard_normal((seeds, 1, STUDIES))
        + question_sd * rng.standard_normal((1, questions, STUDIES))
        + noise_sd * rng.standard_normal((seeds, questions, STUDIES))
    )


def coverage(blocks: list[Array], rng: np.random.Generator, with_seeds: bool = True) -> float:
    questions = [draw_weights(block.shape[1], RESAMPLES, rng) for block in blocks]
    seeds = draw_weights(blocks[0].shape[0], RESAMPLES, rng) if with_seeds else None
    low, high = interval(pooled(blocks, questions, seeds), 0.95)
    return float(np.mean((low <= 0) & (high >= 0)))


@pytest.mark.parametrize("questions", [6, 16, 96])
def test_one_seed_over_questions_covers_what_it_claims(questions: int) -> None:
    rng = np.random.default_rng(questions)
    assert 0.93 <= coverage([studies(rng, 1, questions, 0.0, 1.0, 0.5)], rng, with_seeds=False) <= 0.97


def test_skewed_scores_of_hard_questions_are_nearly_covered() -> None:
    rng = np.random.default_rng(4)
    shares = rng.beta(0.3, 1.2, size=(1, 48, STUDIES)) - 0.2  # most questions near 0, mean 0.2
    assert 0.92 <= coverage([shares], rng, with_seeds=False) <= 0.97


@pytest.mark.parametrize("seeds", [2, 3, 10])
@pytest.mark.parametrize("spread", [(1.0, 0.1, 0.1), (0.1, 1.0, 0.1), (0.3, 1.0, 0.5), (0.05, 0.3, 1.0)])
def test_pooled_intervals_cover_whichever_spread_dominates(seeds: int, spread: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(seeds)
    # Two seeds are the hard case: one difference, which has to stand for the whole spread. Noise of single cells is
    # counted twice by design, which puts the last case above 0.95.
    low = 0.88 if seeds == 2 else 0.92
    assert low <= coverage([studies(rng, seeds, 24, *spread)], rng) <= 0.995


def test_questions_alone_would_not_cover_when_seeds_differ() -> None:
    blocks = [studies(np.random.default_rng(5), 3, 96, 0.3, 1.0, 0.5)]
    assert coverage(blocks, np.random.default_rng(6), with_seeds=False) < 0.8
    assert coverage(blocks, np.random.default_rng(6)) > 0.92


def test_the_mean_over_benchmarks_covers_with_sets_of_unequal_size_and_spread() -> None:
    rng = np.random.default_rng(7)
    shared = 0.2 * rng.standard_normal((3, 1, STUDIES))  # a policy is good or bad on every benchmark
    blocks = [shared + studies(rng, 3, size, 0.1, sd, 0.2) for size, sd in ((8, 1.0), (30, 0.2), (50, 0.5))]
    assert 0.92 <= coverage(blocks, rng) <= 0.98


def nested(rng: np.random.Generator, bases: int, seeds: int, base_sd: float) -> tuple[Array, list[int]]:
    """Scores of runs, ``seeds`` of each base, around 0; a base moves all of its runs alike."""
    of = [base for base in range(bases) for _ in range(seeds)]
    moved = base_sd * rng.standard_normal((bases, 1, STUDIES))
    return studies(rng, len(of), 24, 0.1, 0.5, 0.2) + moved[of], of


@pytest.mark.parametrize(("bases", "low"), [(2, 0.88), (3, 0.9), (6, 0.92)])
def test_bases_are_resampled_where_there_are_several(bases: int, low: float) -> None:
    rng = np.random.default_rng(bases)
    block, of = nested(rng, bases, 3, 0.4)
    questions = [draw_weights(24, RESAMPLES, rng)]
    ends = interval(pooled([block], questions, draw_weights(bases, RESAMPLES, rng), of), 0.95)
    assert low <= np.mean((ends[0] <= 0) & (ends[1] >= 0)) <= 0.985
    # Runs taken as independent of each other would not do, and questions alone even less.
    runs = interval(pooled([block], questions, draw_weights(len(of), RESAMPLES, rng)), 0.95)
    assert np.mean((runs[0] <= 0) & (runs[1] >= 0)) < low


def test_one_base_is_as_if_none_were_named_and_bases_weigh_alike() -> None:
    rng = np.random.default_rng(12)
    block, _ = nested(rng, 1, 4, 0.0)
    weights = [draw_weights(24, 50, rng)], draw_weights(4, 50, rng)
    plain, named = pooled([block], *weights), pooled([block], *weights, [7, 7, 7, 7])
    np.testing.assert_array_equal(plain.deviations, named.deviations)
    uneven = by_base(block, [2, 1, 2, 2])
    np.testing.assert_allclose(uneven, [block[1], block[[0, 2, 3]].mean(axis=0)])
    found = pooled([block], weights[0], draw_weights(2, 50, rng), [2, 1, 2, 2])
    np.testing.assert_allclose(found.value, uneven.mean(axis=(0, 1)))


def test_weights_resample_a_mean_with_the_unbiased_variance() -> None:
    values = np.array([0.0, 0.1, 0.1, 0.7, 1.0])
    draws = draw_weights(5, 200_000, np.random.default_rng(8)) @ values
    assert draws.mean() == pytest.approx(0.0, abs=0.003)
    assert draws.var() == pytest.approx(values.var(ddof=1) / 5, rel=0.02)


def test_standard_error_and_freedom_of_one_factor_are_those_of_a_t_interval() -> None:
    from scipy.stats import t

    values = np.random.default_rng(9).standard_normal((40, 3))
    found = estimate([Factor(values, draw_weights(40, 20_000, np.random.default_rng(10)))])
    np.testing.assert_allclose(found.value, values.mean(axis=0))
    np.testing.assert_allclose(found.error, values.std(axis=0, ddof=1) / np.sqrt(40))
    np.testing.assert_allclose(found.df, 39)
    low, high = interval(found, 0.9)
    half = t.ppf(0.95, 39) * found.error  # near-normal values: both intervals agree
    np.testing.assert_allclose(low, found.value - half, atol=0.1 * half.max())
    np.testing.assert_allclose(high, found.value + half, atol=0.1 * half.max())


def test_equal_scores_give_a_width_of_zero_and_one_unit_has_no_spread() -> None:
    same = np.full((3, 5, 1), 0.1)
    rng = np.random.default_rng(0)
    found = pooled([same], [draw_weights(5, 100, rng)], draw_weights(3, 100, rng))
    assert found.error == [0.0]
    np.testing.assert_allclose(interval(found, 0.95), 0.1)
    alone = estimate([Factor(np.array([[0.4]]), draw_weights(1, 100, rng))])
    np.testing.assert_allclose(interval(alone, 0.95), 0.4)
