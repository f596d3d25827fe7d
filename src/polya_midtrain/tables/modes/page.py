"""The readable page of table modes."""

from __future__ import annotations

from collections.abc import Sequence

from polya_midtrain.results.small import PHASES
from polya_midtrain.tables.modes.cells import Cells
from polya_midtrain.tables.row import Row, Rows
from polya_midtrain.tables.shared import cells, render
from polya_midtrain.tables.shared.cells import SOURCES
from polya_midtrain.tables.shared.render import Grid, Page
from polya_midtrain.tables.shared.study import SLOPE

CLOSED = "closed form"
# Each step: its title, and its columns by the metric that they show; the closed form stands beside all but the first.
STEPS = {
    "positive": (
        "advantage +1 on a sampled fitting approach",
        {
            "moved": "it gains",
            "fitting": "share taken from other fitting ones",
            "risen": "other fitting modes that rise",
            "all risen": "points where all of them do",
        },
    ),
    "negative": (
        "advantage -1 on a sampled fitting approach",
        {
            "moved": "it moves",
            "fitting": "share that goes to other fitting ones",
            "unfit": "share that goes to unfit ones",
            "risen": "other fitting modes that rise",
        },
    ),
    "negative_unfit": (
        "advantage -1 on a sampled unfit approach",
        {
            "moved": "it moves",
            "fitting": "share that goes to fitting ones",
            "unfit": "share that goes to other unfit ones",
            "risen": "fitting modes that rise",
        },
    ),
    "expected": (
        "expectation over a group's samples",
        {
            "moved": "fitting approaches gain",
            "risen": "fitting modes that rise",
            "all risen": "points where all of them do",
        },
    ),
}


def page(rows: Sequence[Row], study: Cells, arms: Sequence[str], profile: str) -> Page:
    """Modes, effective numbers, trends over n and the steps, of ``arms``."""
    index = Rows(rows)
    effective = ("probability on fitting approaches", "probability on unfit approaches")
    grids = [
        _state(index, arms, "Modes at branch points", "modes", ("fitting modes",)),
        _state(
            index,
            arms,
            "Effective number of next tokens, and where the probability lies",
            "effective number",
            effective,
        ),
        _trends(index),
        *(_step(index, arms, step) for step in STEPS),
    ]
    return Page(
        title="Modes at branch points, and one policy-gradient step",
        grids=[grid for grid in grids if grid.rows],
        notes=render.notes(
            "modes/notes.j2",
            profile=profile,
            measured=study.measured,
            file=study.measured.settings,
            settings=study.settings,
            several=study.several,
            alpha=f"{study.alpha:.2g}",
            arms=len(study.draws),
            sources=SOURCES,
        ),
    )


def _phases(index: Rows, arm: str, metric: str) -> list[str]:
    return [cells.score(index.get(metric, arm=arm, phase=phase)) for phase in PHASES]


def _state(index: Rows, arms: Sequence[str], caption: str, metric: str, more: Sequence[str]) -> Grid:
    header = ["arm", f"{metric}, before RL", "after RL", "difference", "p"]
    header += [f"{name}, {phase} RL" for name in more for phase in PHASES]
    rows = []
    for arm in arms:
        after = index.get(metric, arm=arm, phase="after")
        moved = [cells.difference(after), cells.p_value(after)]
        others = [cell for name in more for cell in _phases(index, arm, name)]
        rows.append([arm, *_phases(index, arm, metric), *moved, *others])
    return Grid(caption=caption, header=header, rows=rows)


def _trends(index: Rows) -> Grid:
    rows = []
    for metric in index.by_metric:
        if metric.endswith(SLOPE):
            shown = [show(row) for row in index.find(metric) for show in (cells.change, cells.p_value)]
            rows.append([metric.removesuffix(f", {SLOPE}"), *shown])
    caption = "Change with each doubling of n (slope over log2 n, heuristic arms)"
    return Grid(caption=caption, header=["number", "before RL", "p", "after RL", "p"], rows=rows)


def _step(index: Rows, arms: Sequence[str], step: str) -> Grid:
    """The step's grid; without rows where no arm has it."""
    title, columns = STEPS[step]

    def cell(arm: str, phase: str, what: str) -> str:
        row, closed = (index.get(f"{step}: {what}{end}", arm=arm, phase=phase) for end in ("", f", {CLOSED}"))
        return cells.value(row) if what == "moved" else f"{cells.score(row)} ({cells.value(closed)})"

    header = ["arm", *(f"{phase} RL: {name}" for phase in PHASES for name in columns.values())]
    rows = [
        [arm, *(cell(arm, phase, what) for phase in PHASES for what in columns)]
        for arm in arms
        if index.find(f"{step}: moved", arm=arm)
    ]
    return Grid(caption=f"One step: {title}; in round brackets the {CLOSED}", header=header, rows=rows)
