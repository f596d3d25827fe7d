"""Correctness or diversity: right, wrong and mixed traces of the same questions and heuristics."""

from __future__ import annotations

from polya_midtrain.figures.data import Table, interval, sizes
from polya_midtrain.figures.style import (
    TRACE_LOOKS,
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
    """Mean pass@k at both ends of k against n; None where no arm learns from right, wrong or mixed traces."""
    arms = studies.correctness(params.arms)
    if not arms:
        return None
    table = Table("correctness")
    ks = sorted({point.k or 0 for point in table.need(PASS, benchmark=MEAN, phase="after")})
    ends = sorted({ks[0], ks[-1]})
    figure, axes = panels(1, len(ends), 3.2)
    ns = sorted({params.arms[arm].n for arm in arms})
    words = []
    for one, k in zip(axes, ends, strict=True):
        (vanilla,) = table.need(PASS, benchmark=MEAN, phase="after", k=k, arm=studies.REFERENCE)
        reference(one, vanilla, VANILLA, f"{studies.REFERENCE} (no mid-training)")
        said = [f"{studies.REFERENCE} {vanilla.value:.2f}"]
        for shift, (traces, look) in enumerate(TRACE_LOOKS.items(), start=-1):
            chosen = [arm for arm in arms if params.arms[arm].traces == traces]
            points: list[Row] = [table.need(PASS, benchmark=MEAN, phase="after", k=k, arm=arm)[0] for arm in chosen]
            if points:
                bars(one, [params.arms[arm].n * 1.06**shift for arm in chosen], points, look, f"{traces} answers")
                said.append(f"{traces} " + ", ".join(f"n = {params.arms[p.arm].n} {p.value:.2f}" for p in points))
        log2_axis(one, ns, "n (heuristics)")
        one.set_title(f"mean pass@{k}")
        words.append(f"pass@{k}: {'; '.join(said)}")
    axes[0].set_ylabel("share")
    legend(figure, axes)
    return Drawing(
        figure,
        "Right, wrong and mixed traces",
        "After RL from arms that learned the right responses of matched pairs, the wrong ones, or half of each. "
        f"{sizes(vanilla)}. Bars and band: {interval(vanilla, params)}. Points of one n are set apart to be seen; the "
        "share axes do not start at 0.",
        f"{len(ends)} charts of mean pass@k after RL against n. {'. '.join(words)}.",
        (f"{table.path}",),
    )
