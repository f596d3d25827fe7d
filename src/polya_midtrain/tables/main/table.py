"""The main table: pass@k after RL, of every arm that differs in what it learns from and not in how much."""

from __future__ import annotations

from collections.abc import Mapping

from polya_midtrain.params import Arm, Params, studies
from polya_midtrain.tables.main import variance
from polya_midtrain.tables.row import MEAN, Row
from polya_midtrain.tables.shared import layout, paper_values, render
from polya_midtrain.tables.shared.render import Page
from polya_midtrain.tables.shared.scores import DIFFERENCE, Pair, Scores, against, build_rows, slopes
from polya_midtrain.tables.shared.study import by_doubling


def build(params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV and the readable page, from results/counts.

    Beside every arm against vanilla: the arms with heuristics against the other baselines (STaR, and the controls that
    are matched to an arm), each a family of its own, the slope of their means over log2 n, and whence the
    variance of a mean comes.
    """
    arms = params.arms
    scores = Scores.read(params, studies.main(arms))["after"]
    rows = build_rows(scores, params, means=params.tables.beside)
    families = _families(arms)
    pairs = [pair for family in families for pair in family]
    changed = [row for family in families for row in against(scores, (DIFFERENCE,), family)]
    weights = by_doubling({name: arms[name].n for name in studies.by_n(arms)})
    trend: Pair = ("+".join(weights), "")
    trends = slopes(scores, {trend: weights} if weights else {})

    spread = variance.rows(scores, arms)

    page = layout.page("pass@k after RL", rows, scores, params)
    titles = {pair: " less ".join(pair) for pair in pairs}
    paper = {pair: text for pair in pairs if (text := _paper(pair, params))}
    more = [
        *layout.changes("Difference to the other baselines, mean over benchmarks", changed, titles, paper),
        *layout.changes(layout.SLOPES, trends, {trend: " ".join(weights)}, {}),
        *variance.grids(spread),
    ]
    page.grids[-1:-1] = more
    page.notes.extend(render.notes("main/notes.j2", compared=changed or trends, study=scores, spread=spread))
    return [*rows, *changed, *trends, *spread], page


def _families(arms: Mapping[str, Arm]) -> list[list[Pair]]:
    """Per baseline the arms with heuristics that it is compared with: STaR with all, a control with its own."""
    families: list[list[Pair]] = [[(name, star) for name in studies.by_n(arms)] for star in studies.stars(arms)]
    families += [[(match.arm, name)] for name, match in studies.controls(arms).items()]
    return [family for family in families if family]


def _paper(pair: Pair, params: Params) -> str:
    """The difference of the paper's means, where both are known."""
    k = layout.PAPER_K
    ours, theirs = (paper_values.lookup(params, "after", arm, MEAN, k) for arm in pair)
    if ours is None or theirs is None:
        return ""
    sources = ", ".join(sorted({ours.source, theirs.source}))
    return f"{ours.value - theirs.value:+.4f} at pass@{k} ({sources})"
