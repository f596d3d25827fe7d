"""Transfer: pass@k out of domain, before and after RL, of the main table's arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from polya_midtrain.params import Params, studies
from polya_midtrain.results.small import PHASES
from polya_midtrain.tables.row import MEAN, PASS, Row, pooled_name
from polya_midtrain.tables.shared import cells, layout, paper_values, render
from polya_midtrain.tables.shared.layout import Index
from polya_midtrain.tables.shared.render import Grid, Page
from polya_midtrain.tables.shared.scores import RATES, Scores, build_rows


def build(params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV and the readable page, from results/counts."""
    sets = {name: chosen.source for name, chosen in params.questions.transfer.items()}
    scored = Scores.read(params, studies.main(params.arms), sets)
    rows = [
        _beside_the_paper(row, sets, params)
        for scores in scored.values()
        for row in build_rows(scores, params, studies.REFERENCE)
    ]
    before, after = (Index([row for row in rows if row.phase == phase]) for phase in PHASES)
    grids = [
        *(_scores(before, after, k) for k in after.ends),
        *(
            grid.model_copy(update={"caption": f"{grid.caption}, {index.phase} RL"})
            for index in (before, after)
            for grid in layout.differences(index)
        ),
        layout.seeds(after),
        _rates(after),
        _paper(after, sets, params),
    ]
    general = layout.notes(after, scored["after"], params.profile)
    notes = [*general, *render.notes("transfer/notes.j2", sources=cells.SOURCES)]
    return rows, Page(title="Out of domain: pass@k before and after RL", grids=grids, notes=notes)


def _beside_the_paper(row: Row, sets: Mapping[str, str], params: Params) -> Row:
    """The paper's score stands at k = 1, where scores near chance belong, and the row says that its k is not stated.

    Its mean is over maths sets and belongs to no row here.
    """
    arm = paper_values.arm_of(params.arms[row.arm])
    known = paper_values.TRANSFER.get(sets.get(row.benchmark, ""), {}).get(arm)
    wanted = (row.phase, row.metric, row.k, row.seeds) == ("after", PASS, 1, pooled_name(params.runs))
    if known is None or not wanted:
        return replace(row, paper=None)
    return replace(row, paper=known.value, method=f"{row.method}; paper: k not stated")


def _scores(before: Index, after: Index, k: int) -> Grid:
    shown = [(scope, index) for scope in (*after.benchmarks, MEAN) for index in (before, after)]
    header = ["arm", *(f"{scope} {index.phase} RL" for scope, index in shown)]
    rows = [
        [arm, *(cell for scope, index in shown for cell in index.scores([k], arm=arm, benchmark=scope))]
        for arm in after.arms
    ]
    return Grid(caption=f"pass@{k} of each set, before and after RL", header=header, rows=rows)


def _rates(index: Index) -> Grid:
    shown = [(scope, metric) for scope in index.benchmarks for metric in RATES]
    header = ["arm", *(f"{scope}: {metric.replace('_', ' ')}" for scope, metric in shown)]
    rows = [
        [arm, *(cells.value(index.get(metric, arm=arm, benchmark=scope)) for scope, metric in shown)]
        for arm in index.arms
    ]
    return Grid(caption="Samples cut off or without an answer, after RL", header=header, rows=rows)


def _paper(index: Index, sets: Mapping[str, str], params: Params) -> Grid:
    """The paper's scores, with ours where this run has the same set and arm."""
    names = {source: name for name, source in sets.items()}
    arms = {paper_values.arm_of(params.arms[name]): name for name in index.arms}
    rows = [
        [
            f"{source}, {arm}",
            f"{known.value:.4f} ({known.source})",
            *index.scores(index.ends, arm=arms.get(arm, ""), benchmark=names.get(source, "")),
        ]
        for source, values in paper_values.TRANSFER.items()
        for arm, known in values.items()
    ]
    header = ["set, arm", "paper (k not stated)", *(f"ours: pass@{k}" for k in index.ends)]
    return Grid(caption="The paper's sets, after RL", header=header, rows=rows)
