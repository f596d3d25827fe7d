"""The fixed budget: the same rows, or tokens, of training as many questions or as many approaches to fewer of them.

An arm with n approaches takes questions in a seeded order, each with all its right responses under the first n
heuristics, until it holds what the arm that it is matched to holds. Few questions have a right response under every
heuristic, so the approaches that a question really has are counted beside n.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from polya_midtrain.params import Arm, Params, studies
from polya_midtrain.params.studies import REFERENCE
from polya_midtrain.results import training_sets
from polya_midtrain.results.training_sets import TrainingSet
from polya_midtrain.tables.row import RELATIVE, Row
from polya_midtrain.tables.shared import layout, paper_values, render, scores
from polya_midtrain.tables.shared.cells import UNKNOWN
from polya_midtrain.tables.shared.render import Grid, Page
from polya_midtrain.tables.shared.scores import DIFFERENCE, Scores

UNITS = ("rows", "tokens")


def build(params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV and the readable page, from results/counts and results/counts/training_sets.json."""
    arms = params.arms
    budgets = list(dict.fromkeys(arm for unit in UNITS for arm in studies.budget(arms, unit)))
    cards = training_sets.read(budgets)
    study = Scores.read(params, [REFERENCE, *budgets], phases=["after"])["after"]
    pairs = [(name, match.arm) for name in budgets if (match := arms[name].match) is not None]
    rows = scores.means_and_pooled(scores.build_rows(study, params, REFERENCE), params.runs)
    moved = scores.against(study, (RELATIVE, DIFFERENCE), pairs)
    changed = [_beside_the_paper(row, arms, study.ks[-1]) for row in moved]
    sizes = [row for name in budgets for row in _sizes(study, name, cards[name])]

    index = layout.Index(rows)
    relative = [row for row in changed if row.metric == RELATIVE]
    titles = {pair: " to ".join(pair) for pair in pairs}
    paper = {
        pair: f"{known.value:+.3f} ({known.source}; k not stated)"
        for pair in pairs
        if (known := _known(arms[pair[0]])) is not None
    }
    grids = [
        *([_sets(arms, cards)] if cards else []),
        layout.means(index),
        *layout.changes("Relative change to the matched arm, mean over benchmarks", relative, titles, paper),
        *layout.differences(index),
        layout.seeds(index),
    ]
    notes = [
        *layout.notes(index, study, params.profile),
        *render.notes("budget/notes.j2", matched=len(pairs), several=study.several, reference=REFERENCE),
        layout.paper_note(index, params),
    ]
    page = Page(title="Fixed budget: approaches or questions, after RL", grids=grids, notes=notes)
    return [*sizes, *rows, *changed], page


def _known(arm: Arm) -> paper_values.PaperValue | None:
    """The paper's relative change; its arms are matched in rows."""
    by_rows = arm.match is not None and arm.match.rows is not None
    return paper_values.BUDGET_CHANGE.get(arm.n) if by_rows else None


def _beside_the_paper(row: Row, arms: Mapping[str, Arm], largest: int) -> Row:
    """The paper's value stands at the largest k, for want of its own, and the row says so."""
    known = _known(arms[row.arm])
    if known is None or row.metric != RELATIVE or row.k != largest:
        return row
    return replace(row, paper=known.value, method=f"{row.method}; paper: k not stated")


def _sizes(study: Scores, name: str, card: TrainingSet) -> list[Row]:
    values = {"rows": card.rows, "tokens": card.tokens, "questions": card.questions}
    rows = [scores.counted(study, name, unit, unit, value, card.questions) for unit, value in values.items()]
    metric = "approaches per question"
    return [*rows, scores.counted(study, name, metric, "rows per question", _per_question(card), card.questions)]


def _per_question(card: TrainingSet) -> float:
    return card.rows / card.questions if card.questions else 0.0


def _sets(arms: Mapping[str, Arm], cards: Mapping[str, TrainingSet]) -> Grid:
    header = ["arm", "heuristics", "matched in", "rows", "response tokens", "questions", "approaches per question"]
    rows = []
    for name, card in cards.items():
        match = arms[name].match
        unit = "-" if match is None else f"{'rows' if match.rows else 'tokens'} to {match.arm}"
        by_rows = match is None or match.rows is not None
        sizes = [str(card.rows), str(card.tokens), str(card.questions), f"{_per_question(card):.2f}"]
        paper = paper_values.BUDGET.get(arms[name].n, UNKNOWN) if by_rows else UNKNOWN
        rows.append([name, str(arms[name].n), unit, *sizes, paper])
    header += ["paper (approaches x questions)"]
    return Grid(caption="What each arm learned from", header=header, rows=rows)
