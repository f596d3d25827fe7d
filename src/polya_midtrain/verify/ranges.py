"""Ranges for a new run, from a few finished runs that differ in their seeds.

For each held number the range is the prediction interval ``mean ± t s sqrt(1 + 1/R)`` of one more run after R. Two
things are not as in a textbook, because R is small and the numbers are many:

- **level**: the chance that a sound run has *no* number outside is `LEVEL` for the whole file; each of m numbers gets
  the level ``LEVEL ** (1/m)`` (Sidak 1967). Numbers of one run move together, which makes this cautious.
- **spread**: from R = 5 runs a standard deviation is known badly, and at such a level t with 4 degrees of freedom is
  about 10. So each variance is moved towards those of its group, the numbers of one metric at one k, by the
  empirical-Bayes rule of Smyth (2004, "Linear models and empirical Bayes methods", section 6): how far, the group
  itself says. The group's part counts at most as much as the runs' own R - 1 degrees of freedom, for its numbers are
  not independent. Of six runs of profile tiny none has a number outside the ranges that the other five give.

A range is rounded outward to the tables' decimals and never narrower than `FLOOR` on either side of the mean, so that
the rounding of another machine's arithmetic is no difference. It may reach beyond what is possible, such as a share
above 1, which no run can.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polya_midtrain.tables.row import DECIMALS

Array = NDArray[np.float64]

LEVEL = 0.95
FLOOR = 2.0 * 10.0**-DECIMALS
SMALLEST_GROUP = 3  # numbers of some spread, below which a group says nothing of their spreads


def predict(values: Array, groups: Sequence[str]) -> tuple[Array, Array]:
    """Low and high ends (m,), (m,) for a further run of ``values`` (runs, m); ``groups``: a name per number, (m,)."""
    from scipy.special import stdtrit

    runs, numbers = values.shape
    own = values.var(axis=0, ddof=1)
    own[np.ptp(values, axis=0) == 0.0] = 0.0  # not the rounding error of a mean of equal numbers
    variance, freedom = own.copy(), np.full(numbers, runs - 1.0)
    for name in dict.fromkeys(groups):
        members = np.array([group == name for group in groups])
        variance[members], freedom[members] = moderated(own[members], runs - 1.0)
    tail = (1.0 - LEVEL ** (1.0 / numbers)) / 2.0
    reach = stdtrit(freedom, 1.0 - tail) * np.sqrt(variance * (1.0 + 1.0 / runs))
    reach = np.maximum(reach, FLOOR)
    mean = values.mean(axis=0)
    return mean - reach, mean + reach


def moderated(variances: Array, freedom: float) -> tuple[Array, Array]:
    """Variances of a group and their degrees of freedom after Smyth (2004), (m,) each.

    ``variances``: sample variances (m,) with ``freedom`` degrees each. Their logarithms spread by trigamma(freedom/2)
    even if the true ones are equal; what they spread beyond that gives the prior's degrees of freedom. Variances of 0
    take no part in this. A group with fewer than `SMALLEST_GROUP` others stays as it is.
    """
    from scipy.optimize import brentq
    from scipy.special import digamma, polygamma

    spread = variances[variances > 0.0]
    if len(spread) < SMALLEST_GROUP:
        return variances, np.full(len(variances), freedom)
    logs = np.log(spread) - digamma(freedom / 2.0) + np.log(freedom / 2.0)
    excess = logs.var(ddof=1) - polygamma(1, freedom / 2.0)
    if excess <= polygamma(1, freedom / 2.0):
        prior = freedom
    else:
        prior = 2.0 * brentq(lambda half: polygamma(1, half) - excess, 1e-6, freedom / 2.0)
    centre = np.exp(logs.mean() + digamma(prior / 2.0) - np.log(prior / 2.0))
    return (prior * centre + freedom * variances) / (prior + freedom), np.full(len(variances), prior + freedom)


def outward(low: float, high: float) -> tuple[float, float]:
    """The ends rounded away from each other to the tables' decimals."""
    scale = 10.0**DECIMALS
    # A sliver is taken off first: 0.3 * 10**4 may come out a little above 3000.
    return float(np.floor(low * scale + 1e-6)) / scale + 0.0, float(np.ceil(high * scale - 1e-6)) / scale + 0.0
