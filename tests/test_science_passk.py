from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polya_midtrain.science.passk import pass_at_k


@st.composite
def drawn(draw: st.DrawFn) -> tuple[int, int, int]:
    samples = draw(st.integers(1, 9))
    return draw(st.integers(0, samples)), samples, draw(st.integers(1, samples))


@settings(max_examples=60, deadline=None)
@given(drawn())
def test_it_is_the_share_of_all_subsets_with_a_right_answer(case: tuple[int, int, int]) -> None:
    correct, samples, k = case
    subsets = list(combinations([True] * correct + [False] * (samples - correct), k))
    assert pass_at_k(correct, samples, k) == pytest.approx(np.mean([any(subset) for subset in subsets]), abs=1e-12)


def test_it_is_unbiased() -> None:
    rng = np.random.default_rng(3)
    chance, k = 0.07, 8
    estimates = pass_at_k(rng.binomial(72, chance, size=200_000), 72, k)
    assert estimates.mean() == pytest.approx(1 - (1 - chance) ** k, abs=0.002)
    plug_in = 1 - (1 - rng.binomial(72, chance, size=200_000) / 72) ** k
    assert abs(plug_in.mean() - (1 - (1 - chance) ** k)) > 0.005  # what the estimator is there to avoid


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 3000), st.data())
def test_it_stays_a_share_and_grows_with_k_and_c_at_any_size(samples: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, samples - 1))
    shares = pass_at_k(np.arange(samples + 1), samples, k)
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert (np.diff(shares) >= 0).all()
    assert (pass_at_k(np.arange(samples + 1), samples, k + 1) >= shares - 1e-12).all()


def test_pass_at_1_is_the_share_of_right_answers_in_any_shape() -> None:
    correct = np.arange(12).reshape(2, 3, 2)
    np.testing.assert_allclose(pass_at_k(correct, 16, 1), correct / 16)
    assert pass_at_k(np.zeros((0, 4), dtype=int), 16, 1).shape == (0, 4)


@pytest.mark.parametrize(
    ("correct", "samples", "k", "message"),
    [
        ([1], 4, 5, "1 <= k <= n"),
        ([1], 4, 0, "1 <= k <= n"),
        ([5], 4, 2, "0..4"),
        ([-1], 4, 2, "0..4"),
        ([0.5], 4, 2, "integers"),
    ],
)
def test_impossible_input_is_refused(correct: list[float], samples: int, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pass_at_k(correct, samples, k)
