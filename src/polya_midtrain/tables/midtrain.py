"""The table before RL: what mid-training alone does to pass@k."""

from __future__ import annotations

from polya_midtrain.params import Params
from polya_midtrain.tables import layout
from polya_midtrain.tables.counts import Counts
from polya_midtrain.tables.long import Row, build_rows
from polya_midtrain.tables.render import Page


def build(counts: Counts, params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV and the readable page; vanilla before RL is the base model."""
    rows = build_rows(counts, params.tables, "before")
    return rows, layout.page("pass@k after mid-training, before RL", rows, counts, params.tables, params.profile)
