"""The Vendi score: what is known of it, and what its draws and halves say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polya_midtrain.science import vendi
from polya_midtrain.science.bootstrap import student
from polya_midtrain.science.vendi import Array


def random_vectors(seed: int, n: int, d: int) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal((n, d)))


sizes = st.tuples(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 12))


@pytest.mark.parametrize("n", [1, 2, 9])
@pytest.mark.parametrize("d", [1, 4, 20])
def test_identical_traces_score_one(n: int, d: int) -> None:
    assert vendi.score(np.tile(random_vectors(1, 1, d), (n, 1))) == pytest.approx(1.0)


@pytest.mark.parametrize(("n", "d"), [(1, 1), (5, 5), (4, 30)])
def test_orthogonal_traces_score_their_number(n: int, d: int) -> None:
    rotation = np.linalg.qr(random_vectors(2, d, d))[0]
    assert vendi.score(rotation[:n] * np.arange(1, n + 1)[:, None]) == pytest.approx(n)


@settings(max_examples=40, deadline=None)
@given(sizes)
def test_order_length_rotation_and_spare_dimensions_do_not_matter(shape: tuple[int, int, int]) -> None:
    vectors = random_vectors(*shape)
    n, d = vectors.shape
    rng = np.random.default_rng(shape[0])
    score = vendi.score(vectors)
    assert 1.0 - 1e-9 <= score <= n + 1e-9
    assert score <= d + 1e-9  # no more than there are directions
    assert vendi.score(rng.permutation(vectors)) == pytest.approx(score)
    assert vendi.score(vectors * rng.uniform(0.1, 9.0, (n, 1))) == pytest.approx(score)
    assert vendi.score(vectors @ np.linalg.qr(rng.standard_normal((d, d)))[0]) == pytest.approx(score)
    assert vendi.score(np.pad(vectors, ((0, 0), (0, 2 * n)))) == pytest.approx(score)


@settings(max_examples=40, deadline=None)
@given(sizes)
def test_it_is_the_entropy_of_the_similarity_matrix(shape: tuple[int, int, int]) -> None:
    vectors = random_vectors(*shape)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(unit @ unit.T / len(unit))
    values = values[values > 1e-12]
    assert vendi.score(vectors) == pytest.approx(np.exp(-values @ np.log(values)))


@settings(max_examples=40, deadline=None)
@given(sizes, st.integers(2, 4))
def test_saying_everything_again_adds_nothing(shape: tuple[int, int, int], times: int) -> None:
    vectors = random_vectors(*shape)
    assert vendi.score(np.tile(vectors, (times, 1))) == pytest.approx(vendi.score(vectors))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_of_kinds_with_nothing_in_common_it_is_their_effective_number(counts: list[int]) -> None:
    shares = np.array(counts) / sum(counts)
    vectors = np.repeat(np.eye(len(counts)), counts, axis=0)
    assert vendi.score(vectors) == pytest.approx(np.exp(-shares @ np.log(shares)))
    vectors = np.pad(vectors, ((0, 0), (0, 1)))
    kinds = np.eye(len(counts) + 1)
    assert vendi.score(np.vstack([vectors, kinds[-1]])) > vendi.score(vectors)  # a trace of a new kind
    if len(counts) > 1:  # one more of the most frequent
        assert vendi.score(np.vstack([vectors, kinds[np.argmax(counts)]])) < vendi.score(vectors)


def test_what_has_no_direction_has_no_score() -> None:
    with pytest.raises(ValueError, match="no vector of zeros"):
        vendi.score(np.array([[1.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(ValueError, match="at least one trace"):
        vendi.score(np.empty((0, 3)))


def test_draws_are_of_equal_size_and_repeat_nothing() -> None:
    vectors = np.eye(12)
    found = vendi.draws(vectors, 5, 30, np.random.default_rng(1))
    np.testing.assert_allclose(found, 5.0)  # with replacement, fewer than five would differ
    np.testing.assert_array_equal(found, vendi.draws(vectors, 5, 30, np.random.default_rng(1)))
    with pytest.raises(ValueError, match="12 traces, fewer than the 13"):
        vendi.draws(vectors, 13, 30, np.random.default_rng(1))


def test_scores_grow_with_size_and_settle_at_the_whole() -> None:
    vectors = random_vectors(3, 40, 6)
    means = [vendi.draws(vectors, size, 60, np.random.default_rng(1)).mean() for size in (2, 5, 15, 40)]
    assert means == sorted(means)
    whole = vendi.draws(vectors, 40, 60, np.random.default_rng(1))
    np.testing.assert_allclose(whole, vendi.score(vectors))  # the same set in another order


def test_two_sets_are_scored_at_the_smaller_ones_size() -> None:
    few, many = np.eye(20)[:4], np.eye(20)
    rng = np.random.default_rng(1)
    assert vendi.at_equal_size(few, many, 10, rng) == pytest.approx((4.0, 4.0))
    assert vendi.at_equal_size(many, few, 10, rng) == pytest.approx((4.0, 4.0))


def kinds(rng: np.random.Generator, questions: int, weights: Array) -> dict[str, Array]:
    """Four traces a question, each question with a leaning of its own to some of the kinds."""
    found = {}
    for name in range(questions):
        leaning = rng.dirichlet(6.0 * weights)
        found[str(name)] = np.eye(len(weights))[rng.choice(len(weights), 4, p=leaning)]
    return found


def test_halves_take_the_same_questions_from_both_sets() -> None:
    rng = np.random.default_rng(1)
    ours = kinds(rng, 20, np.full(4, 0.25))
    found = vendi.halves(ours, ours, 25, rng)
    assert found.shape == (25, 2)
    np.testing.assert_allclose(found[:, 0], found[:, 1])
    assert found[:, 0].std() > 0
    with pytest.raises(ValueError, match="two questions"):
        vendi.halves({"a": np.eye(2)}, {"a": np.eye(2)}, 5, rng)
    with pytest.raises(ValueError, match="both sets answer"):
        vendi.halves({"a": np.eye(2)}, {"b": np.eye(2)}, 5, rng)


def test_the_spread_over_halves_is_that_over_other_questions() -> None:
    rng = np.random.default_rng(2)
    many, few = np.array([0.3, 0.25, 0.15, 0.1, 0.1, 0.1]), np.array([0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
    differences, spreads, tests = [], [], []
    for _ in range(150):
        ours, theirs = kinds(rng, 40, many), kinds(rng, 40, few)
        whole = [vendi.score(np.concatenate(list(vectors.values()))) for vectors in (ours, theirs)]
        differences.append(whole[0] - whole[1])
        parts = vendi.halves(ours, theirs, 15, rng)
        spreads.append(np.subtract(*parts.T).std())
        tests.append(vendi.apart(whole, parts, 40))
    assert np.sqrt(np.mean(np.square(spreads))) == pytest.approx(np.std(differences), rel=0.25)
    # With 15 halves of each the error is known to a fifth; the degrees of freedom count that.
    ends = np.array([student(found, 0.95) for found in tests])[:, :, 0]
    truth = np.mean(differences)
    assert 0.9 <= np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])) <= 0.99
    assert {found.df[0] for found in tests} == {14.0}
