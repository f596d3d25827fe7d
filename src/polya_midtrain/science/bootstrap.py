"""Bootstrap intervals of a score over the two things that were sampled: questions and training seeds.

The scores of an arm form a table V[seed, question]. The two factors are crossed (every seed's policy answers the same
questions) and both are samples: a reader wants to know about other questions and about another training run. So

- a single seed's row resamples questions;
- a pooled row, whose unit is the question with its mean over seeds, resamples the questions and, independently, the
  seeds, and adds the two deviations. Resampling questions alone would describe these few trained policies and not the
  method: with a visible spread between seeds, its "95%" interval covers far less (tests/test_science_bootstrap.py
  simulates both). The sum counts the noise of single cells twice, so it errs on the wide side; it is the bootstrap
  companion of the min F' test of Clark (1973), which `compare` uses for p-values.

The percentile bootstrap is too narrow with few units. Both known factors are put back, as in the expanded percentile
interval of Hesterberg (2015, arXiv 1411.5279): deviations are multiplied by sqrt(n / (n-1)) per factor, and by t/z, the
ratio of Student's quantile to the normal one, with the degrees of freedom of the sum by Satterthwaite's formula.

What no resampling mends: where nearly every question scores the same, the rare other one is often not among the few
that were asked. Simulated with 16 questions at a true pass@64 of 0.99, a "95%" interval covers about half the time; the
mean of six such sets, 85%. The tables say so in their notes; the remedy is a harder set or more questions.

Runs may be nested in bases: a base has its traces, its teacher and its reward model, which all of its runs share. Then
bases are what was sampled, and with two or more of them the units of the run factor are base means, whose spread
contains that of the training seeds (a cluster bootstrap). Resampling runs would take what one base does to all of its
runs for something that every run repeats.

A mean over benchmarks is stratified: questions are resampled within their benchmark, while a seed, being one trained
policy, is resampled for all benchmarks at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROUNDING = 1e-12  # a standard error below this is floating-point noise around zero


class Factor(NamedTuple):
    """Something that was sampled: ``values`` (units, m) of m statistics, ``weights`` (resamples, units)."""

    values: Array
    weights: Array


@dataclass(frozen=True)
class Estimate:
    """m statistics: their values (m,), bootstrap deviations (resamples, m), standard errors (m,) and df (m,)."""

    value: Array
    deviations: Array
    error: Array
    df: Array


def draw_weights(units: int, resamples: int, rng: np.random.Generator) -> Array:
    """Bootstrap draws of ``units`` units as a matrix (resamples, units) that maps values to deviations of their mean.

    A row is ``(hits - 1) / sqrt(n (n-1))`` for the hits of n draws with replacement: the resampled mean less the mean,
    times sqrt(n / (n-1)), so that its variance is the unbiased one. One unit has no spread to resample: zeros.
    Whatever shares a matrix (arms, values of k, before and after) is resampled together, hence paired.
    """
    if units < 2:
        return np.zeros((resamples, units))
    hits = rng.multinomial(units, np.full(units, 1.0 / units), size=resamples)
    return np.asarray((hits - 1.0) / np.sqrt(units * (units - 1.0)))


def estimate(strata: Sequence[Factor], runs: Sequence[Factor] = ()) -> Estimate:
    """The mean over ``strata`` of their mean over units, with the spread of the strata's units and of the ``runs``.

    ``strata``: one factor per benchmark, its units the questions. ``runs``: one factor per group of independently
    trained policies, its units the seeds; it adds spread only, for its mean is in the strata already.
    """
    share = 1.0 / len(strata)
    parts = [Factor(share * factor.values, factor.weights) for factor in strata]
    value = np.sum([factor.values.mean(axis=0) for factor in parts], axis=0)
    parts += runs
    deviations = np.sum([factor.weights @ factor.values for factor in parts], axis=0)
    spread = [factor for factor in parts if len(factor.values) > 1]
    if not spread:
        return Estimate(value, deviations, np.zeros_like(value), np.ones_like(value))
    variance = np.stack([factor.values.var(axis=0, ddof=1) / len(factor.values) for factor in spread])
    freedom = np.array([[len(factor.values) - 1.0] for factor in spread])
    total = variance.sum(axis=0)
    error = np.sqrt(total)
    moves = error > ROUNDING
    denominator = np.where(moves, (variance**2 / freedom).sum(axis=0), 1.0)
    df = np.where(moves, total**2 / denominator, freedom.min())
    return Estimate(value, deviations, np.where(moves, error, 0.0), df)


def by_base(block: Array, bases: Sequence[int]) -> Array:
    """The mean of each base's runs, (bases, questions, m), bases in order; of fewer than two bases the runs themselves.

    ``block``: (runs, questions, m); ``bases``: the base of each run, or nothing where all have one.
    """
    if len(set(bases)) < 2:
        return block
    of = np.asarray(bases)
    return np.stack([block[of == base].mean(axis=0) for base in sorted(set(bases))])


def pooled(
    blocks: Sequence[Array], questions: Sequence[Array], seeds: Array | None, bases: Sequence[int] = ()
) -> Estimate:
    """The mean over benchmarks, questions and seeds of one arm.

    ``blocks``: per benchmark (seeds, questions, m); ``questions``: per benchmark the weights (resamples, questions);
    ``seeds``: the weights (resamples, seeds), or None for the spread over questions alone (a single seed's row);
    ``bases``: as in `by_base`, and with two or more of them ``seeds`` weighs bases: (resamples, bases).
    """
    blocks = [by_base(block, bases) for block in blocks]
    strata = [Factor(block.mean(axis=0), weights) for block, weights in zip(blocks, questions, strict=True)]
    return estimate(strata, [] if seeds is None else [Factor(seed_means(blocks), seeds)])


def seed_means(blocks: Sequence[Array]) -> Array:
    """Per seed the mean over benchmarks of the mean over questions: (seeds, m)."""
    return np.asarray(np.mean([block.mean(axis=1) for block in blocks], axis=0))


def student(estimated: Estimate, confidence: float) -> tuple[Array, Array]:
    """Lower and upper ends (m,), (m,) of Student's interval: of an estimate without draws."""
    from scipy.special import stdtrit

    reach = estimated.error * stdtrit(estimated.df, (1.0 + confidence) / 2.0)
    return estimated.value - reach, estimated.value + reach


def interval(estimated: Estimate, confidence: float) -> tuple[Array, Array]:
    """Lower and upper ends (m,), (m,) of the expanded percentile interval; not clipped to a share's range."""
    from scipy.special import ndtri, stdtrit

    upper = (1.0 + confidence) / 2.0
    expansion = stdtrit(estimated.df, upper) / ndtri(upper)
    low, high = np.quantile(estimated.deviations, [1.0 - upper, upper], axis=0)
    return estimated.value + expansion * low, estimated.value + expansion * high
