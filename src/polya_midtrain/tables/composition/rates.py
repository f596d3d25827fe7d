"""Rates of composition, from the counts of results/composition.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from polya_midtrain.params import Tables
from polya_midtrain.results.composition import Composition, Frequency
from polya_midtrain.results.small import PHASES
from polya_midtrain.science.bootstrap import Array, Factor, by_base, estimate
from polya_midtrain.science.composition import ratio_blocks
from polya_midtrain.tables.shared.study import SHARES, Blocks, Columns, Study


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


class Rate(NamedTuple):
    """A rate by benchmark, and how many ``questions`` it comes from: those with a chain to judge it by."""

    blocks: Blocks
    questions: int


class Rates(Study):
    """The arms' rates over any set of benchmarks."""

    def __init__(self, file: Composition, arms: Sequence[str], settings: Tables) -> None:
        sizes = {name: len(asked.questions) for name, asked in file.benchmarks.items()}
        super().__init__(settings, file.seeds, sizes, arms, file.samples)
        self.file, self.arms, self.benchmarks = file, list(arms), list(sizes)

    def rate(
        self, metric: str, arm: str, phase: str, members: Sequence[str], seeds: slice = slice(None)
    ) -> Rate | None:
        """None where there are no chains to be a share of."""
        part, of, _, trained = METRICS[metric]
        if trained and not self.file.arms[arm].midtraining.rows:
            return None
        above, below = (
            [self._counts(metric, arm, phase, name, field)[seeds] for name in members] for field in (part, of)
        )
        found = ratio_blocks(above, below)
        size = sum(int(counts.any(axis=0).sum()) for counts in below)
        return None if found is None else Rate(dict(zip(members, found, strict=True)), size)

    def score(
        self, metric: str, arm: str, phase: str, members: Sequence[str], place: int | None = None
    ) -> Columns | None:
        """A rate pooled over seeds, or of the one at a place, as a row's columns."""
        found = self.rate(metric, arm, phase, members, slice(None) if place is None else slice(place, place + 1))
        if found is None:
            return None
        pooled = self.mean(arm, found.blocks, None if place is None else 0)
        return {**self.columns(pooled, SHARES)[0], "n_questions": found.questions}

    def moved(self, metric: str, arm: str, members: Sequence[str]) -> Blocks | None:
        """After less before RL, questions and training seeds both paired: a seed's RL starts from that seed's
        mid-trained weights."""
        before, after = (self.rate(metric, arm, phase, members) for phase in PHASES)
        if before is None or after is None:
            return None
        return {name: block - before.blocks[name] for name, block in after.blocks.items()}

    def frequency(self, arm: str, counted: Frequency) -> Columns:
        """The share of all chains that have one combination."""
        strata, by_seed = [], []
        for name, draws in self.questions.items():
            questions = np.array(counted.by_question[name], float) / (self.samples * len(self.seeds))
            by_seed.append(np.array(counted.by_seed[name], float) / (self.samples * len(questions)))
            strata.append(Factor(questions[:, None], draws))
        found = estimate(strata, [Factor(by_base(np.mean(by_seed, axis=0)[:, None], self.bases), self.draws[arm])])
        return {**self.columns(found, SHARES)[0], "n_questions": sum(self.sizes.values())}

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
