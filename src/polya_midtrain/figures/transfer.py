"""Out of domain: pass@k of each set, before and after RL."""

from __future__ import annotations

from polya_midtrain.figures.data import Table, interval, sizes
from polya_midtrain.figures.style import PHASE_LOOKS, VANILLA, Drawing, dots, legend, names_axis, panels
from polya_midtrain.params import Params
from polya_midtrain.params.studies import REFERENCE
from polya_midtrain.results.small import PHASES
from polya_midtrain.tables.row import MEAN, PASS, Row

APART = 0.17  # before and after RL on one arm's line


def draw(params: Params) -> Drawing:
    """A column for each set, a row for the smallest and the largest k; a line on vanilla after RL."""
    table = Table("transfer")
    everything = [point for point in table.need(PASS) if point.benchmark != MEAN]
    sets = list(dict.fromkeys(point.benchmark for point in everything))
    arms = list(dict.fromkeys(point.arm for point in everything))
    ks = sorted({point.k or 0 for point in everything})
    ends = sorted({ks[0], ks[-1]})
    figure, axes = panels(len(ends), len(sets), 0.7 + len(ends) * (0.75 + 0.2 * len(arms)), sharey=True, sharex=True)
    words = []
    shown: list[Row] = []
    for place, one in enumerate(axes):
        k, name = ends[place // len(sets)], sets[place % len(sets)]
        for phase, shift in zip(PHASES, (-APART, APART), strict=True):
            points = [table.need(PASS, phase=phase, benchmark=name, k=k, arm=arm)[0] for arm in arms]
            dots(one, points, [height + shift for height in range(len(arms))], PHASE_LOOKS[phase], f"{phase} RL")
            words.append(
                f"{name} pass@{k} {phase} RL: {', '.join(f'{point.arm} {point.value:.2f}' for point in points)}"
            )
            shown += points
        level = table.need(PASS, phase="after", benchmark=name, k=k, arm=REFERENCE)[0].value
        one.axvline(level, color=VANILLA.colour, linestyle=VANILLA.dash, label=f"{REFERENCE} after RL", zorder=1)
        names_axis(one, arms)
        one.set_xlim(-0.02, 1.02)
        one.set_title(f"{name}: pass@{k}")
        if place >= len(axes) - len(sets):
            one.set_xlabel("share")
    legend(figure, axes)
    return Drawing(
        figure,
        "Out of domain",
        f"pass@{' and pass@'.join(map(str, ends))} of sets of another kind than the training questions: "
        + "; ".join(f"{name}: {sizes(next(point for point in shown if point.benchmark == name))}" for name in sets)
        + f". Bars: {interval(shown[-1], params)}. On a multiple choice pass@k at a large k is near 1 by chance alone.",
        f"{len(axes)} charts of dots, a line an arm. {'; '.join(words)}.",
        (f"{table.path}",),
    )
