"""The fixed budget: the same rows of training, spread over more approaches and fewer questions."""

from __future__ import annotations

from polya_midtrain.figures.data import Table, interval, largest_k, percent, sizes
from polya_midtrain.figures.style import (
    PHASE_LOOKS,
    VANILLA,
    Drawing,
    Look,
    bars,
    legend,
    log2_axis,
    panels,
    paper_mark,
    reference,
)
from polya_midtrain.params import Params, studies
from polya_midtrain.tables.row import MEAN, PASS, RELATIVE, Row

LOOKS = {"rows": PHASE_LOOKS["after"], "tokens": Look("#D55E00", "D", filled=False)}
SHIFT = 1.12  # beside the arm of the same n


def draw(params: Params) -> Drawing | None:
    """Relative change, pass@k and tokens against n, the heuristics; None where no arm is matched to another."""
    groups = {unit: studies.budget(params.arms, unit) for unit in LOOKS}
    if not any(groups.values()):
        return None
    table = Table("budget")
    k = largest_k(table.need(PASS, benchmark=MEAN, phase="after"))
    figure, (change, score, tokens) = panels(1, 3, 3.2)
    words = []
    shown: list[Row] = []
    everything = sorted({params.arms[arm].n for group in groups.values() for arm in group})
    for unit, look in LOOKS.items():
        matched = [arm for arm in groups[unit] if params.arms[arm].match is not None]
        drawn = {
            change: [point for arm in matched for point in table.find(RELATIVE, benchmark=MEAN, k=k, arm=arm)],
            # The arm that others are matched to stands once, in the series of equal rows.
            score: [
                table.need(PASS, benchmark=MEAN, phase="after", k=k, arm=arm)[0]
                for arm in (groups[unit] if unit == "rows" or not groups["rows"] else matched)
            ],
        }
        drawn[tokens] = [table.need("tokens", arm=point.arm)[0] for point in drawn[score]]
        for axes, points in drawn.items():
            if points:
                shift = SHIFT if unit == "tokens" else 1.0
                bars(axes, [params.arms[point.arm].n * shift for point in points], points, look, f"equal {unit}")
        shown += drawn[change]
        words += [f"{point.arm} (n = {params.arms[point.arm].n}, equal {unit}) {say(point)}" for point in drawn[change]]
    known = [point for point in shown if point.paper is not None]
    for point in known:
        paper_mark(change, params.arms[point.arm].n / SHIFT, point.paper or 0.0)
    change.axhline(0.0, color="black", linewidth=1.0)
    change.yaxis.set_major_formatter(lambda value, _: f"{100 * value:+.3g}%" if value else "0")
    change.set_title(f"mean pass@{k}, relative change")
    (vanilla,) = table.need(PASS, benchmark=MEAN, phase="after", k=k, arm=studies.REFERENCE)
    reference(score, vanilla, VANILLA, studies.REFERENCE)
    score.set_title(f"mean pass@{k} (share)")
    tokens.set_title("response tokens")
    tokens.yaxis.set_major_formatter("{x:,.0f}")
    tokens.set_ylim(0.0, 1.1 * tokens.get_ylim()[1])
    for axes in (change, score, tokens):
        log2_axis(axes, everything, "n (heuristics)")
    legend(figure, [change, score, tokens])
    (first,) = [arm for arm in groups["rows"] or groups["tokens"] if params.arms[arm].match is None]
    rows = table.need("rows", arm=first)[0].value
    return Drawing(
        figure,
        "Fixed budget: approaches or questions",
        f"After RL. Equal rows: about {rows:,.0f}; equal tokens: those of {first}. "
        f"Relative change: to {first}. {sizes(vanilla)}. Bars and band: {interval(vanilla, params)}"
        f"{'; star: the paper, another model and other questions' if known else ''}. Axes of the first two panels do "
        "not start at 0.",
        f"Three charts against n at a fixed budget. Relative change of mean pass@{k} to {first}: "
        f"{'; '.join(words) or 'none could be measured'}.",
        (f"{table.path}",),
    )


def say(point: Row) -> str:
    """A relative change in words, with its interval."""
    ends = "" if point.low is None or point.high is None else f" ({percent(point.low)} to {percent(point.high)})"
    return percent(point.value) + ends
