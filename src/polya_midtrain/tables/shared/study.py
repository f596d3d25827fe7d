"""The scores of one phase and the bootstrap's draws, shared by everything that is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from polya_midtrain.common.seeding import derive
from polya_midtrain.errors import UserError
from polya_midtrain.params import PARAMS_FILE, Tables
from polya_midtrain.results.counts import Counts
from polya_midtrain.science import compare
from polya_midtrain.science.bootstrap import Array, draw_weights, interval, pooled
from polya_midtrain.science.passk import pass_at_k
from polya_midtrain.studies import REFERENCE

K = TypeVar("K")


@dataclass(frozen=True)
class Scores:
    """Shares and their interval's ends, (m,) each: pass@k in the order of ks, then truncated and no answer."""

    value: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Comparison:
    """A contrast of arms, such as one less vanilla, (ks,) each: interval, detectable size and Holm-corrected p."""

    diff: Array
    diff_low: Array
    diff_high: Array
    detectable: Array
    p_holm: Array


class Study:
    """One phase ("before" or "after" RL) of all arms, ready to be summarised over any set of benchmarks.

    Questions are drawn alike for every arm, phase and k, hence paired; seeds for each arm on their own. The draws
    depend on names, not on places: an arm's numbers are the same in every table. Raises `UserError` when the counts
    hold fewer samples than the largest k.
    """

    def __init__(self, counts: Counts, settings: Tables, phase: str) -> None:
        if max(settings.ks) > counts.samples:
            raise UserError(
                f"{PARAMS_FILE}: tables.ks: k={max(settings.ks)}, but the counts hold {counts.samples} samples a "
                "question; lower k, or raise evaluate.samples and run `dvc repro`"
            )
        self.counts, self.settings, self.phase = counts, settings, phase
        self.ks = sorted(set(settings.ks))
        self.alpha = 1.0 - settings.confidence
        self.several = len(counts.seeds) > 1  # training seeds; with one no test is made
        self._blocks = {
            (arm, benchmark): self._shares(arm, phase, benchmark)
            for arm in counts.arms
            for benchmark in counts.benchmarks
        }
        self._questions = {name: self._draws("questions", name, self.size([name])) for name in counts.benchmarks}
        self._seeds = {arm: self._draws("seeds", arm, len(counts.seeds)) for arm in counts.arms}

    def size(self, benchmarks: Sequence[str]) -> int:
        """The number of questions of some benchmarks together."""
        return sum(self._blocks[self.counts.arms[0], benchmark].shape[1] for benchmark in benchmarks)

    def scores(self, arm: str, benchmarks: Sequence[str], seed: int | None = None) -> Scores:
        """An arm's mean over benchmarks, pooled over seeds, or of the one seed at a position."""
        blocks = [self._blocks[arm, benchmark] for benchmark in benchmarks]
        if seed is not None:
            blocks = [block[seed : seed + 1] for block in blocks]
        questions = [self._questions[benchmark] for benchmark in benchmarks]
        estimated = pooled(blocks, questions, self._seeds[arm] if seed is None else None)
        low, high = interval(estimated, self.settings.confidence)
        return Scores(estimated.value, np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0))

    def comparisons(self, benchmarks: Sequence[str]) -> dict[str, Comparison]:
        """Every other arm less vanilla at each k, Holm's family being the arms."""
        arms = [arm for arm in self.counts.arms if arm != REFERENCE]
        return self.contrasts({arm: {arm: 1.0, REFERENCE: -1.0} for arm in arms}, benchmarks)

    def contrasts(self, family: Mapping[K, Mapping[str, float]], benchmarks: Sequence[str]) -> dict[K, Comparison]:
        """Sums of pass@k at each k, named: every arm in one times its coefficient. All are one family of Holm's."""
        if not family:
            return {}
        estimates = [
            compare.contrast(
                [self._passes(arm, benchmarks) for arm in members],
                list(members.values()),
                [self._questions[benchmark] for benchmark in benchmarks],
                [self._seeds[arm] for arm in members],
            )
            for members in family.values()
        ]
        corrected = compare.holm(np.stack([compare.p_values(estimated) for estimated in estimates]))
        found = {}
        for name, estimated, p_holm in zip(family, estimates, corrected, strict=True):
            low, high = np.clip(interval(estimated, self.settings.confidence), -1.0, 1.0)
            detectable = compare.detectable(estimated.error, estimated.df, self.alpha / len(family))
            found[name] = Comparison(estimated.value, low, high, detectable, p_holm)
        return found

    def relative(self, arm: str, reference: str, benchmarks: Sequence[str]) -> compare.RelativeChange:
        """An arm's pass@k over another's, less 1, at each k."""
        return compare.relative_change(
            self._passes(arm, benchmarks),
            self._passes(reference, benchmarks),
            [self._questions[benchmark] for benchmark in benchmarks],
            self._seeds[arm],
            self._seeds[reference],
            self.settings.confidence,
        )

    def _passes(self, arm: str, benchmarks: Sequence[str]) -> list[Array]:
        return [self._blocks[arm, benchmark][..., : len(self.ks)] for benchmark in benchmarks]

    def _draws(self, what: str, name: str, units: int) -> Array:
        rng = np.random.default_rng(derive(self.settings.seed, "tables", what, name))
        return draw_weights(units, self.settings.resamples, rng)

    def _shares(self, arm: str, phase: str, benchmark: str) -> Array:
        """(seeds, questions, m), m as in `Scores`."""
        cell, samples = self.counts.cells[arm, phase, benchmark], self.counts.samples
        scores = [pass_at_k(cell.correct, samples, k) for k in self.ks]
        return np.stack([*scores, cell.truncated / samples, cell.no_answer / samples], axis=-1)
