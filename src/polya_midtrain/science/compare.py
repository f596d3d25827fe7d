"""Arms against vanilla: paired differences, their test, Holm's correction and what the study could have detected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polya_midtrain.science.bootstrap import Array, Estimate, Factor, estimate, seed_means


def paired_difference(
    arm: Sequence[Array], vanilla: Sequence[Array], questions: Sequence[Array], arm_seeds: Array, vanilla_seeds: Array
) -> Estimate:
    """Arm minus vanilla, paired by question; arguments as those of `bootstrap.pooled`, seeds per arm.

    Questions are the same for both arms, so their differences are taken question by question and what makes a question
    hard cancels. Seeds are not paired: seed 1 of two arms starts RL from different weights, so the two are independent
    runs, and the spread of both counts (as in Welch's test). If they did share something, that would make the
    interval wider than needed, not narrower.
    """
    strata = [
        Factor(ours.mean(axis=0) - theirs.mean(axis=0), weights)
        for ours, theirs, weights in zip(arm, vanilla, questions, strict=True)
    ]
    return estimate(strata, [Factor(seed_means(arm), arm_seeds), Factor(-seed_means(vanilla), vanilla_seeds)])


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
