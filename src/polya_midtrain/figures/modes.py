"""Modes at branch points: how many by n, and where one policy-gradient step takes probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from polya_midtrain.figures.data import Table, count, interval
from polya_midtrain.figures.style import (
    GREY,
    PHASE_LOOKS,
    VANILLA,
    Drawing,
    bars,
    dots,
    legend,
    log2_axis,
    names_axis,
    reference,
    stacked,
)
from polya_midtrain.params import Params, studies
from polya_midtrain.results.small import PHASES
from polya_midtrain.tables.row import Row, in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STATE = {"fitting modes": "fitting modes", "effective number": "effective number of tokens"}
# Metrics of table modes about one step, and what a reader is told of them.
WENT = {
    "positive: fitting": "rewarded: gained from the other fitting",
    "positive: unfit": "rewarded: gained from the unfit",
    "negative: fitting": "punished: lost to the other fitting",
    "negative: unfit": "punished: lost to the unfit",
    "negative_unfit: fitting": "unfit, punished: lost to the fitting",
    "negative_unfit: unfit": "unfit, punished: lost to the other unfit",
}
ROSE = {
    "positive: risen": "rewarded",
    "negative: risen": "punished",
    "negative_unfit: risen": "unfit, punished",
    "expected: risen": "expected over a group",
}
CLOSED = ", closed form"
APART = 0.17


def draw(params: Params) -> Drawing | None:
    """Modes by n on top; below, of the arm of largest n, the steps in the model and in free logits.

    None where no arm has an n.
    """
    arms = studies.by_n(params.arms)
    if not arms:
        return None
    table = Table("modes")
    last = arms[-1]
    lower = [
        (title, {metric: label for metric, label in lines.items() if table.find(metric, arm=last)})
        for title, lines in (
            ("where the moved probability came from or went", WENT),
            ("the other fitting modes that rose (expected: of all)", ROSE),
        )
    ]
    lower = [(title, lines) for title, lines in lower if lines]
    heights = [2.8, *(0.95 + 0.29 * len(lines) for _, lines in lower)]
    figure, (upper, *below) = stacked([len(STATE), *(1 for _ in lower)], 0.3 + sum(heights), heights)
    words = [_by_n(params, table, upper, arms)]
    for [axes], (title, lines) in zip(below, lower, strict=True):
        words.append(_steps(table, axes, last, lines))
        axes.set_title(f"{last}, one step: {title}")
        axes.set_xlabel("share")
    legend(figure, [*upper, *(axes for [axes] in below)])
    shown = table.need("fitting modes", phase="after", arm=last)[0]
    return Drawing(
        figure,
        "Modes at branch points",
        f"Next-token distribution where an approach is chosen: {count(shown.n_questions, 'branch point')}, "
        f"{in_words(shown.runs)}. Fitting: right for the part in question. Below, one policy-gradient "
        f"step on a sampled approach, rewarded (advantage +1) or punished (-1), and the expected step over a group. "
        f"Bars and bands: {interval(shown, params)}. Grey: free logits, the closed form.",
        " ".join(words),
        (f"{table.path}",),
    )


def _by_n(params: Params, table: Table, axes: Sequence[Axes], arms: Sequence[str]) -> str:
    words = []
    ns = [params.arms[arm].n for arm in arms]
    for one, (metric, label) in zip(axes, STATE.items(), strict=True):
        for phase in PHASES:
            points = [table.need(metric, phase=phase, arm=arm)[0] for arm in arms]
            bars(one, ns, points, PHASE_LOOKS[phase], f"{phase} RL")
            values = ", ".join(f"n = {n} {point.value:.2f}" for n, point in zip(ns, points, strict=True))
            words.append(f"{label} {phase} RL: {values}.")
        reference(
            one, table.need(metric, phase="after", arm=studies.REFERENCE)[0], VANILLA, f"{studies.REFERENCE} after RL"
        )
        log2_axis(one, ns, "n (heuristics)")
        one.set_title(label)
        one.set_ylim(bottom=0.0)
    return "Above, two charts against n. " + " ".join(words)


def _steps(table: Table, axes: Axes, arm: str, lines: dict[str, str]) -> str:
    words = []
    for phase, shift in zip(PHASES, (-APART, APART), strict=True):
        places: list[float] = []
        points: list[Row] = []
        for place, (metric, label) in enumerate(lines.items()):
            closed = table.find(metric + CLOSED, phase=phase, arm=arm)
            for point in table.find(metric, phase=phase, arm=arm):
                places.append(place + shift)
                points.append(point)
                words.append(
                    f"{label}, {phase} RL {point.value:.2f}"
                    + "".join(f" (closed form {other.value:.2f})" for other in closed)
                )
            for other in closed:
                mark = [other.value], [place + shift]
                axes.plot(*mark, "|", color=GREY, markersize=9, markeredgewidth=2, label="closed form")
        if points:
            dots(axes, points, places, PHASE_LOOKS[phase], f"{phase} RL")
    names_axis(axes, list(lines.values()))
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.02), max(high, 1.02))
    return f"One step in {arm}: {'; '.join(words)}."
