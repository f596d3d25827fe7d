"""Composition: chains that use two heuristics or more, before and after RL, and their combinations."""

from __future__ import annotations

from polya_midtrain import paths, studies
from polya_midtrain.params import Params
from polya_midtrain.results import composition as results
from polya_midtrain.tables.composition import page
from polya_midtrain.tables.composition.rates import Rates
from polya_midtrain.tables.composition.rows import build_rows
from polya_midtrain.tables.row import Row
from polya_midtrain.tables.shared.render import Page


def build(params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV and the readable page, from results/composition.json."""
    arms = studies.main(params.arms)
    found = results.read(paths.COMPOSITION, arms, params.compose.benchmarks, params.seeds)
    rates = Rates(found, arms, params.tables)
    rows = build_rows(rates, {name: params.arms[name].n for name in studies.by_n(params.arms)})
    return rows, page.page(rows, rates, params.profile)
