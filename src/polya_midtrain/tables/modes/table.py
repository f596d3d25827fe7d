"""Modes: how many approaches a policy has at a branch point, and where one policy-gradient step takes probability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from polya_midtrain import paths
from polya_midtrain.params import Params, studies
from polya_midtrain.results import modes
from polya_midtrain.results.modes import STEPS
from polya_midtrain.results.small import PHASES
from polya_midtrain.science.bootstrap import Estimate
from polya_midtrain.tables.modes import page
from polya_midtrain.tables.modes.cells import RATIOS, Cells
from polya_midtrain.tables.row import Row
from polya_midtrain.tables.shared.render import Page
from polya_midtrain.tables.shared.study import SHARES, SLOPE, UNBOUNDED, by_doubling

# Metric and unit of each column that describes a policy.
STATE = {
    "modes": ("modes", "modes"),
    "fitting_modes": ("fitting modes", "modes"),
    "effective": ("effective number", "modes"),
    "fitting": ("probability on fitting approaches", "share"),
    "unfit": ("probability on unfit approaches", "share"),
}
TRENDS = ("modes", "fitting_modes", "effective")
BEFORE, CLOSED = "before RL", "closed form"  # what a `diff` is relative to


def build(params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV, of all arms, and the readable page, of the main table's, from results/modes."""
    arms = list(params.arms)
    cells = Cells(modes.read(paths.MODES, arms, params.runs), params.tables)
    weights = by_doubling({name: params.arms[name].n for name in studies.by_n(params.arms)})
    rows = [*_states(cells, arms), *_trends(cells, weights), *(row for arm in arms for row in _steps(cells, arm))]
    return rows, page.page(rows, cells, studies.main(params.arms), params.profile)


def _states(cells: Cells, arms: Sequence[str]) -> Iterator[Row]:
    """Metric x arm x phase x seeds; the pooled row after RL has the difference to that before."""
    for column, (metric, unit) in STATE.items():
        blocks = {(arm, phase): cells.block(arm, phase, column) for arm in arms for phase in PHASES}
        # Both are paired: a training seed's RL starts from that seed's mid-trained weights.
        moved = {
            arm: cells.estimate(arm, after - before)
            for arm in arms
            if (before := blocks[arm, "before"]) is not None and (after := blocks[arm, "after"]) is not None
        }
        changes = cells.differences(moved, BEFORE, UNBOUNDED)
        limits = SHARES if unit == "share" else (0.0, np.inf)
        for (arm, phase), block in blocks.items():
            if block is None:
                continue
            for place in cells.places():
                more = changes[arm][0] if (place, phase) == (None, "after") else {}
                found = cells.estimate(arm, block, place)
                yield _row(cells, found, limits, place, arm=arm, phase=phase, metric=metric, unit=unit, **more)


def _trends(cells: Cells, weights: Mapping[str, float]) -> Iterator[Row]:
    """Slopes over log2 n of the heuristic arms, before and after RL; all of them are one family of Holm's."""
    slopes: dict[tuple[str, str], Estimate] = {}
    for column in TRENDS if weights else ():
        for phase in PHASES:
            blocks = {arm: block for arm in weights if (block := cells.block(arm, phase, column)) is not None}
            slopes[column, phase] = cells.slope(blocks, weights)
    for (column, when), [test] in cells.tests(slopes).items():
        where = {"arm": "+".join(weights), "phase": when, "metric": f"{STATE[column][0]}, {SLOPE}"}
        yield _row(cells, slopes[column, when], UNBOUNDED, unit="modes per doubling of n", **where, **test)


def _steps(cells: Cells, arm: str) -> Iterator[Row]:
    """Per phase and step: what moved, and each ratio in the model, less the closed form, and in the closed form."""
    for phase in PHASES:
        for step in STEPS:
            # The expected step takes no sample.
            where = {"arm": arm, "phase": phase, "benchmark": "one step", "n_samples": int(step != "expected")}
            for column, metric in (("moved", "moved"), ("table_moved", "moved, closed form at the same rate")):
                block = cells.block(arm, phase, f"{step}.{column}")
                if block is not None:
                    yield _row(cells, cells.estimate(arm, block), UNBOUNDED, metric=f"{step}: {metric}", **where)
            for what in RATIOS:
                ours, table = (cells.ratio(arm, phase, step, what, closed) for closed in (False, True))
                if ours is None or table is None or (step, what) == ("expected", "fitting"):
                    continue
                limits = SHARES if "risen" in what else UNBOUNDED
                # A gap to the closed form is described and not tested.
                gap = cells.differences({"": cells.estimate(arm, ours - table)}, CLOSED, UNBOUNDED, tested=False)[""][0]
                metric = f"{step}: {what.replace('_', ' ')}"
                yield _row(cells, cells.estimate(arm, ours), limits, metric=metric, **where, **gap)
                yield _row(cells, cells.estimate(arm, table), limits, metric=f"{metric}, {CLOSED}", **where)


def _row(cells: Cells, found: Estimate, limits: tuple[float, float], place: int | None = None, /, **more: Any) -> Row:
    points = len(cells.measured.questions)
    return cells.row(place, n_questions=points, **cells.columns(found, limits)[0], **more)
