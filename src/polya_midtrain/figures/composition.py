"""Composition of heuristics: how many chains use two or more, by n, and which combinations are the most frequent."""

from __future__ import annotations

from polya_midtrain.figures.data import Table, count, interval, sizes
from polya_midtrain.figures.style import (
    PHASE_LOOKS,
    VANILLA,
    Drawing,
    bars,
    dots,
    legend,
    log2_axis,
    names_axis,
    paper_mark,
    reference,
    stacked,
)
from polya_midtrain.params import Params, studies
from polya_midtrain.results.small import PHASES
from polya_midtrain.tables.row import MEAN, Row

RATES = {"composition rate": "all chains", "composition rate of correct chains": "correct chains"}
COMBINATION, IN_TRAINING = "combination", "combination in mid-training"
SHOWN = 8  # combinations
APART = 0.15  # before and after RL on one combination's line


def draw(params: Params) -> Drawing | None:
    """Rates by n on top, the combinations of the arm of largest n below; None where no arm has an n."""
    arms = studies.by_n(params.arms)
    if not arms:
        return None
    table = Table("composition")
    ns = sorted({params.arms[arm].n for arm in arms})
    last = arms[-1]
    names = _frequent(table, last)
    figure, (upper, [below]) = stacked([len(RATES), 1], 4.0 + 0.36 * len(names), (2.8, 0.8 + 0.36 * len(names)))
    words = []
    known: list[Row] = []
    for one, (metric, label) in zip(upper, RATES.items(), strict=True):
        for phase in PHASES:
            points = [point for arm in arms for point in table.find(metric, benchmark=MEAN, phase=phase, arm=arm)]
            if points:
                bars(one, [params.arms[p.arm].n for p in points], points, PHASE_LOOKS[phase], f"{phase} RL")
            known += [point for point in points if point.paper is not None]
            values = ", ".join(f"n = {params.arms[point.arm].n} {point.value:.1%}" for point in points)
            words.append(f"{label}, {phase} RL: {values or 'none'}")
        for point in table.find(metric, benchmark=MEAN, phase="after", arm=studies.REFERENCE):
            reference(one, point, VANILLA, f"{studies.REFERENCE} after RL")
        log2_axis(one, ns, "n (heuristics)")
        one.set_title(f"two heuristics or more: {label}")
        one.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
        one.set_ylim(0.0, 1.02)
    for point in known:
        paper_mark(upper[0], params.arms[point.arm].n, point.paper or 0.0)
    for phase, shift in zip(PHASES, (-APART, APART), strict=True):
        points = [table.need(COMBINATION, phase=phase, arm=last, benchmark=name)[0] for name in names]
        if points:
            dots(below, points, [place + shift for place in range(len(points))], PHASE_LOOKS[phase], f"{phase} RL")
    trained = {point.benchmark: point.value for point in table.find(IN_TRAINING, arm=last)}
    counts = {name: f"{trained.get(name, 0.0):,.0f}" for name in names}
    names_axis(below, [f"{_words(name)}\ntogether in {counts[name]} mid-training chains" for name in names])
    below.set_title(f"the most frequent combinations after RL in {last}")
    below.set_xlabel("share of all chains")
    below.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
    below.set_xlim(left=0.0)
    if not names:
        below.text(0.5, 0.5, "none", transform=below.transAxes, ha="center", va="center")
    legend(figure, [*upper, below])
    shown = table.need("composition rate", benchmark=MEAN, phase="after", arm=last)[0]
    shares = {name: table.need(COMBINATION, phase="after", arm=last, benchmark=name)[0].value for name in names}
    combinations = "; ".join(
        f"{_words(name)} {shares[name]:.1%}, together in {counts[name]} chains of mid-training" for name in names
    )
    return Drawing(
        figure,
        "Composition of heuristics",
        f"Chains in which the judge finds two heuristics or more; below, the {count(len(names), 'combination')} most "
        f"frequent after RL in arm {last}. {sizes(shown)}. Bars and band: {interval(shown, params)}"
        f"{'; stars: the paper, another model, questions and judge' if known else ''}.",
        f"Above, two charts of the share of chains with two heuristics or more against n. {'. '.join(words)}. Below, "
        f"the most frequent combinations of {last} after RL: {combinations or 'none'}.",
        (f"{table.path}",),
    )


def _frequent(table: Table, arm: str) -> list[str]:
    found = table.find(COMBINATION, phase="after", arm=arm)
    ranked = sorted((point for point in found if point.value > 0), key=lambda point: (-point.value, point.benchmark))
    return [point.benchmark for point in ranked[:SHOWN]]


def _words(combination: str) -> str:
    return combination.replace("+", " + ")
