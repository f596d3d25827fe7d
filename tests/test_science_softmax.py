"""The closed forms, against automatic differentiation, brute force and simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from polya_midtrain.science import softmax
from polya_midtrain.science.softmax import Array

logits = st.lists(st.floats(-6, 6), min_size=2, max_size=9)
advantages = st.floats(-2, 2).filter(lambda a: abs(a) > 1e-3)


def probabilities(z: list[float]) -> Array:
    grown = np.exp(np.array(z) - max(z))
    return np.asarray(grown / grown.sum())


@settings(max_examples=60, deadline=None)
@given(logits, st.data(), advantages, st.floats(0.001, 3))
def test_a_sampled_step_is_that_of_automatic_differentiation(
    z: list[float], data: st.DataObject, advantage: float, rate: float
) -> None:
    i = data.draw(st.integers(0, len(z) - 1))
    free = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    (advantage * free.log_softmax(0)[i]).backward()
    assert free.grad is not None
    after = (free + rate * free.grad).softmax(0).detach().numpy()
    p = probabilities(z)
    np.testing.assert_allclose(softmax.step(p, softmax.sampled_direction(p, i), rate * advantage), after, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(logits, st.lists(st.booleans(), min_size=9, max_size=9), st.floats(0.001, 3))
def test_the_expected_step_is_the_gradient_of_the_mean_reward(z: list[float], right: list[bool], rate: float) -> None:
    rewards = np.array(right[: len(z)], dtype=float)
    free = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    (free.softmax(0) @ torch.tensor(rewards)).backward()
    assert free.grad is not None
    p = probabilities(z)
    direction = softmax.expected_direction(p, rewards)
    np.testing.assert_allclose(direction, free.grad.numpy(), atol=1e-12)
    after = (free + rate * free.grad).softmax(0).detach().numpy()
    np.testing.assert_allclose(softmax.step(p, direction, rate), after, atol=1e-12)
    # ... and the mean of the sampled directions, each with its advantage.
    mean = sum(
        p[i] * (rewards[i] - p @ rewards) * softmax.sampled_direction(p, i) for i in range(len(z))
    )  # no baseline is needed for the mean, but it is there in training
    np.testing.assert_allclose(direction, mean, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(logits, st.data())
def test_first_order_is_the_derivative_and_keeps_the_sum(z: list[float], data: st.DataObject) -> None:
    p = probabilities(z)
    direction = np.array(data.draw(st.lists(st.floats(-2, 2), min_size=len(p), max_size=len(p))))
    slope = softmax.first_order(p, direction)
    assert slope.sum() == pytest.approx(0.0, abs=1e-12)
    ahead, behind = (softmax.step(p, direction, size) for size in (1e-5, -1e-5))
    np.testing.assert_allclose((ahead - behind) / 2e-5, slope, atol=1e-8)


@settings(max_examples=60, deadline=None)
@given(logits, st.data())
def test_who_rises_in_a_sampled_step(z: list[float], data: st.DataObject) -> None:
    p = probabilities(z)
    i = data.draw(st.integers(0, len(p) - 1))
    slope = softmax.first_order(p, softmax.sampled_direction(p, i))
    others = np.arange(len(p)) != i
    # dp_j = p_j (1[j=i] - p_i - p_j + |p|^2), and a negative advantage turns every sign.
    np.testing.assert_allclose(slope, p * (~others - p[i] - p + p @ p), atol=1e-15)
    for size in (0.3, 5.0):
        assert softmax.step(p, softmax.sampled_direction(p, i), size)[i] > p[i]
        assert softmax.step(p, softmax.sampled_direction(p, i), -size)[i] < p[i]
    assert ((slope[others] > 0) == (p[i] + p[others] < p @ p)).all()


@pytest.mark.parametrize("n", [2, 3, 16])
@pytest.mark.parametrize("size", [1e-4, 0.5, 4.0])
def test_among_n_equal_modes_one_sampled_step_moves_all_others_the_other_way(n: int, size: float) -> None:
    p = np.full(n, 1 / n)
    direction = softmax.sampled_direction(p, 0)
    up, down = (softmax.step(p, direction, sign * size) - p for sign in (1, -1))
    assert up[0] > 0
    assert (up[1:] < 0).all()
    assert down[0] < 0
    np.testing.assert_allclose(down[1:], -down[0] / (n - 1))  # to every one of the others alike
    np.testing.assert_allclose(softmax.first_order(p, direction)[1:], -1 / n**2)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_expected_step_raises_every_one_of_n_equal_rewarded_modes(n: int) -> None:
    wrong = np.array([0.25, 0.1, 0.05])
    p = np.concatenate([np.full(n, (1 - wrong.sum()) / n), wrong])
    rewards = (np.arange(len(p)) < n).astype(float)
    for size in (1e-3, 1.0, 20.0):
        change = softmax.step(p, softmax.expected_direction(p, rewards), size) - p
        assert (change[:n] > 0).all()
        assert change[n:].sum() < 0


def test_the_expected_step_lowers_a_small_rewarded_mode_beside_a_large_one() -> None:
    p, rewards = np.array([0.7, 0.05, 0.25]), np.array([1.0, 1.0, 0.0])
    change = softmax.first_order(p, softmax.expected_direction(p, rewards))
    assert change[0] > 0 > change[1]


def test_a_negative_step_on_a_rare_approach_feeds_the_largest_mode_right_or_wrong() -> None:
    p = np.array([0.02, 0.9, 0.04, 0.04])  # the first is punished
    change = softmax.step(p, softmax.sampled_direction(p, 0), -1.0) - p
    assert (change > 0).tolist() == [False, True, False, False]


@settings(max_examples=60, deadline=None)
@given(logits, st.data(), st.floats(0.01, 0.99))
def test_a_step_until_reaches_its_mass(z: list[float], data: st.DataObject, mass: float) -> None:
    p = probabilities(z)
    i = data.draw(st.integers(0, len(p) - 1))
    chosen = np.arange(len(p)) == i
    after = softmax.step_until(p, softmax.sampled_direction(p, i), chosen, mass)
    assert after[i] == pytest.approx(mass, abs=1e-9)
    assert after.sum() == pytest.approx(1.0)
    # It is a step of some size along the same direction, up or down as the mass asks.
    assume(abs(mass - p[i]) > 1e-6)
    direction = softmax.sampled_direction(p, i)
    moved, along = (values - values[i] for values in (np.log(after / p), direction))
    size = float(moved @ along / (along @ along))
    assert np.sign(size) == np.sign(mass - p[i])
    np.testing.assert_allclose(after, softmax.step(p, direction, size), atol=1e-9)


def test_a_step_until_of_several_tokens_and_what_it_refuses() -> None:
    p = np.array([0.3, 0.2, 0.4, 0.1])
    chosen = np.array([True, True, False, False])
    direction = softmax.expected_direction(p, chosen.astype(float))
    for mass in (0.05, 0.5, 0.97):
        assert softmax.step_until(p, direction, chosen, mass)[chosen].sum() == pytest.approx(mass)
    for mass in (0.0, 1.0):
        with pytest.raises(ValueError, match="no step reaches"):
            softmax.step_until(p, direction, chosen, mass)
    with pytest.raises(ValueError, match="not those that the direction raises"):
        softmax.step_until(p, -direction, chosen, 0.6)
    with pytest.raises(ValueError, match="not those"):
        softmax.step_until(p, direction, np.ones(4, dtype=bool), 0.6)


def group_step(p: Array, rewards: Array, group: tuple[int, ...]) -> Array:
    """The mean direction of a GRPO group, its advantages as trl's GRPOTrainer makes them."""
    found = torch.tensor(rewards[list(group)])
    advantage = ((found - found.mean()) / (found.std() + softmax.EPSILON)).numpy()
    return np.asarray(
        np.mean([a * softmax.sampled_direction(p, i) for a, i in zip(advantage, group, strict=True)], axis=0)
    )


