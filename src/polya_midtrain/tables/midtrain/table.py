"""The table before RL: what mid-training alone does to pass@k."""

from __future__ import annotations

from polya_midtrain.params import Params, studies
from polya_midtrain.tables.row import Row
from polya_midtrain.tables.shared import layout
from polya_midtrain.tables.shared.render import Page
from polya_midtrain.tables.shared.scores import Scores, build_rows


def build(params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV and the readable page, from results/counts; vanilla before RL is the base model."""
    scores = Scores.read(params, studies.main(params.arms))["before"]
    rows = build_rows(scores, params, means=params.tables.beside)
    return rows, layout.page("pass@k after mid-training, before RL", rows, scores, params)
