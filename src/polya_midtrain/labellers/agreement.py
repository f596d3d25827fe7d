"""How well a judge's labels agree with an annotator's: shares with intervals, from the counts of `validate.measure`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import NamedTuple

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A number with its interval."""

    value: float
    low: float
    high: float


def total(counts: Iterable[Sequence[int]]) -> tuple[int, int, int]:
    """Hits, false and missed labels of all heuristics together, which count alike label by label (micro average)."""
    hits, false, missed = (sum(column) for column in zip(*counts, strict=True))
    return hits, false, missed


def share(part: int, whole: int) -> Estimate | None:
    """A share with Wilson's interval; None of nothing.

    Labels are taken as independent of each other, those of one chain too, so that the interval is if anything narrow.
    """
    from scipy.stats import binomtest

    if not whole:
        return None
    ends = binomtest(part, whole).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(part / whole, float(ends.low), float(ends.high))


def f1(hits: int, false: int, missed: int) -> Estimate | None:
    """The harmonic mean of precision and recall.

    It is no share itself, but grows with one: 2 J / (1 + J), where J is the share of hits among all labels that either
    side gave. So Wilson's interval of J gives its own.
    """
    jaccard = share(hits, hits + false + missed)
    return Estimate(*(2 * value / (1 + value) for value in jaccard)) if jaccard else None


def kappa(composed: Sequence[int]) -> Estimate | None:
    """Cohen's kappa of a yes or no: agreement beyond that of two who answer as often yes and guess.

    ``composed``: chains with a yes [by label and judge, by judge alone, by label alone, by neither]. The interval is
    that of large samples (Fleiss, Cohen and Everitt 1969), cut at -1 and 1. None where guessing would agree always.
    """
    from scipy.stats import norm

    number = sum(composed)
    both, judge_alone, label_alone, neither = (count / number for count in composed)
    by_label, by_judge = both + label_alone, both + judge_alone
    chance = by_label * by_judge + (1 - by_label) * (1 - by_judge)
    if chance == 1:
        return None
    value = (both + neither - chance) / (1 - chance)
    rest = 1 - value
    agreed = both * (1 - (by_label + by_judge) * rest) ** 2 + neither * (1 - (2 - by_label - by_judge) * rest) ** 2
    # A disagreement weighs how often each side gives the answer that the other gave here.
    differed = label_alone * (by_judge + 1 - by_label) ** 2 + judge_alone * (by_label + 1 - by_judge) ** 2
    variance = (agreed + rest**2 * differed - (value - chance * rest) ** 2) / (number * (1 - chance) ** 2)
    reach = float(norm.ppf((1 + CONFIDENCE) / 2)) * sqrt(max(0.0, variance))
    return Estimate(value, max(-1.0, value - reach), min(1.0, value + reach))
