"""Rates of composition with their spread, from the counts of results/composition.json."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from polya_midtrain.common.seeding import derive
from polya_midtrain.params import Tables
from polya_midtrain.results.composition import Composition, Frequency
from polya_midtrain.results.small import PHASES
from polya_midtrain.science import compare
from polya_midtrain.science.bootstrap import Array, Estimate, Factor, draw_weights, estimate, interval, pooled
from polya_midtrain.science.composition import ratio_blocks
from polya_midtrain.tables.row import tidy


class Metric(NamedTuple):
    """A share: of the chains counted in ``of`` ("" for all), those counted in ``part``.

    ``free``: only of questions that have more parts than a right answer needs heuristics; ``trained``: only for arms
    with mid-training.
    """

    part: str
    of: str
    free: bool = False
    trained: bool = False


RATE, CORRECT, FREE = "composition rate", "composition rate of correct chains", "free composition rate"
NEW, NEW_CORRECT = "new combination rate", "new combination rate of correct chains"
SILENT = "chains without a heuristic"
METRICS = {
    RATE: Metric("composed", ""),
    CORRECT: Metric("composed_correct", "correct"),
    FREE: Metric("spare", "correct", free=True),
    NEW: Metric("new", "composed", trained=True),
    NEW_CORRECT: Metric("new_correct", "composed_correct", trained=True),
    SILENT: Metric("silent", ""),
}
SHARES, DIFFERENCES = (0.0, 1.0), (-1.0, 1.0)


class Score(NamedTuple):
    """A value, its interval, and how many questions it comes from: those with a chain to judge it by."""

    value: float
    low: float
    high: float
    questions: int


class Rates:
    """The arms' rates, ready to be summarised over any set of benchmarks.

    Draws are named as those of `study.Study`, so that questions and seeds are resampled alike in all tables. What has
    no chains to be a share of is None.
    """

    def __init__(self, file: Composition, arms: Sequence[str], settings: Tables) -> None:
        self.file, self.arms, self.settings = file, list(arms), settings
        self.benchmarks, self.seeds, self.samples = list(file.benchmarks), file.seeds, file.samples
        self.several = len(self.seeds) > 1
        self._questions = {
            name: self._draws("questions", name, len(asked.questions)) for name, asked in file.benchmarks.items()
        }
        self._seeds = {arm: self._draws("seeds", arm, len(self.seeds)) for arm in arms}

    def score(self, metric: str, arm: str, phase: str, members: Sequence[str], seed: int | None = None) -> Score | None:
        """A rate pooled over seeds, or of one seed."""
        rows = slice(None) if seed is None else slice(self.seeds.index(seed), self.seeds.index(seed) + 1)
        blocks = self._blocks(metric, arm, phase, members, rows)
        if blocks is None:
            return None
        questions = [self._questions[name] for name in members]
        found = pooled(blocks, questions, self._seeds[arm] if seed is None else None)
        return self._score(found, SHARES, self._size(metric, arm, phase, members, rows))

    def changes(self, metric: str, members: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Per arm the difference columns of after less before RL; the arms are one family of Holm's.

        Questions and training seeds are both paired: a seed's RL starts from that seed's mid-trained weights.
        """
        moved = {arm: blocks for arm in self.arms if (blocks := self._moved(metric, arm, members)) is not None}
        questions = [self._questions[name] for name in members]
        found = {arm: pooled(blocks, questions, self._seeds[arm]) for arm, blocks in moved.items()}
        return self._columns(found)

    def trend(self, metric: str, sizes: Mapping[str, int]) -> Iterator[tuple[str, Score, dict[str, Any]]]:
        """Per phase the slope over log2 n of the arms in ``sizes``, after RL with the columns of its change.

        Nothing where there are not two sizes, or where an arm has no rate.
        """
        if len(set(sizes.values())) < 2:
            return
        coefficients = compare.slope([math.log2(n) for n in sizes.values()])
        for phase in PHASES:
            blocks = [self._blocks(metric, arm, phase, self.benchmarks) for arm in sizes]
            moved = [self._moved(metric, arm, self.benchmarks) for arm in sizes]
            if any(one is None for one in [*blocks, *moved]):
                return
            found = self._contrast(blocks, coefficients, sizes)
            change: dict[str, Estimate] = (
                {"after": self._contrast(moved, coefficients, sizes)} if phase == "after" else {}
            )
            questions = max(self._size(metric, arm, phase, self.benchmarks) for arm in sizes)
            yield phase, self._score(found, DIFFERENCES, questions), self._columns(change).get("after", {})

    def frequency(self, arm: str, counted: Frequency) -> Score:
        """The share of all chains that have one combination."""
        chains, strata, by_seed = self.samples, [], []
        for name, draws in self._questions.items():
            questions = np.array(counted.by_question[name], float) / (chains * len(self.seeds))
            by_seed.append(np.array(counted.by_seed[name], float) / (chains * len(questions)))
            strata.append(Factor(questions[:, None], draws))
        runs = [Factor(np.mean(by_seed, axis=0)[:, None], self._seeds[arm])]
        return self._score(estimate(strata, runs), SHARES, sum(len(stratum.values) for stratum in strata))

    def _contrast(
        self, blocks: Sequence[Sequence[Array] | None], coefficients: Sequence[float], arms: Mapping[str, int]
    ) -> Estimate:
        known = [block for block in blocks if block is not None]
        questions = [self._questions[name] for name in self.benchmarks]
        return compare.contrast(known, coefficients, questions, [self._seeds[arm] for arm in arms])

    def _columns(self, family: Mapping[str, Estimate]) -> dict[str, dict[str, Any]]:
        """Differences as the columns of a row; with one training seed no test."""
        if not family:
            return {}
        corrected = compare.holm(np.stack([compare.p_values(found) for found in family.values()]))
        alpha = 1.0 - self.settings.confidence
        columns: dict[str, dict[str, Any]] = {}
        for (name, found), [p] in zip(family.items(), corrected, strict=True):
            score = self._score(found, DIFFERENCES, 0)
            columns[name] = {"diff": score.value, "diff_low": score.low, "diff_high": score.high}
            if self.several:
                columns[name] |= {"p_holm": tidy(p), "significant": "yes" if p < alpha else "no"}
                [size] = compare.detectable(found.error, found.df, alpha / len(family))
                if size > 0.0:  # 0: no spread to judge by
                    columns[name]["detectable"] = tidy(size)
        return columns

    def _score(self, found: Estimate, limits: tuple[float, float], questions: int) -> Score:
        [low], [high] = (np.clip(end, *limits) for end in interval(found, self.settings.confidence))
        return Score(tidy(found.value[0]), tidy(low), tidy(high), questions)

    def _moved(self, metric: str, arm: str, members: Sequence[str]) -> list[Array] | None:
        before, after = (self._blocks(metric, arm, phase, members) for phase in PHASES)
        if before is None or after is None:
            return None
        return [late - early for early, late in zip(before, after, strict=True)]

    def _blocks(
        self, metric: str, arm: str, phase: str, members: Sequence[str], rows: slice = slice(None)
    ) -> list[Array] | None:
        if METRICS[metric].trained and not self.file.arms[arm].midtraining.rows:
            return None
        parts = [self._counts(metric, arm, phase, name, METRICS[metric].part)[rows] for name in members]
        return ratio_blocks(parts, self._denominators(metric, arm, phase, members, rows))

    def _denominators(
        self, metric: str, arm: str, phase: str, members: Sequence[str], rows: slice = slice(None)
    ) -> list[Array]:
        return [self._counts(metric, arm, phase, name, METRICS[metric].of)[rows] for name in members]

    def _size(self, metric: str, arm: str, phase: str, members: Sequence[str], rows: slice = slice(None)) -> int:
        return sum(int(counts.any(axis=0).sum()) for counts in self._denominators(metric, arm, phase, members, rows))

    def _counts(self, metric: str, arm: str, phase: str, benchmark: str, field: str) -> Array:
        """(seeds, questions); 0 for the questions that a metric leaves aside."""
        asked = self.file.benchmarks[benchmark]
        shape = (len(self.seeds), len(asked.questions))
        if not field:
            return np.full(shape, float(self.samples))
        counts = np.array(getattr(getattr(self.file.arms[arm], phase), field)[benchmark], float)
        if not METRICS[metric].free:
            return counts
        if asked.parts is None or asked.needs is None:
            return np.zeros(shape)
        return counts * (np.array(asked.parts) > np.array(asked.needs))

    def _draws(self, what: str, name: str, units: int) -> Array:
        rng = np.random.default_rng(derive(self.settings.seed, "tables", what, name))
        return draw_weights(units, self.settings.resamples, rng)
