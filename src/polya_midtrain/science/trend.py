"""How one number goes with another over a few units, such as bases: by ranks, and where a fitted line crosses zero."""

from __future__ import annotations

import numpy as np

from polya_midtrain.science.bootstrap import Array

FEWEST = 3  # units; two always lie on a line


def spearman(x: Array, y: Array) -> tuple[float, float]:
    """Spearman's rho of two numbers (units,) each, and its two-sided p by Student's t; NaN where one does not vary."""
    if not (np.ptp(x) and np.ptp(y)):
        return float("nan"), float("nan")
    from scipy.stats import spearmanr

    found = spearmanr(x, y)
    return float(found.statistic), float(found.pvalue)


def crossing(x: Array, y: Array, weights: Array, confidence: float) -> tuple[float, float, float] | None:
    """Where the least-squares line of ``y`` over ``x`` is zero, and the ends of its interval.

    ``x``, ``y``: (units,); ``weights``: (resamples, units), the units' draws of `bootstrap.draw_weights`. The interval
    is the percentiles of the lines of resampled units. None where too many of these slope the other way (a share of
    half of what the interval may miss): a line that may be level is zero nowhere or anywhere.
    """
    if not (np.ptp(x) and np.ptp(y)):
        return None
    units = len(x)
    hits = 1.0 + weights * np.sqrt(units * (units - 1.0))
    (slope,), (place,) = _lines(x, y, np.ones((1, units)))
    slopes, places = _lines(x, y, hits)
    tail = (1.0 - confidence) / 2.0
    slopes, places = slopes[np.isfinite(slopes)], places[np.isfinite(places)]  # not those of one unit alone
    if np.mean(np.sign(slopes) == np.sign(slope)) < 1.0 - tail:
        return None
    low, high = np.quantile(places, [tail, 1.0 - tail])
    return float(place), float(low), float(high)


def _lines(x: Array, y: Array, hits: Array) -> tuple[Array, Array]:
    """Slopes, and where the lines are zero, (resamples,) each; NaN where there is no slope, or no such place."""
    count = hits.sum(axis=1)
    mean_x, mean_y = hits @ x / count, hits @ y / count
    away = x - mean_x[:, None]
    spread = (hits * away**2).sum(axis=1)
    varies = spread > 1e-12
    slope = np.where(varies, (hits * away) @ y / np.where(varies, spread, 1.0), np.nan)
    tilted = np.abs(slope) > 0.0
    return slope, np.where(tilted, mean_x - mean_y / np.where(tilted, slope, 1.0), np.nan)
