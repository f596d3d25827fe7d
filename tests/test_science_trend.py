"""How a number goes with another over a few units: against cases by hand, single fits, and simulated coverage."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from polya_midtrain.science.bootstrap import draw_weights
from polya_midtrain.science.trend import crossing, spearman

X = np.array([0.1, 0.2, 0.4, 0.5, 0.8])


def test_rho_by_hand() -> None:
    # Ranks 1 2 3 4 5 against 2 1 3 5 4: squared distances sum to 4, and 1 - 6 * 4 / (5 * 24) is 0.8.
    rho, p = spearman(X, np.array([-0.1, -0.3, 0.0, 9.0, 0.2]))
    assert rho == pytest.approx(0.8)
    assert p == pytest.approx(0.104, abs=5e-4)  # Student's t of 2.309 with 3 degrees of freedom
    assert all(map(isnan, spearman(X, np.ones(5))))


def test_points_on_a_line_cross_zero_where_it_does_in_every_draw() -> None:
    weights = draw_weights(5, 400, np.random.default_rng(1))
    assert crossing(X, 0.3 - 0.5 * X, weights, 0.95) == pytest.approx((0.6, 0.6, 0.6))


def test_the_ends_are_the_percentiles_of_lines_of_resampled_units() -> None:
    rng = np.random.default_rng(2)
    y = 0.3 - 0.5 * X + rng.normal(0.0, 0.03, 5)
    weights = draw_weights(5, 300, rng)
    hits = np.rint(1.0 + weights * np.sqrt(20.0)).astype(int)
    places = []
    for times in hits:
        if (times > 0).sum() > 1:
            slope, level = np.polyfit(np.repeat(X, times), np.repeat(y, times), 1)
            places.append(-level / slope)
    slope, level = np.polyfit(X, y, 1)
    assert crossing(X, y, weights, 0.9) == pytest.approx((-level / slope, *np.quantile(places, [0.05, 0.95])))


def test_a_line_that_may_be_level_is_zero_nowhere_that_can_be_told() -> None:
    weights = draw_weights(5, 400, np.random.default_rng(3))
    for x, y in ((X, np.array([0.1, -0.1, 0.0, 0.1, -0.05])), (X, np.ones(5)), (np.ones(5), X)):
        assert crossing(x, y, weights, 0.95) is None


def test_the_interval_holds_the_true_place_nearly_as_often_as_it_says() -> None:
    """Ten units with a clear slope; percentiles of so few are a little too narrow."""
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(400):
        x = rng.uniform(0.2, 0.9, 10)
        y = 0.3 - 0.5 * x + rng.normal(0.0, 0.06, 10)
        found = crossing(x, y, draw_weights(10, 300, rng), 0.95)
        held += found is None or found[1] <= 0.6 <= found[2]
    assert 0.88 < held / 400 < 0.98
