"""The readable page of table diversity."""

from __future__ import annotations

from collections.abc import Sequence

from polya_midtrain.params import Params
from polya_midtrain.results.counts import Counts
from polya_midtrain.results.diversity import DiversityFile
from polya_midtrain.results.small import PHASES
from polya_midtrain.tables.row import Row, Rows
from polya_midtrain.tables.shared import cells, layout
from polya_midtrain.tables.shared.cells import SOURCES, UNKNOWN
from polya_midtrain.tables.shared.layout import Index
from polya_midtrain.tables.shared.render import Grid, Page
from polya_midtrain.tables.shared.scores import DIFFERENCE

VENDI, WHOLE, PER_QUESTION = "vendi", "vendi of the whole set", "vendi per question"
TRACES = "traces per question compared"
APART = "difference"  # of two arms' scores: the metric with this behind it
TRAINING = "training"  # the phase of what a training set holds
TOO_FEW = "too few rows"
COUNTED = ("rows", "tokens", "questions")


def page(rows: Sequence[Row], file: DiversityFile, counts: Counts, params: Params) -> Page:
    """Scores of every training set, self-generated against distilled ones, and pass@k of those arms."""
    of_sets = [row for row in rows if row.phase == TRAINING]
    grids = [_sets(Rows(of_sets), file), _pairs(of_sets, file)]
    notes = _notes(file, params)
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
            general = layout.notes(index, counts, params.tables, params.profile)
            notes += [note for note in general if not note.startswith("*")]
            notes.append(
                "Self-generated less distilled: paired by question, training seeds not; * and p are those of this one "
                "comparison (min F', Clark 1973). Differences to vanilla are in tables main and midtrain."
            )
    if not file.pairs:
        notes.append("No arm of this profile learns from a teacher: there is nothing to compare with.")
    return Page(title="Diversity of training sets", grids=[grid for grid in grids if grid.rows], notes=notes)


def _sets(index: Rows, file: DiversityFile) -> Grid:
    scopes = ["", *file.kernels[1:]]  # the leading kernel's rows have the scope ""
    lines = []
    for size in index.find("rows"):
        counted = [f"{row.value:.0f}" for what in COUNTED for row in index.find(what, arm=size.arm)]
        scores = [index.get(VENDI, arm=size.arm, benchmark=scope) for scope in scopes]
        known = scores[0].paper if scores[0] else None
        shown = [cells.score(row, decimals=2) if row else TOO_FEW for row in scores]
        lines.append([size.arm, *counted, *shown, UNKNOWN if known is None else f"{known:.2f} (A)"])
    header = ["arm", "rows", "response tokens", "questions", *(f"Vendi, {kernel}" for kernel in file.kernels)]
    header += ["paper (embedding and size not known)"]
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


def _notes(file: DiversityFile, params: Params) -> list[str]:
    kernel = {
        "world": "A trace's vector holds the shares of its parts' shapes (the operators of a part's operations, "
        "without the digits) and, in the first kernel, of the plans that it names; similarity is the cosine. A score "
        "of v reads: as diverse as v equally frequent ways of working with nothing in common. The second kernel leaves "
        "the names out: an arm that is diverse in names alone falls behind there.",
        "hub": "A trace's vector is the mean of the model's last hidden states; similarity is the cosine.",
        "words": "A trace's vector holds the frequencies of its words and pairs of words; similarity is the cosine. It "
        "sees wording, not meaning.",
    }[file.embedding]
    return [
        f"Profile {params.profile}. Vendi score (Friedman and Dieng 2023): exp of the entropy of the eigenvalues of "
        "the similarity matrix over n, from 1 (all traces alike) to n (nothing in common). It grows with n, so that "
        f"every set is scored at {file.size} traces, drawn without replacement; a set with fewer is not scored. "
        f"{kernel} Another kernel gives other scores, and may give another order.",
        f"Brackets at {file.size} traces: the middle {params.tables.confidence:.0%} of {file.resamples} draws. They "
        "say how much the score of so few traces depends on which are taken, and are narrow by construction where a "
        f"set has hardly more than {file.size}. They are no test: two sets whose brackets overlap may well differ.",
        f"Whole set: all traces, as many of either arm. Brackets: spread of the difference over {file.resamples} "
        "random halves of the questions, the same half for both arms (delete-half jackknife), so other questions are "
        "covered. Neither these nor any other brackets here cover that the traces could be generated again, by this "
        "base or by another teacher: each set exists once, for all training seeds.",
        "Per question: the score of the traces of one question, as many from either arm (all of the arm that has "
        "fewer, draws from the other), mean over the questions that both answer at least twice. Brackets: bootstrap "
        "over questions, paired. This leaves out what differs between questions, which a set's score mixes in.",
        "Paper (Llama-3.2-3B-Instruct; self-generated at n = 16, and distilled from QwQ-32B): 13.81 and 10.95 (A). Not "
        "known: the embedding, the number of traces, and whether the score is that of a set or a mean over questions. "
        f"So the sign of the difference can be compared and not its size; it stands by the kernel {file.kernels[0]}. "
        "After RL the paper's self-generated arm is better (A), by how much is not known. " + SOURCES,
        "Not shown: whether diversity is what makes an arm better or worse. The two arms differ in who wrote the "
        "traces and in their length, too; rows and tokens stand beside.",
    ]
