"""The columns of results/modes, over branch points and training seeds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from polya_midtrain.params import Tables
from polya_midtrain.results.modes import Measured
from polya_midtrain.science.bootstrap import Array, Estimate
from polya_midtrain.science.composition import ratio_blocks
from polya_midtrain.tables.shared.study import Study

RATIOS = ("fitting", "unfit", "risen", "all_risen")  # of a step; see `Cells.ratio`
POINTS = "branch points"


class Cells(Study):
    """Blocks (seeds, questions, 1) of what the table shows, and their estimates."""

    def __init__(self, measured: Measured, settings: Tables) -> None:
        arms = dict.fromkeys(arm for arm, _ in measured.cells)
        super().__init__(settings, measured.seeds, {POINTS: len(measured.questions)}, arms, 0)
        self.measured = measured
        self._place = {name: index for index, name in enumerate(measured.settings.columns[3:])}

    def column(self, arm: str, phase: str, name: str) -> Array:
        """(seeds, questions) of one column."""
        return self.measured.cells[arm, phase][..., self._place[name]]

    def block(self, arm: str, phase: str, name: str) -> Array | None:
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

    def estimate(self, arm: str, block: Array, place: int | None = None) -> Estimate:
        """Pooled over seeds, or of the one at a place."""
        return self.mean(arm, {POINTS: block}, place)

    def slope(self, blocks: Mapping[str, Array], weights: Mapping[str, float]) -> Estimate:
        """The sum of several arms' means, each times its weight."""
        return self.contrast({arm: {POINTS: block} for arm, block in blocks.items()}, weights)
