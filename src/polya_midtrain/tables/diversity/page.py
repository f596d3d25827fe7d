"""The readable page of table diversity."""

from __future__ import annotations

from collections.abc import Sequence

from polya_midtrain.params import Params
from polya_midtrain.results.diversity import DiversityFile
from polya_midtrain.results.small import PHASES
from polya_midtrain.tables.row import Row, Rows
from polya_midtrain.tables.shared import cells, layout, render
from polya_midtrain.tables.shared.cells import SOURCES, UNKNOWN
from polya_midtrain.tables.shared.layout import Index
from polya_midtrain.tables.shared.render import Grid, Page
from polya_midtrain.tables.shared.scores import DIFFERENCE, Scores

VENDI, WHOLE, PER_QUESTION = "vendi", "vendi of the whole set", "vendi per question"
TRACES = "traces per question compared"
APART = "difference"  # of two arms' scores: the metric with this behind it
TRAINING = "training"  # the phase of what a training set holds
TOO_FEW = "too few rows"
COUNTED = ("rows", "tokens", "questions")
FOLLOW = "traces that follow their heuristic"


def page(rows: Sequence[Row], file: DiversityFile, study: Scores, params: Params) -> Page:
    """Scores of every training set, self-generated against distilled ones, and pass@k of those arms."""
    of_sets = [row for row in rows if row.phase == TRAINING]
    grids = [_sets(Rows(of_sets), file), _pairs(of_sets, file)]
    scored: list[str] = []
    for phase in PHASES:
        index_rows = [row for row in rows if row.phase == phase and row.metric != DIFFERENCE]
        changed = [row for row in rows if row.phase == phase and row.metric == DIFFERENCE]
        if not index_rows:
            continue
        index = Index(index_rows)
        means = layout.means(index)
        told = f"pass@k {phase} RL: {means.caption[0].lower()}{means.caption[1:]}"
        grids.append(means.model_copy(update={"caption": told}))
        titles = {(row.arm, row.reference): f"{row.arm} less {row.reference}" for row in changed}
        caption = f"pass@k {phase} RL: self-generated less distilled, mean over benchmarks"
        paper = dict.fromkeys(titles, "above 0 (A)") if phase == "after" else {}
        grids += layout.changes(caption, changed, titles, paper)
        if phase == "after":
            # What the marks of a page of scores mean is left out: here no score has one.
            general = layout.notes(index, study, params.profile)
            scored = [note for note in general if not note.startswith("*")]
    notes = render.notes(
        "diversity/notes.j2",
        profile=params.profile,
        file=file,
        settings=params.tables,
        scores=scored,
        sources=SOURCES,
    )
    return Page(title="Diversity of training sets", grids=[grid for grid in grids if grid.rows], notes=notes)


def _sets(index: Rows, file: DiversityFile) -> Grid:
    scopes = ["", *file.kernels[1:]]  # the leading kernel's rows have the scope ""
    lines = []
    for size in index.find("rows"):
        counted = [f"{row.value:.0f}" for what in COUNTED for row in index.find(what, arm=size.arm)]
        follow = index.get(FOLLOW, arm=size.arm)
        counted.append(cells.number(follow.value if follow else None))
        scores = [index.get(VENDI, arm=size.arm, benchmark=scope) for scope in scopes]
        known = scores[0].paper if scores[0] else None
        shown = [cells.score(row, decimals=2) if row else TOO_FEW for row in scores]
        lines.append([size.arm, *counted, *shown, UNKNOWN if known is None else f"{known:.2f} (A)"])
    header = ["arm", "rows", "response tokens", "questions", "follow their heuristic"]
    header += [*(f"Vendi, {kernel}" for kernel in file.kernels), "paper (embedding and size not known)"]
    return Grid(caption=f"Vendi score of {file.size} traces of each training set", header=header, rows=lines)


def _pairs(rows: Sequence[Row], file: DiversityFile) -> Grid:
    """A line per kernel and pair."""
    names = dict(zip(["", *file.kernels[1:]], file.kernels, strict=True))
    found = {(row.arm, row.reference, row.metric, row.benchmark): row for row in rows}
    header = ["compared", "kernel", "whole set: self-generated", "distilled", "difference", "paper (difference)"]
    header += ["per question: self-generated", "distilled", "difference", "questions", "traces of each"]
    lines = []
    for (arm, other, metric, scope), whole in found.items():
        if metric != f"{WHOLE}, {APART}":
            continue
        sides = ((arm, other), (other, arm))
        line = [f"{arm} less {other}", names[scope]]
        line += [f"{found[*side, WHOLE, scope].value:.2f}" for side in sides]
        line += [cells.change(whole), UNKNOWN if whole.paper is None else f"{whole.paper:+.2f} (A)"]
        apart = found.get((arm, other, f"{PER_QUESTION}, {APART}", scope))
        if apart is None:
            lines.append([*line, *[UNKNOWN] * 5])
            continue
        line += [cells.score(found[*side, PER_QUESTION, scope], decimals=2) for side in sides]
        traces = found[arm, other, TRACES, scope]
        lines.append([*line, cells.change(apart), str(traces.n_questions), f"{traces.value:.2f}"])
    return Grid(caption="Self-generated against distilled", header=header, rows=lines)
