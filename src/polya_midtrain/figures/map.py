"""The map: what mid-training on most heuristics adds to RL alone, against what the base already holds."""

from __future__ import annotations

from itertools import cycle

import numpy as np

from polya_midtrain.figures.data import Table, interval, largest_k, sizes
from polya_midtrain.figures.style import Drawing, Look, bars, legend, line, panels
from polya_midtrain.params import Params, studies
from polya_midtrain.science.trend import FEWEST
from polya_midtrain.tables.row import PASS

GAIN = "difference"
LOOKS = (
    Look("#E69F00", "s", (0, (4.0, 1.5)), filled=False),
    Look("#0072B2", "o"),
    Look("#009E73", "D", (0, (1.0, 1.2))),
)


def draw(params: Params) -> Drawing | None:
    """A point a base, a series an amount of RL, and its line; None where no amount has an arm of heuristics."""
    amounts = studies.by_amount(params.arms, params.rl.epochs)
    chosen = {epochs: arm for epochs, names in amounts.items() if (arm := studies.most(params.arms, names))}
    if not chosen:
        return None
    table = Table("map")
    k = largest_k(table.need(PASS, phase="before"))
    bases = list(dict.fromkeys(row.seeds for row in table.by_metric[PASS]))
    own = [table.need(PASS, phase="before", k=k, seeds=seeds)[0].value for seeds in bases]
    figure, (axes,) = panels(1, 1, 3.6)
    words = []
    for (epochs, arm), look in zip(chosen.items(), cycle(LOOKS), strict=False):
        points = [table.need(GAIN, arm=arm, k=k, seeds=seeds)[0] for seeds in bases]
        bars(axes, own, points, look._replace(dash="none"), f"{arm}, {epochs:g} epochs of RL")
        if len(bases) >= FEWEST and np.ptp(own):
            fitted = np.polyfit(own, [point.value for point in points], 1)
            ends = [min(own), max(own)]
            line(axes, ends, [float(np.polyval(fitted, end)) for end in ends], look._replace(marker=""))
        order = np.argsort(own, kind="stable")
        said = ", ".join(f"{points[place].value:+.2f} at {own[place]:.2f}" for place in order)
        words.append(f"{arm}, {epochs:g} epochs of RL: {said}")
    axes.axhline(0.0, color="black", linewidth=1.0)
    axes.set_xlabel(f"coverage of the base: its mean pass@{k} before any training (share)")
    axes.set_ylabel("difference (share)")
    axes.set_title(f"mean pass@{k} after RL, less that of RL alone")
    legend(figure, [axes])
    return Drawing(
        figure,
        "Gain by base and amount of RL",
        f"Mean pass@{k} after RL less that of RL alone, as much of it, a point a base: {sizes(points[0])}. Bars: "
        f"{interval(points[0], params)}. Lines: least squares over the bases. The axes do not start at 0.",
        f"A chart of the gain at pass@{k} against the base's coverage. {'; '.join(words)}.",
        (f"{table.path}",),
    )
