"""Diversity: the Vendi score of every training set at one size, and a teacher's traces against self-generated ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from polya_midtrain.params import Arm, Params, studies
from polya_midtrain.params.studies import REFERENCE
from polya_midtrain.results import diversity as diversity_file
from polya_midtrain.results import training_sets
from polya_midtrain.results.diversity import DiversityFile
from polya_midtrain.results.training_sets import TrainingSet
from polya_midtrain.science import compare, vendi
from polya_midtrain.science.bootstrap import pooled, student
from polya_midtrain.tables.diversity import page
from polya_midtrain.tables.diversity.page import APART, PER_QUESTION, TRACES, TRAINING, VENDI, WHOLE
from polya_midtrain.tables.row import Row, line, tidy
from polya_midtrain.tables.shared.paper_values import PaperValue
from polya_midtrain.tables.shared.render import Page
from polya_midtrain.tables.shared.scores import DIFFERENCE, Scores, against, build_rows, counted, means_and_pooled
from polya_midtrain.tables.shared.study import OVER_QUESTIONS, UNBOUNDED, columns, draws

# The paper's scores by the source of the traces and n: self-generated, and distilled from QwQ-32B. Its embedding, the
# number of traces, and whether the score is over a set or the mean over questions are not known.
PAPER = {("heuristics", 16): PaperValue(13.81, "A"), ("teacher", 16): PaperValue(10.95, "A")}


def build(params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV and the readable page, from results/counts/diversity.json, training_sets.json and counts."""
    arms = studies.taught(params.arms)
    file = diversity_file.read(arms)
    cards = training_sets.read(arms)
    pairs = list(dict.fromkeys((pair.arm, pair.other) for pair in file.pairs))
    names = list(dict.fromkeys([REFERENCE, *(name for pair in pairs for name in pair)]))
    scored = Scores.read(params, names)
    rows = [
        *(row for name in arms for row in _sizes(scored["after"], name, cards[name])),
        *_sets(file, cards, params),
        *_wholes(file, cards, params),
        *_per_question(file, params),
    ]
    # Tests against vanilla are those of tables main and midtrain, whose families are larger; here the pair is compared.
    for scores in scored.values() if pairs else ():
        rows += means_and_pooled(build_rows(scores, params, None), params.runs)
    rows += [row for scores in scored.values() for pair in pairs for row in against(scores, (DIFFERENCE,), [pair])]
    return rows, page.page(rows, file, scored["after"], params)


def _sizes(scores: Scores, name: str, card: TrainingSet) -> list[Row]:
    values = {"rows": card.rows, "tokens": card.tokens, "questions": card.questions}
    rows = [counted(scores, name, unit, unit, value, card.questions) for unit, value in values.items()]
    if card.follow is not None:
        rows.append(counted(scores, name, page.FOLLOW, "share", card.follow, card.questions))
    return rows


def _known(arm: Arm) -> PaperValue | None:
    return None if arm.traces == "heuristics" and arm.match else PAPER.get((arm.traces, arm.n))


def _sets(file: DiversityFile, cards: Mapping[str, TrainingSet], params: Params) -> Iterator[Row]:
    """Every set that is large enough, kernel by kernel: the mean over draws, and the range of the middle ones."""
    tail = (1.0 - params.tables.confidence) / 2.0
    for kernel in file.kernels:
        for name, card in cards.items():
            scores = file.scores(name, kernel)
            if not len(scores):
                continue
            known = _known(params.arms[name]) if kernel == file.kernels[0] else None
            low, high = np.quantile(scores, [tail, 1.0 - tail])
            yield _row(
                file,
                kernel,
                card.questions,
                f"range of {file.resamples} draws of {file.size} traces",
                arm=name,
                metric=VENDI,
                value=tidy(scores.mean()),
                low=tidy(low),
                high=tidy(high),
                paper=known.value if known else None,
            )


def _wholes(file: DiversityFile, cards: Mapping[str, TrainingSet], params: Params) -> Iterator[Row]:
    """Self-generated less distilled: all traces, as many of either arm; its spread is that over halves of questions."""
    for pair in file.pairs:
        if not pair.whole:
            continue
        arms = (pair.arm, pair.other)
        size = min(cards[name].rows for name in arms)
        questions = max(cards[name].questions for name in arms)
        for (name, other), value in zip((arms, arms[::-1]), pair.whole, strict=True):
            where = {"arm": name, "metric": WHOLE, "reference": other}
            yield _row(file, pair.kernel, questions, f"none: {size} traces", value=tidy(value), **where)
        known = [_known(params.arms[name]) for name in arms]
        paper = known[0].value - known[1].value if known[0] and known[1] else None
        found = vendi.apart(pair.whole, np.array(pair.halves), questions)
        value, low, high = (float(end[0]) for end in (found.value, *student(found, params.tables.confidence)))
        yield _row(
            file,
            pair.kernel,
            questions,
            f"{len(pair.halves)} halves of the questions, paired, t; {size} traces",
            arm=pair.arm,
            metric=f"{WHOLE}, {APART}",
            value=tidy(value),
            low=tidy(low),
            high=tidy(high),
            p=tidy(float(compare.p_values(found)[0])),
            paper=tidy(paper) if paper is not None and pair.kernel == file.kernels[0] else None,
            reference=pair.other,
        )


def _per_question(file: DiversityFile, params: Params) -> Iterator[Row]:
    """Mean over questions of the score of a question's traces, as many from either arm, and the paired difference."""
    for pair in file.pairs:
        count = len(pair.questions)
        if count < 2:
            continue
        weights = draws(params.tables, count, "questions", "diversity", pair.other)
        table = np.array([[traces, ours, theirs] for _, traces, ours, theirs in pair.questions], dtype=float)
        for name, other, metric, values in (
            (pair.arm, pair.other, PER_QUESTION, table[:, 1]),
            (pair.other, pair.arm, PER_QUESTION, table[:, 2]),
            (pair.arm, pair.other, f"{PER_QUESTION}, {APART}", table[:, 1] - table[:, 2]),
        ):
            found = pooled([values[None, :, None]], [weights], None)
            where = {"arm": name, "metric": metric, "reference": other, **columns(found, params.tables, UNBOUNDED)[0]}
            yield _row(file, pair.kernel, count, OVER_QUESTIONS, **where)
        where = {"arm": pair.arm, "metric": TRACES, "reference": pair.other, "value": tidy(table[:, 0].mean())}
        yield replace(_row(file, pair.kernel, count, "", **where), unit="traces", method="none: a count")


def _row(file: DiversityFile, kernel: str, questions: int, method: str, **more: Any) -> Row:
    """A row about traces; the leading kernel's scope is "", so that a reader finds it by any name."""
    scope = "" if kernel == file.kernels[0] else kernel
    told = f"{method}; kernel: {kernel}"
    where = {"phase": TRAINING, "benchmark": scope, "unit": "score", "n_questions": questions, "method": told}
    return line(**where | more)
