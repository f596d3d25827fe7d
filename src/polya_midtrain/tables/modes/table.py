"""Modes: how many approaches a policy has at a branch point, and where one policy-gradient step takes probability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from polya_midtrain import paths, studies
from polya_midtrain.params import Params
from polya_midtrain.results import modes as modes_file
from polya_midtrain.results.modes import STEPS
from polya_midtrain.results.small import PHASES
from polya_midtrain.science import compare
from polya_midtrain.science.bootstrap import Array, Estimate, interval
from polya_midtrain.tables.modes import page
from polya_midtrain.tables.modes.cells import RATIOS, Cells
from polya_midtrain.tables.row import Row, tidy
from polya_midtrain.tables.shared.long import OVER_BOTH, OVER_QUESTIONS, SLOPE, by_doubling, pooled_name
from polya_midtrain.tables.shared.render import Page

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
ONE_STEP = "one step"  # the scope of rows about a step
UNBOUNDED = (-np.inf, np.inf)


def build(params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV, of all arms, and the readable page, of the main table's, from results/modes."""
    arms = list(params.arms)
    cells = Cells(modes_file.read(paths.MODES, arms, params.seeds), params.tables)
    weights = by_doubling({name: params.arms[name].n for name in studies.by_n(params.arms)})
    rows = [*_states(cells, arms), *_trends(cells, weights), *(row for arm in arms for row in _steps(cells, arm))]
    return rows, page.page(rows, cells, studies.main(params.arms), params.profile)


def _states(cells: Cells, arms: Sequence[str]) -> Iterator[Row]:
    """Metric x arm x phase x seeds; the pooled row after RL has the difference to that before."""
    seeds = cells.measured.seeds
    for column, (metric, unit) in STATE.items():
        blocks = {(arm, phase): cells.mean(arm, phase, column) for arm in arms for phase in PHASES}
        # Both are paired: a training seed's RL starts from that seed's mid-trained weights.
        moved = {
            arm: cells.estimate(arm, after - before)
            for arm in arms
            if (before := blocks[arm, "before"]) is not None and (after := blocks[arm, "after"]) is not None
        }
        changes = _columns(cells, moved, BEFORE)
        limits = (0.0, 1.0) if unit == "share" else (0.0, np.inf)
        for (arm, when), block in blocks.items():
            if block is None:
                continue
            for place, seed in enumerate(seeds if cells.several else ()):
                found = cells.estimate(arm, block, place)
                yield _row(cells, arm, when, metric, unit, found, limits, str(seed))
            more = changes[arm] if when == "after" else {}
            yield _row(cells, arm, when, metric, unit, cells.estimate(arm, block), limits, **more)


def _trends(cells: Cells, weights: Mapping[str, float]) -> Iterator[Row]:
    """Slopes over log2 n of the heuristic arms, before and after RL; all of them are one family of Holm's."""
    if not weights:
        return
    slopes: dict[tuple[str, str], Estimate] = {}
    for column in TRENDS:
        for phase in PHASES:
            blocks = {arm: block for arm in weights if (block := cells.mean(arm, phase, column)) is not None}
            slopes[column, phase] = cells.slope(blocks, weights)
    tests = _columns(cells, slopes, "")
    for (column, when), found in slopes.items():
        # The value is the effect itself: of the columns of a difference only the test's apply.
        more = {name: value for name, value in tests[column, when].items() if not name.startswith("diff")}
        metric = f"{STATE[column][0]}, {SLOPE}"
        yield _row(cells, "+".join(weights), when, metric, "modes per doubling of n", found, UNBOUNDED, **more)


def _steps(cells: Cells, arm: str) -> Iterator[Row]:
    """Per phase and step: what moved, and each ratio in the model, less the closed form, and in the closed form."""
    for phase in PHASES:
        for step in STEPS:
            for column, metric in (("moved", "moved"), ("table_moved", "moved, closed form at the same rate")):
                block = cells.mean(arm, phase, f"{step}.{column}")
                if block is not None:
                    found = cells.estimate(arm, block)
                    yield _row(cells, arm, phase, f"{step}: {metric}", "share", found, UNBOUNDED, scope=ONE_STEP)
            for what in RATIOS:
                ours, table = (cells.ratio(arm, phase, step, what, closed) for closed in (False, True))
                if ours is None or table is None or (step, what) == ("expected", "fitting"):
                    continue
                limits = (0.0, 1.0) if "risen" in what else UNBOUNDED
                gap = _columns(cells, {"": cells.estimate(arm, ours - table)}, CLOSED, tested=False)[""]
                metric = f"{step}: {what.replace('_', ' ')}"
                for name, block, more in ((metric, ours, gap), (f"{metric}, {CLOSED}", table, {})):
                    found = cells.estimate(arm, block)
                    yield _row(cells, arm, phase, name, "share", found, limits, scope=ONE_STEP, **more)


def _columns(
    cells: Cells, family: Mapping[Any, Estimate], reference: str, tested: bool = True
) -> dict[Any, dict[str, Any]]:
    """The columns of a difference, for a family of Holm's; no test with one training seed."""
    if not family:
        return {}
    confidence = cells.settings.confidence
    corrected = compare.holm(np.stack([compare.p_values(found) for found in family.values()]))
    columns: dict[Any, dict[str, Any]] = {}
    for (name, found), [p] in zip(family.items(), corrected, strict=True):
        [low], [high] = interval(found, confidence)
        columns[name] = {"diff": tidy(found.value[0]), "diff_low": tidy(low), "diff_high": tidy(high)}
        columns[name]["reference"] = reference
        if tested and cells.several:
            columns[name] |= {"p_holm": tidy(p), "significant": "yes" if p < 1.0 - confidence else "no"}
            [size] = compare.detectable(found.error, found.df, (1.0 - confidence) / len(family))
            if size > 0.0:  # 0: no spread to judge by
                columns[name]["detectable"] = tidy(size)
    return columns


def _row(
    cells: Cells,
    arm: str,
    phase: str,
    metric: str,
    unit: str,
    found: Estimate,
    limits: tuple[float, float],
    seed: str = "",
    scope: str = "",
    **more: Any,
) -> Row:
    ends: list[Array] = [np.clip(end, *limits) for end in interval(found, cells.settings.confidence)]
    return Row(
        arm=arm,
        phase=phase,
        benchmark=scope,
        metric=metric,
        k=None,
        value=tidy(found.value[0]),
        low=tidy(ends[0][0]),
        high=tidy(ends[1][0]),
        unit=unit,
        n_questions=len(cells.measured.questions),
        n_samples=0 if not scope or metric.startswith("expected") else 1,
        seeds=seed or pooled_name(cells.measured.seeds),
        paper=None,
        method=OVER_BOTH if cells.several and not seed else OVER_QUESTIONS,
        **more,
    )
