"""The scores of one phase and the bootstrap's draws, shared by everything that is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polya_midtrain.params import Tables
from polya_midtrain.science import compare
from polya_midtrain.science.bootstrap import Array, draw_weights, interval, pooled
from polya_midtrain.science.passk import pass_at_k
from polya_midtrain.seeding import derive
from polya_midtrain.tables.counts import Counts

REFERENCE = "vanilla"  # what every arm is compared with; params.yaml must declare it


@dataclass(frozen=True)
class Scores:
    """Shares and their interval's ends, (m,) each: pass@k in the order of ks, then truncated and no answer."""

    value: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Comparison:
    """An arm less vanilla, (ks,) each: difference, interval, detectable difference and Holm-corrected p."""

    diff: Array
    diff_low: Array
    diff_high: Array
    detectable: Array
    p_holm: Array


class Study:
    """One phase ("before" or "after" RL) of all arms, ready to be summarised over any set of benchmarks.

    Questions are drawn alike for every arm, phase and k, hence paired; seeds for each arm on their own.
    """

    def __init__(self, counts: Counts, settings: Tables, phase: str) -> None:
        self.counts, self.settings = counts, settings
        self.ks = sorted(set(settings.ks))
        self.alpha = 1.0 - settings.confidence
        self._blocks = {
            (arm, benchmark): self._shares(arm, phase, benchmark)
            for arm in counts.arms
            for benchmark in counts.benchmarks
        }
        self._questions = {name: self._draws("questions", name, self.size([name])) for name in counts.benchmarks}
        self._seeds = {arm: self._draws("seeds", arm, len(counts.seeds)) for arm in counts.arms}

    def size(self, benchmarks: Sequence[str]) -> int:
        """The number of questions of some benchmarks together."""
        return sum(self._blocks[REFERENCE, benchmark].shape[1] for benchmark in benchmarks)

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
        """Every other arm against vanilla at each k, Holm's family being the arms."""
        arms = [arm for arm in self.counts.arms if arm != REFERENCE]
        if not arms:
            return {}
        differences = [
            compare.paired_difference(
                self._passes(arm, benchmarks),
                self._passes(REFERENCE, benchmarks),
                [self._questions[benchmark] for benchmark in benchmarks],
                self._seeds[arm],
                self._seeds[REFERENCE],
            )
            for arm in arms
        ]
        corrected = compare.holm(np.stack([compare.p_values(difference) for difference in differences]))
        found = {}
        for arm, difference, p_holm in zip(arms, differences, corrected, strict=True):
            low, high = np.clip(interval(difference, self.settings.confidence), -1.0, 1.0)
            detectable = compare.detectable(difference.error, difference.df, self.alpha / len(arms))
            found[arm] = Comparison(difference.value, low, high, detectable, p_holm)
        return found

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
