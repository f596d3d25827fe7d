"""Arms compared: paired differences, relative changes and trends, their test, Holm's correction, detectable sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from polya_midtrain.science.bootstrap import Array, Estimate, Factor, by_base, estimate, interval, pooled, seed_means

NOISY = 0.25  # relative standard error of a mean above which a ratio of such means gets no interval


class RelativeChange(NamedTuple):
    """An arm's mean over the reference's, less 1, with its interval, (m,) each; NaN where there is none."""

    value: Array
    low: Array
    high: Array


def contrast(
    arms: Sequence[Sequence[Array]],
    coefficients: Sequence[float | Array],
    questions: Sequence[Array],
    seeds: Sequence[Array],
    bases: Sequence[int] = (),
) -> Estimate:
    """The sum of the arms' means, each times its coefficient: a difference of two arms, or a slope over several.

    ``arms``: per arm the blocks of `bootstrap.pooled`; ``coefficients``: per arm a number, or one for each of the m
    statistics, (m,); ``questions``: per benchmark the weights (resamples, questions); ``seeds``: per arm the weights
    (resamples, seeds); ``bases``: the base of each run, as in `bootstrap.by_base`.

    Questions are the same for all arms, so the sum is taken question by question and what makes a question hard
    cancels. Seeds are not paired: seed 1 of two arms starts RL from different weights, so the two are independent
    runs, and the spread of every arm's counts (as in Welch's test). If they did share something, that would make the
    interval wider than needed, not narrower.

    Bases are paired: arms start from the same ones. So with two or more of them the sum is taken base by base, what a
    base does to all arms alike cancels, and the bases' weights (resamples, bases) are the same for all arms: the first.
    """
    held = [[by_base(block, bases) for block in arm] for arm in arms]
    terms = list(zip(held, coefficients, strict=True))
    strata = [
        Factor(np.sum([factor * arm[place].mean(axis=0) for arm, factor in terms], axis=0), weights)
        for place, weights in enumerate(questions)
    ]
    runs = [Factor(factor * seed_means(arm), weights) for (arm, factor), weights in zip(terms, seeds, strict=True)]
    if len(set(bases)) > 1:
        runs = [Factor(np.sum([factor.values for factor in runs], axis=0), seeds[0])]
    return estimate(strata, runs)


def paired_difference(
    arm: Sequence[Array],
    vanilla: Sequence[Array],
    questions: Sequence[Array],
    arm_seeds: Array,
    vanilla_seeds: Array,
    bases: Sequence[int] = (),
) -> Estimate:
    """Arm minus vanilla, paired by question, and by base where there are several (see `contrast`)."""
    return contrast([arm, vanilla], [1.0, -1.0], questions, [arm_seeds, vanilla_seeds], bases)


def relative_change(
    arm: Sequence[Array],
    reference: Sequence[Array],
    questions: Sequence[Array],
    arm_seeds: Array,
    reference_seeds: Array,
    confidence: float,
    bases: Sequence[int] = (),
) -> RelativeChange:
    """The arm's mean over the reference's, less 1, paired by question; arguments as those of `paired_difference`.

    The interval is that of the logarithm of the ratio, by the delta method within the same draws: to first order
    log(A/B) moves as the contrast A/a - B/b of the scores divided by their observed means a and b, so questions and
    seeds, the expansion for few units and the degrees of freedom are those of every other interval here. Drawing the
    ratio itself was not better where means are far from 0, and where they are not, draws at or below 0 have no
    logarithm (tests/test_science_compare.py simulates the coverage).

    A ratio says little where a mean is near 0. So there is no interval (NaN) where the standard error of either mean is
    above `NOISY` of it, or where the arm's mean is 0; and no value either where the reference's mean is 0.
    """
    ours, theirs = pooled(arm, questions, arm_seeds, bases), pooled(reference, questions, reference_seeds, bases)
    there = theirs.value > 0.0
    ratio = np.where(there, ours.value, np.nan) / np.where(there, theirs.value, 1.0)
    firm = (ours.value > 0.0) & there
    for mean in (ours, theirs):
        firm &= mean.error <= NOISY * mean.value
    shares = [np.where(firm, 1.0 / np.where(firm, mean.value, 1.0), 0.0) for mean in (ours, theirs)]
    moved = contrast([arm, reference], [shares[0], -shares[1]], questions, [arm_seeds, reference_seeds], bases)
    ends = [np.where(firm, ratio * np.exp(end - moved.value) - 1.0, np.nan) for end in interval(moved, confidence)]
    return RelativeChange(ratio - 1.0, ends[0], ends[1])


def slope(places: Sequence[float]) -> list[float]:
    """The coefficients whose `contrast` is the least-squares slope of the arms' means over ``places``.

    Arms count alike, whatever their spread. Raises ValueError where there are not two different places.
    """
    centred = np.asarray(places) - np.mean(places)
    total = float(centred @ centred)
    if not total > 0.0:
        raise ValueError(f"a slope needs two different places, not {list(places)}")
    return [float(place) for place in centred / total]


def p_values(difference: Estimate) -> Array:
    """Two-sided p (m,) that a difference is zero, with questions and training seeds both random.

    The test is min F' of Clark (1973, "The language-as-fixed-effect fallacy") in its t form: difference
    over the root of the summed variances, Satterthwaite's degrees of freedom. A sign-flip or Wilcoxon test over
    questions was not used: it takes the trained policies as given, so that seed noise alone makes it reject a true null
    several times too often, and over three seeds a permutation test cannot go below p = 0.1. No spread at all leaves
    nothing to judge by: p is 1.
    """
    from scipy.special import stdtr

    moves = difference.error > 0.0
    statistic = np.abs(difference.value) / np.where(moves, difference.error, 1.0)
    return np.where(moves, 2.0 * stdtr(difference.df, -statistic), 1.0)


def shifts(ours: Sequence[Sequence[Array]], theirs: Sequence[Sequence[Array]]) -> list[Estimate]:
    """Per arm its mean in one run less that in another, (m,), with error and df, and without draws.

    ``ours``, ``theirs``: per arm the blocks of `bootstrap.pooled`, of the same questions. Questions are paired, which
    leaves what a run's own base does to single ones; training seeds are not. Two seeds an arm say next to nothing of
    their spread: it is taken as one for all arms of both runs, zero where no arm has two.
    """
    means = [seed_means(arm) for arm in (*ours, *theirs)]
    freedom = max(sum(len(seeds) - 1 for seeds in means), 1)
    spread = np.sum([((seeds - seeds.mean(axis=0)) ** 2).sum(axis=0) for seeds in means], axis=0) / freedom
    found = []
    for arm, other in zip(ours, theirs, strict=True):
        moved = [one.mean(axis=0) - two.mean(axis=0) for one, two in zip(arm, other, strict=True)]
        parts = [block.var(axis=0, ddof=1) / len(block) / len(moved) ** 2 for block in moved]
        parts.append(spread * (1.0 / len(arm[0]) + 1.0 / len(other[0])))
        sizes = np.array([*(len(block) - 1.0 for block in moved), freedom])
        total = np.sum(parts, axis=0)
        below = np.sum(np.square(parts) / sizes[:, None], axis=0)
        df = np.where(total > 0.0, total**2 / np.where(total > 0.0, below, 1.0), sizes.min())
        value = np.mean([block.mean(axis=0) for block in moved], axis=0)
        found.append(Estimate(value, np.empty((0, *value.shape)), np.sqrt(total), df))
    return found


def holm(p: Array) -> Array:
    """Holm's (1979) step-down correction of ``p`` (arms, m): each column is one family, the arms compared at one k.

    The r-th smallest of M values (r from 0) is multiplied by M - r, and is never below a smaller one's nor above 1.
    """
    order = np.argsort(p, axis=0)
    factors = np.arange(len(p), 0, -1.0)[:, None]
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, axis=0) * factors, axis=0)
    corrected = np.empty_like(stepped)
    np.put_along_axis(corrected, order, np.minimum(stepped, 1.0), axis=0)
    return corrected


def detectable(error: Array, df: Array, alpha: float, power: float = 0.8) -> Array:
    """The smallest true difference that a two-sided t test at level ``alpha`` finds with probability ``power``.

    ``error``: standard error of the difference and ``df`` its degrees of freedom, so for n paired questions and a
    standard deviation s of their differences: ``detectable(s / sqrt(n), n - 1, alpha)``. Same unit as ``error``.
    The non-centrality is inverted directly: statsmodels' solve_power gives the same number where its root finder
    converges, and a wrong one without a warning at the one to four degrees of freedom that few seeds leave.
    """
    from scipy.special import nctdtrinc, stdtrit

    return np.asarray(error * nctdtrinc(df, 1.0 - power, stdtrit(df, 1.0 - alpha / 2.0)))
