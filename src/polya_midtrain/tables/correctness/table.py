"""Correctness or diversity: diverse traces with a wrong final answer against right ones, matched row by row.

Arms of one n are made from the same pairs, a right and a wrong response to the same question under the same heuristic
and of like length: an arm learns the right ones, the wrong ones, or half of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from polya_midtrain.params import Arm, Params, studies
from polya_midtrain.params.studies import REFERENCE
from polya_midtrain.results import training_sets
from polya_midtrain.results.training_sets import TrainingSet
from polya_midtrain.tables.diversity.page import FOLLOW
from polya_midtrain.tables.row import Row
from polya_midtrain.tables.shared import cells, layout, render, scores
from polya_midtrain.tables.shared.render import Grid, Page
from polya_midtrain.tables.shared.scores import DIFFERENCE, Pair, Scores
from polya_midtrain.tables.shared.study import by_doubling

PAPER_BELOW = "below vanilla (A; no number known)"
PAPER_TREND = "worse as n grows (A; no number known)"


def build(params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV and the readable page, from results/counts and results/counts/training_sets.json."""
    arms = params.arms
    matched = studies.correctness(arms)
    cards = training_sets.read(matched)
    study = Scores.read(params, [REFERENCE, *matched], phases=["after"])["after"]
    right = {arms[name].n: name for name in matched if arms[name].traces == "right"}
    pairs = [(name, right[n]) for name in matched if arms[name].traces != "right" and (n := arms[name].n) in right]
    rows = scores.means_and_pooled(scores.build_rows(study, params, REFERENCE), params.runs)
    less_right = scores.against(study, (DIFFERENCE,), pairs)
    family, titles = _trends(arms, matched)
    trends = scores.slopes(study, family)
    sizes = [row for name in matched for row in _sizes(study, name, cards[name])]

    index = layout.Index(rows)
    wrong = [name for name in matched if arms[name].traces == "wrong"]
    grids = [
        *([_sets(arms, cards)] if cards else []),
        layout.means(index),
        *layout.differences(index, dict.fromkeys(wrong, PAPER_BELOW)),
        *layout.changes(
            "Difference to the right arm of the same n, mean over benchmarks",
            less_right,
            {pair: " less ".join(pair) for pair in pairs},
            {},
        ),
        *layout.changes(
            layout.SLOPES,
            trends,
            titles,
            {pair: PAPER_TREND for pair, title in titles.items() if title == "wrong"},
        ),
        layout.seeds(index),
    ]
    notes = [
        *layout.notes(index, study, params.profile),
        *render.notes(
            "correctness/notes.j2",
            arms=matched,
            trends=trends,
            several=study.several,
            pairs=len(pairs),
            reference=REFERENCE,
        ),
        layout.paper_note(index, params),
    ]
    return [*sizes, *rows, *less_right, *trends], Page(
        title="Correctness or diversity, after RL", grids=grids, notes=notes
    )


def _trends(arms: Mapping[str, Arm], matched: Sequence[str]) -> tuple[dict[Pair, dict[str, float]], dict[Pair, str]]:
    """Per kind of trace the slope of the arms' means over log2 n, and that of the wrong less that of the right ones.

    Returns the contrasts and what the page calls them. A kind with one n has no slope.
    """
    found = {
        kind: by_doubling({name: arms[name].n for name in matched if arms[name].traces == kind})
        for kind in ("right", "wrong")
    }
    weights = {kind: members for kind, members in found.items() if members}
    family: dict[Pair, dict[str, float]] = {("+".join(members), ""): members for members in weights.values()}
    titles = dict(zip(family, weights, strict=True))
    if len(weights) == 2:
        pair = ("+".join(weights["wrong"]), "+".join(weights["right"]))
        family[pair] = weights["wrong"] | {name: -weight for name, weight in weights["right"].items()}
        titles[pair] = "wrong less right"
    return family, titles


def _sizes(study: Scores, name: str, card: TrainingSet) -> list[Row]:
    values = {"rows": card.rows, "right": card.right, "wrong": card.wrong, "tokens": card.tokens}
    units = {"tokens": "tokens"}
    rows = [
        scores.counted(study, name, metric, units.get(metric, "rows"), value, card.questions)
        for metric, value in values.items()
    ]
    if card.mean_score is not None:
        mean = scores.counted(study, name, "adherence", "score", card.mean_score, card.questions)
        rows.append(replace(mean, method="none: a mean of the whole set"))
    if card.follow is not None:
        rows.append(scores.counted(study, name, FOLLOW, "share", card.follow, card.questions))
    return rows


def _sets(arms: Mapping[str, Arm], cards: Mapping[str, TrainingSet]) -> Grid:
    header = ["arm", "answers", "heuristics", "rows", "right", "wrong", "questions"]
    header += ["response tokens", "tokens a row", "adherence", "follow their heuristic"]
    rows = []
    for name, card in cards.items():
        sizes = [str(size) for size in (arms[name].n, card.rows, card.right, card.wrong, card.questions, card.tokens)]
        length = f"{card.tokens / card.rows:.1f}" if card.rows else cells.UNKNOWN
        rows.append([name, arms[name].traces, *sizes, length, *map(cells.number, (card.mean_score, card.follow))])
    return Grid(caption="What each arm learned from", header=header, rows=rows)