@pytest.mark.parametrize("generations", [2, 3, 5])
@pytest.mark.parametrize("right", [(0,), (0, 1), (2,)])
def test_the_group_factor_by_going_through_all_groups(generations: int, right: tuple[int, ...]) -> None:
    p = np.array([0.5, 0.2, 0.3])
    rewards = np.isin(np.arange(3), right).astype(float)
    expected = sum(
        np.prod(p[list(group)]) * group_step(p, rewards, group) for group in product(range(3), repeat=generations)
    )
    factor = softmax.group_factor(float(p @ rewards), generations)
    np.testing.assert_allclose(factor * softmax.expected_direction(p, rewards), expected, atol=1e-12)


def test_groups_that_agree_move_nothing_and_rare_rewards_weigh_more() -> None:
    assert softmax.group_factor(0.0, 16) == softmax.group_factor(1.0, 16) == 0.0
    factors = [softmax.group_factor(mean, 16) for mean in (0.5, 0.1, 0.01)]
    assert factors == sorted(factors)
    assert softmax.group_factor(0.5, 5000) == pytest.approx(2.0, rel=1e-3)  # in large groups: 1 / standard deviation


@settings(max_examples=60, deadline=None)
@given(logits)
def test_the_effective_number_lies_between_one_and_n(z: list[float]) -> None:
    p = probabilities(z)
    assert 1.0 - 1e-9 <= softmax.effective_number(p) <= len(p) + 1e-9
    assert softmax.effective_number(np.array([0.0, 1.0, 0.0])) == 1.0
    assert softmax.effective_number(np.full(len(p), 1 / len(p))) == pytest.approx(len(p))
    # Modes with nothing in common add up: half the mass on a copy elsewhere doubles the number.
    assert softmax.effective_number(np.concatenate([p, p]) / 2) == pytest.approx(2 * softmax.effective_number(p))
