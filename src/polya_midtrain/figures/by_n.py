"""pass@k at the largest k against n, the heuristics of mid-training, before and after RL."""

from __future__ import annotations

from polya_midtrain.figures.data import Table, interval, largest_k, sizes
from polya_midtrain.figures.passk import TABLE
from polya_midtrain.figures.style import (
    PHASE_LOOKS,
    STAR,
    VANILLA,
    Drawing,
    bars,
    legend,
    log2_axis,
    panels,
    reference,
)
from polya_midtrain.params import Params, studies
from polya_midtrain.tables.row import MEAN, PASS, Row


def draw(params: Params) -> Drawing | None:
    """A panel before and one after RL; vanilla and STaR, without an n, as level lines. None where no arm has one."""
    arms = studies.by_n(params.arms)
    if not arms:
        return None
    levels = {name: VANILLA for name in studies.main(params.arms) if params.arms[name].traces == "none"}
    levels |= dict.fromkeys(studies.stars(params.arms), STAR)
    figure, axes = panels(1, 2, 3.2, sharey=True)
    words = []
    shown: list[Row] = []
    for one, (phase, name) in zip(axes, TABLE.items(), strict=True):
        table = Table(name)
        k = largest_k(table.need(PASS, benchmark=MEAN, phase=phase))
        for arm, look in levels.items():
            (point,) = table.need(PASS, benchmark=MEAN, phase=phase, k=k, arm=arm)
            reference(one, point, look, arm)
            shown.append(point)
        points = [table.need(PASS, benchmark=MEAN, phase=phase, k=k, arm=arm)[0] for arm in arms]
        ns = [params.arms[arm].n for arm in arms]
        bars(one, ns, points, PHASE_LOOKS["after"], "n heuristics")
        log2_axis(one, ns, "n (heuristics)")
        one.set_title(f"{phase} RL")
        shown += points
        words.append(
            f"{phase} RL: "
            + ", ".join(f"n = {n} {point.value:.2f}" for n, point in zip(ns, points, strict=True))
            + "".join(
                f", {arm} {table.find(PASS, benchmark=MEAN, phase=phase, k=k, arm=arm)[0].value:.2f}" for arm in levels
            )
        )
    axes[0].set_ylabel(f"mean pass@{k} (share)")
    legend(figure, axes)
    last = shown[-1]
    return Drawing(
        figure,
        f"pass@{k} against n",
        f"Mean pass@{k} over benchmarks against n, the heuristics of mid-training: {sizes(last)}. Bars and bands "
        f"of the level lines: {interval(last, params)}. The n axis is logarithmic; the share axis does not start at 0.",
        f"Two charts of pass@{k} against n. {'; '.join(words)}.",
        tuple(f"reports/tables/{name}.csv" for name in TABLE.values()),
    )
