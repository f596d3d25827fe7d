"""The columns of results/modes summarised over branch points and training seeds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from polya_midtrain.common.seeding import derive
from polya_midtrain.params import Tables
from polya_midtrain.results.modes import Measured
from polya_midtrain.science.bootstrap import Array, Estimate, draw_weights, pooled
from polya_midtrain.science.compare import contrast
from polya_midtrain.science.composition import ratio_blocks

RATIOS = ("fitting", "unfit", "risen", "all_risen")  # of a step; see `Cells.ratio`


class Cells:
    """Blocks (seeds, questions, 1) of what the table shows, and their estimates over questions and seeds.

    Questions are drawn alike for every arm, phase and step, seeds for each arm on their own, by the same names as in
    `study.Study`.
    """

    def __init__(self, measured: Measured, settings: Tables) -> None:
        self.measured, self.settings = measured, settings
        self.several = len(measured.seeds) > 1
        self._place = {name: index for index, name in enumerate(measured.settings.columns[3:])}
        self._questions = self._draws("questions", "branch points", len(measured.questions))
        self._seeds = {arm: self._draws("seeds", arm, len(measured.seeds)) for arm, _ in measured.cells}

    def column(self, arm: str, phase: str, name: str) -> Array:
        """(seeds, questions) of one column."""
        return self.measured.cells[arm, phase][..., self._place[name]]

    def mean(self, arm: str, phase: str, name: str) -> Array | None:
        """The block of a column; None where it has no numbers."""
        found = self.column(arm, phase, name)
        return None if np.isnan(found).any() else found[..., None]

    def ratio(self, arm: str, phase: str, step: str, what: str, table: bool) -> Array | None:
        """The block of a ratio of sums over branch points; None where there is nothing to divide by.

        fitting, unfit: of the probability that the moved approaches gained or lost, the share that came from or went to
        these. risen: of the (other) fitting modes, the share that rose. all_risen: of the branch points that have any,
        the share at which all of them rose. Sums first, so that a branch point weighs by how much there was to move or
        to rise; the spread is that of the ratio's linear form (`science.composition.ratio_blocks`).
        """

        def of(name: str) -> Array:
            return self.column(arm, phase, f"{step}.{name}")

        moved, others = of("moved"), of("others")
        lead = "table_" if table else ""
        if np.isnan(moved).any():
            return None
        if what in ("fitting", "unfit"):
            found = ratio_blocks([-of(lead + what)], [moved])
        else:
            risen = of(f"{lead}risen")
            if what == "all_risen":
                risen, others = ((risen == others) & (others > 0)).astype(float), (others > 0).astype(float)
            found = ratio_blocks([risen], [others])
        return None if found is None else found[0]

    def estimate(self, arm: str, block: Array, seed: int | None = None) -> Estimate:
        """Pooled over seeds, or of the one seed at a position."""
        if seed is not None:
            return pooled([block[seed : seed + 1]], [self._questions], None)
        return pooled([block], [self._questions], self._seeds[arm])

    def slope(self, blocks: Mapping[str, Array], weights: Mapping[str, float]) -> Estimate:
        """The sum of several arms' means, each times its weight."""
        return contrast(
            [[blocks[arm]] for arm in weights],
            list(weights.values()),
            [self._questions],
            [self._seeds[arm] for arm in weights],
        )

    def _draws(self, what: str, name: str, units: int) -> Array:
        rng = np.random.default_rng(derive(self.settings.seed, "tables", what, name))
        return draw_weights(units, self.settings.resamples, rng)
