"""What a policy-gradient step does to a softmax whose logits are free: the closed form that models are held against.

A branch point is a choice among n tokens with logits z and probabilities p = softmax(z). Three facts, each derived
where its function stands, and tested against automatic differentiation and simulation in
tests/test_science_softmax.py:

1. *One sampled step.* Ascent on A ln p_i gives dz = r A (e_i - p), r being the learning rate, and to first order
   dp_j = r A p_j (1[j=i] - p_i - p_j + |p|^2), |p|^2 = sum_k p_k^2. With A > 0 the sampled i always rises. Of the
   others, those with p_i + p_j > |p|^2 fall and only those below rise; among n equal modes p_i + p_j = 2/n > 1/n, so
   **a positive step on one mode lowers all the other modes**. With A < 0 the signs turn: the mass goes to the modes
   with p_i + p_j > |p|^2, the larger ones first, right or wrong; among n equal modes to all n - 1 others alike.
2. *The expected step.* Over the policy's own samples, with A = reward less its mean, the expectation of (1) is
   dz_j = r p_j (R_j - R), R_j being the reward of choosing j and R = sum_k p_k R_k. Every rewarded mode's logit rises,
   every other's falls; **n equal rewarded modes all rise in probability**. Of unequal ones a small one may still fall,
   for the large ones rise faster.
3. *A GRPO group* of G samples with rewards 0 or 1, normalised by their mean and standard deviation, has the expected
   step (2) times a factor that depends on G and R alone (see `group_factor`), exactly and not to first order.

So the paper's two statements hold in a table of free logits in this form: a negative advantage does move mass to the
other modes (fact 1), and positive advantages raise all rewarded modes in expectation over samples (facts 2 and 3), not
in a single step. A network is no such table: its tokens share weights, and a step may carry over from one to another.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EPSILON = 1e-4  # what trl's GRPOTrainer adds to a group's standard deviation
_LARGEST = 500.0  # of a step in logits; e^500 is still a number


def sampled_direction(p: Array, i: int) -> Array:
    """The gradient (n,) of ln p_i in the logits: ``e_i - p``."""
    direction = -p
    direction[i] += 1.0
    return direction


def expected_direction(p: Array, rewards: Array) -> Array:
    """The expectation (n,) of ``A (e_i - p)`` over i ~ p with A = R_i - R: ``p_j (R_j - R)``; its sum is 0."""
    return np.asarray(p * (rewards - p @ rewards))


def first_order(p: Array, direction: Array) -> Array:
    """dp/dt (n,) at t = 0 of softmax(z + t direction): ``p_j (d_j - sum_k p_k d_k)``; its sum is 0."""
    return np.asarray(p * (direction - p @ direction))


def step(p: Array, direction: Array, size: float) -> Array:
    """softmax(z + size direction) (n,), exactly, for z with softmax(z) = p."""
    moved = size * direction
    grown = p * np.exp(moved - moved[p > 0].max())
    return np.asarray(grown / grown.sum())


def step_until(p: Array, direction: Array, chosen: NDArray[np.bool_], mass: float) -> Array:
    """`step` of the size, of either sign, at which the ``chosen`` tokens (n,) together have probability ``mass``.

    This is what compares a table of logits with a network, in which a learning rate means something else: both move
    the same probability, and the question is where the rest of it goes. It needs ``chosen`` to be those with the
    larger ``direction`` throughout, which makes their probability grow with the size (its derivative is a covariance
    of two variables that rise together). Raises ValueError where that fails or the mass is out of reach.
    """
    from scipy.optimize import brentq

    if not chosen.any() or chosen.all() or direction[chosen].min() < direction[~chosen].max():
        raise ValueError("the chosen tokens are not those that the direction raises over the others")

    def excess(size: float) -> float:
        return float(step(p, direction, size)[chosen].sum()) - mass

    largest = _LARGEST / max(float(np.abs(direction).max()), np.finfo(float).tiny)
    if not 0.0 < mass < 1.0 or excess(-largest) * excess(largest) > 0.0:
        raise ValueError(f"no step reaches a probability of {mass}")
    return step(p, direction, float(brentq(excess, -largest, largest, xtol=1e-12, rtol=1e-14, maxiter=500)))


def group_factor(mean: float, generations: int, epsilon: float = EPSILON) -> float:
    """f >= 0 such that the expected GRPO step at one choice is ``f * expected_direction`` for rewards of 0 and 1.

    ``mean``: R, the chance that a sample is rewarded. Let c of the G = ``generations`` samples be, and s be the group's
    standard deviation (with G - 1 in its denominator, as trl has it). The advantages (reward - c/G) / (s + epsilon) sum
    to 0 over the group, so the group's mean of A (e_i - p) is that of A e_i. Given c, a rewarded sample is j with
    probability p_j / R and one without reward with p_j / (1 - R). With w = E[(c/G)(1 - c/G) / (s + epsilon)] under
    c ~ Binomial(G, R), the expectation is w p_j / R for rewarded j and -w p_j / (1 - R) for others, which is
    w / (R (1 - R)) times p_j (R_j - R). Groups that agree have no advantages: f is 0 where R is 0 or 1.
    """
    from scipy.stats import binom

    if not 0.0 < mean < 1.0:
        return 0.0
    shares = np.arange(generations + 1) / generations
    spread = shares * (1.0 - shares)
    deviation = np.sqrt(spread * generations / (generations - 1))
    expected = binom.pmf(np.arange(generations + 1), generations, mean) @ (spread / (deviation + epsilon))
    return float(expected) / (mean * (1.0 - mean))


def effective_number(p: Array) -> float:
    """exp of the entropy of ``p`` (n,): from 1, all on one token, to n, all alike."""
    held = p[p > 0]
    return math.exp(-float(held @ np.log(held)))
