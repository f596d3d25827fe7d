"""Combinations and ratios: names, containment, and the spread of a share whose whole varies."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polya_midtrain.science.bootstrap import Array, draw_weights, interval, pooled
from polya_midtrain.science.composition import combination, ratio_blocks, together

ids = st.frozensets(st.sampled_from("abcdef"), min_size=1, max_size=4)
counts = arrays(np.float64, (3, 5), elements=st.integers(0, 72))


@given(ids, st.permutations(list("abcdef")))
def test_a_combination_has_one_name(used: frozenset[str], order: list[str]) -> None:
    assert combination([name for name in order if name in used]) == combination(used)
    assert set(combination(used).split("+")) == used


@given(ids, st.lists(ids, max_size=20))
def test_standing_together_allows_for_company(wanted: frozenset[str], chains: list[frozenset[str]]) -> None:
    found = together(combination(wanted), Counter(combination(chain) for chain in chains))
    assert found == sum(wanted <= chain for chain in chains)


def test_an_id_is_not_a_part_of_another() -> None:
    assert together("a+b", {"aa+b": 3, "a+b+c": 2, "a": 5}) == 2


@given(counts, counts)
def test_a_ratio_is_the_mean_of_its_linear_form(part: Array, whole: Array) -> None:
    whole = part + whole
    blocks = ratio_blocks([part, part[:, :2]], [whole, whole[:, :2]])
    total = whole.mean() + whole[:, :2].mean()
    if total == 0.0:
        assert blocks is None
        return
    assert blocks is not None
    share = (part.mean() + part[:, :2].mean()) / total
    assert np.mean([block.mean() for block in blocks]) == pytest.approx(share, abs=1e-9)


@given(counts)
def test_a_share_of_equal_wholes_is_a_plain_mean(part: Array) -> None:
    blocks = ratio_blocks([part], [np.full(part.shape, 72.0)])
    assert blocks is not None
    np.testing.assert_allclose(blocks[0][..., 0], part / 72, atol=1e-12)


def test_the_interval_of_a_ratio_holds_the_truth_as_often_as_it_says() -> None:
    """Questions that are solved more often also compose more often: a mean of shares would be another number."""
    rng = np.random.default_rng(1)
    questions, seeds, studies = 24, 4, 400
    hits = 0
    truth = 0.3 + 0.4 * (2 / 3)  # E[solved x compose] / E[solved], both depending on one uniform number
    for _ in range(studies):
        ease = rng.uniform(size=questions)
        solved = rng.binomial(72, np.broadcast_to(ease, (seeds, questions)))
        composed = rng.binomial(solved, np.clip(0.3 + 0.4 * ease + 0.03 * rng.standard_normal((seeds, 1)), 0, 1))
        blocks = ratio_blocks([composed.astype(float)], [solved.astype(float)])
        assert blocks is not None
        found = pooled(blocks, [draw_weights(questions, 400, rng)], draw_weights(seeds, 400, rng))
        [low], [high] = interval(found, 0.95)
        hits += low <= truth <= high
    assert 0.92 <= hits / studies <= 0.99
