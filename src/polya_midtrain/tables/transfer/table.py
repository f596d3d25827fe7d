"""Transfer: pass@k out of domain, before and after RL, of the main table's arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from polya_midtrain import paths, studies
from polya_midtrain.params import Params
from polya_midtrain.results import counts
from polya_midtrain.results.small import PHASES
from polya_midtrain.tables.row import MEAN, PASS, Row, pooled_name
from polya_midtrain.tables.shared import cells, layout, paper_values
from polya_midtrain.tables.shared.layout import Index
from polya_midtrain.tables.shared.render import Grid, Page
from polya_midtrain.tables.shared.scores import RATES, Scores, build_rows

NOTES = [
    "Here a benchmark is a set of another kind than the training questions: programs, graded by running them on "
    "tests, or stories with a multiple choice. The mean over sets mixes kinds; the paper gives none.",
    "Chance: who picks one of c choices at random is right with probability 1/c, and among k picks with 1 - (1 - "
    "1/c)^k, close to 1 at a large k. So on a multiple choice pass@1 is to be read beside chance, and pass@k at a "
    "large k shows little but the variety of answers. MuSR's murder mysteries have 2 choices (chance 0.500), its "
    "team allocations 3 (0.333), its object placements 2 to 5; the embedded world's stories have one for each "
    "part. Programs have no such chance level.",
    "Paper: HumanEval and two splits of MuSR after RL. It is not known which pass@k these scores are, nor which "
    "arm the best one is. In the CSV they stand at k = 1, since scores of 0.5 with two choices and 0.2 with three "
    "can be no pass@k of a large k (our inference). The paper's sets are not the embedded world's. " + cells.SOURCES,
    "Not shown: whether RL itself helped an arm; before and after are not tested against each other.",
]


def build(params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV and the readable page, from results/counts."""
    sets = {name: chosen.source for name, chosen in params.questions.transfer.items()}
    found = counts.read(paths.COUNTS, studies.main(params.arms), list(sets), params.seeds)
    rows = [
        _beside_the_paper(row, sets, params)
        for phase in PHASES
        for row in build_rows(Scores(found, params.tables, phase), params, studies.REFERENCE)
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
    notes = [*layout.notes(after, found, params.tables, params.profile), *NOTES]
    return rows, Page(title="Out of domain: pass@k before and after RL", grids=grids, notes=notes)


def _beside_the_paper(row: Row, sets: Mapping[str, str], params: Params) -> Row:
    """The paper's score stands at k = 1, where scores near chance belong, and the row says that its k is not stated.

    Its mean is over maths sets and belongs to no row here.
    """
    arm = paper_values.arm_of(params.arms[row.arm])
    known = paper_values.TRANSFER.get(sets.get(row.benchmark, ""), {}).get(arm)
    wanted = (row.phase, row.metric, row.k, row.seeds) == ("after", PASS, 1, pooled_name(params.seeds))
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
