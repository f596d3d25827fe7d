"""Every table of the study, in the page's order: a module tables/NAME/table.py with a function `build`, and a line here
and in dvc.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from polya_midtrain import paths


class Table(NamedTuple):
    """``inputs``: what it is made from, beside results/counts; ``figures``: the modules of figures/ that show it."""

    inputs: Path
    figures: tuple[str, ...] = ()


TABLES = {
    "main": Table(paths.COUNTS, ("passk", "by_n", "training")),
    "midtrain": Table(paths.COUNTS),
    "budget": Table(paths.COUNTS, ("budget",)),
    "correctness": Table(paths.COUNTS, ("correctness",)),
    "composition": Table(paths.COMPOSITION, ("composition",)),
    "diversity": Table(paths.COUNTS, ("diversity",)),
    "transfer": Table(paths.COUNTS, ("transfer",)),
    "modes": Table(paths.MODES, ("modes",)),
    "map": Table(paths.MODES, ("map",)),
}
LEDGER_FIGURES = ("claims",)  # of the ledger
FIGURES = (*LEDGER_FIGURES, *(name for table in TABLES.values() for name in table.figures))
