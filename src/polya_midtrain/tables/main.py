"""The main table: pass@k after RL, of every arm."""

from __future__ import annotations

from polya_midtrain.params import Params
from polya_midtrain.tables import layout
from polya_midtrain.tables.counts import Counts
from polya_midtrain.tables.long import Row, build_rows
from polya_midtrain.tables.render import Page


def build(counts: Counts, params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV and the readable page."""
    rows = build_rows(counts, params.tables, "after")
    return rows, layout.page("pass@k after RL", rows, counts, params.tables, params.profile)
