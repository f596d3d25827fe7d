"""What the intervals and tests of every table come from: one bootstrap over questions and training seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from polya_midtrain.params import Tables
from polya_midtrain.paths import base_of
from polya_midtrain.science import compare
from polya_midtrain.science.bootstrap import Array, Estimate, draw_weights, interval, pooled
from polya_midtrain.seeding import derive
from polya_midtrain.tables.row import Row, line, pooled_name, tidy

OVER_QUESTIONS = "bootstrap over questions"
OVER_BOTH = "bootstrap over questions and seeds"
OVER_BASES = "bootstrap over questions and bases"
SLOPE = "slope over log2 n"  # of several arms' means
SHARES, DIFFERENCES, UNBOUNDED = (0.0, 1.0), (-1.0, 1.0), (-np.inf, np.inf)

Blocks = Mapping[str, Array]  # benchmark -> (seeds, questions, m)
Columns = dict[str, Any]  # of a row
K = TypeVar("K")


class Study:
    """Estimates of m statistics over questions and training seeds, and what they say in a row's columns.

    Questions are drawn alike for every arm and phase, hence paired; seeds for each arm on their own. The draws depend
    on names, not on places: an arm's numbers are the same in every table. ``seeds``: the numbers of the training runs;
    ``questions``: how many, by benchmark; ``samples``: of each.

    Where the runs start from several bases, bases are drawn in place of seeds, each with the mean over its runs: a
    reader wants to know about other bases, and the runs of one are more alike than those of two. All arms start from
    the same bases, so these are paired as questions are.
    """

    def __init__(
        self, settings: Tables, seeds: Sequence[int], questions: Mapping[str, int], arms: Iterable[str], samples: int
    ) -> None:
        self.settings, self.seeds, self.sizes, self.samples = settings, tuple(seeds), dict(questions), samples
        self.alpha = 1.0 - settings.confidence
        self.several = len(self.seeds) > 1  # with one training seed no test is made
        self.questions = {name: draws(settings, size, "questions", name) for name, size in questions.items()}
        self.bases = [base_of(run) for run in self.seeds]  # of each run
        bases = set(self.bases)
        self.nested = len(bases) > 1
        if self.nested:
            self.draws = dict.fromkeys(arms, draws(settings, len(bases), "bases"))
        else:
            self.draws = {arm: draws(settings, len(self.seeds), "seeds", arm) for arm in arms}

    def mean(self, arm: str, blocks: Blocks, place: int | None = None) -> Estimate:
        """The mean over the benchmarks in ``blocks``, pooled over seeds, or of the one seed at a place."""
        questions = [self.questions[name] for name in blocks]
        if place is None:
            return pooled(list(blocks.values()), questions, self.draws[arm], self.bases)
        return pooled([block[place : place + 1] for block in blocks.values()], questions, None)

    def contrast(self, blocks: Mapping[str, Blocks], weights: Mapping[str, float]) -> Estimate:
        """The sum of arms' means, each times its weight; ``blocks``: by arm, of the same benchmarks."""
        questions = [self.questions[name] for name in blocks[next(iter(weights))]]
        held = [list(blocks[arm].values()) for arm in weights]
        seeds = [self.draws[arm] for arm in weights]
        return compare.contrast(held, list(weights.values()), questions, seeds, self.bases)

    def columns(self, found: Estimate, limits: tuple[float, float]) -> list[Columns]:
        """Value and interval of each statistic, its ends within ``limits``."""
        return columns(found, self.settings, limits)

    def tests(self, family: Mapping[K, Estimate], tested: bool = True) -> dict[K, list[Columns]]:
        """The test of each statistic, Holm's family being all of one place; with one training seed no test is made,
        which would take that seed's luck for the method."""
        if not self.several or not tested or not family:
            return {name: [{} for _ in found.value] for name, found in family.items()}
        alone = np.stack([compare.p_values(found) for found in family.values()])
        tests = {}
        for (name, found), *values in zip(family.items(), compare.holm(alone), alone, strict=True):
            sizes = compare.detectable(found.error, found.df, self.alpha / len(family))
            tests[name] = [
                {"p_holm": tidy(p), "significant": "yes" if p < self.alpha else "no", "p": tidy(single)}
                | ({"detectable": tidy(size)} if size > 0.0 else {})  # 0: no spread to judge by
                for p, single, size in zip(*values, sizes, strict=True)
            ]
        return tests

    def differences(
        self,
        family: Mapping[K, Estimate],
        reference: str,
        limits: tuple[float, float] = DIFFERENCES,
        tested: bool = True,
    ) -> dict[K, list[Columns]]:
        """The columns of differences to ``reference``, with their tests."""
        return {
            name: [
                {f"diff_{end}".removesuffix("_value"): value for end, value in found.items()}
                | test
                | {"reference": reference}
                for found, test in zip(self.columns(family[name], limits), tests, strict=True)
            ]
            for name, tests in self.tests(family, tested).items()
        }

    def row(self, place: int | None = None, /, **columns: Any) -> Row:
        """A row over all training seeds, or of the one at a place."""
        return line(
            **{
                "n_samples": self.samples,
                "seeds": pooled_name(self.seeds if place is None else [self.seeds[place]]),
                "method": self.method if place is None and self.several else OVER_QUESTIONS,
            }
            | columns
        )

    @property
    def method(self) -> str:
        """How a pooled row's interval is made."""
        return OVER_BASES if self.nested else OVER_BOTH

    def places(self) -> list[int | None]:
        """The training seeds, if there are several, and all of them together."""
        return [*(range(len(self.seeds)) if self.several else ()), None]


def draws(settings: Tables, units: int, *names: str) -> Array:
    """The bootstrap's draws of what the names stand for, (resamples, units)."""
    return draw_weights(units, settings.resamples, np.random.default_rng(derive(settings.seed, "tables", *names)))


def columns(found: Estimate, settings: Tables, limits: tuple[float, float]) -> list[Columns]:
    """Value and interval of each statistic as a row's columns, its ends within ``limits``."""
    low, high = (np.clip(end, *limits) for end in interval(found, settings.confidence))
    ends = zip(found.value, low, high, strict=True)
    return [{"value": tidy(value), "low": tidy(below), "high": tidy(above)} for value, below, above in ends]


def by_doubling(sizes: Mapping[str, int]) -> dict[str, float]:
    """The weights of arms whose sum is the slope of their means over log2 n; none where there is a single n.

    ``sizes``: each arm's n.
    """
    if len(set(sizes.values())) < 2:
        return {}
    return dict(zip(sizes, compare.slope([math.log2(n) for n in sizes.values()]), strict=True))
