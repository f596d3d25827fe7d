"""Diversity: the Vendi score of every training set at one size, and a teacher's traces against self-generated ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from polya_midtrain import paths
from polya_midtrain.common.seeding import derive
from polya_midtrain.params import Arm, Params
from polya_midtrain.results import counts, training_sets
from polya_midtrain.results import diversity as diversity_file
from polya_midtrain.results.diversity import DiversityFile
from polya_midtrain.results.small import PHASES
from polya_midtrain.results.training_sets import TrainingSet
from polya_midtrain.science.bootstrap import draw_weights, interval, pooled
from polya_midtrain.studies import REFERENCE
from polya_midtrain.tables.diversity import page
from polya_midtrain.tables.diversity.page import APART, PER_QUESTION, TRACES, TRAINING, VENDI, WHOLE
from polya_midtrain.tables.row import Row, tidy
from polya_midtrain.tables.shared.long import (
    DIFFERENCE,
    DIFFERENCES,
    OVER_QUESTIONS,
    against,
    build_rows,
    counted,
    means_and_pooled,
)
from polya_midtrain.tables.shared.paper_values import PaperValue
from polya_midtrain.tables.shared.render import Page
from polya_midtrain.tables.shared.study import Study

# The paper's scores by the source of the traces and n: self-generated, and distilled from QwQ-32B. Its embedding, the
# number of traces, and whether the score is over a set or the mean over questions are not known.
PAPER = {("heuristics", 16): PaperValue(13.81, "A"), ("teacher", 16): PaperValue(10.95, "A")}


def build(params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV and the readable page, from results/counts/diversity.json, training_sets.json and counts."""
    arms = [name for name, arm in params.arms.items() if arm.traces != "none"]
    file = diversity_file.read(arms)
    cards = training_sets.read(arms)
    pairs = list(dict.fromkeys((pair.arm, pair.other) for pair in file.pairs))
    names = list(dict.fromkeys([REFERENCE, *(name for pair in pairs for name in pair)]))
    found = counts.read(paths.COUNTS, names, list(params.questions.benchmarks), params.seeds)
    studies = {phase: Study(found, params.tables, phase) for phase in PHASES}
    rows = [
        *(row for name in arms for row in _sizes(studies["after"], name, cards[name])),
        *_sets(file, cards, params),
        *_wholes(file, cards, params),
        *_per_question(file, params),
    ]
    # Tests against vanilla are those of tables main and midtrain, whose families are larger; here the pair is compared.
    untested: dict[str, Any] = dict.fromkeys((*DIFFERENCES, "detectable", "p_holm")) | {"significant": ""}
    scores = [
        replace(row, **untested)
        for study in (studies.values() if pairs else ())
        for row in means_and_pooled(build_rows(study, params), params.seeds)
    ]
    changed = [row for study in studies.values() for pair in pairs for row in against(study, (DIFFERENCE,), [pair])]
    everything = [*rows, *scores, *changed]
    return everything, page.page(everything, file, found, params)


def _sizes(study: Study, name: str, card: TrainingSet) -> list[Row]:
    values = {"rows": card.rows, "tokens": card.tokens, "questions": card.questions}
    return [counted(study, name, unit, unit, value, card.questions) for unit, value in values.items()]


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
            yield Row(
                arm=name,
                metric=VENDI,
                value=tidy(scores.mean()),
                low=tidy(low),
                high=tidy(high),
                paper=known.value if known else None,
                method=f"range of {file.resamples} draws of {file.size} traces; kernel: {kernel}",
                **_common(file, kernel, card.questions),
            )


def _wholes(file: DiversityFile, cards: Mapping[str, TrainingSet], params: Params) -> Iterator[Row]:
    """Self-generated less distilled: all traces, as many of either arm; its spread is that over halves of questions."""
    tail = (1.0 - params.tables.confidence) / 2.0
    for pair in file.pairs:
        if not pair.whole:
            continue
        known = [_known(params.arms[name]) for name in (pair.arm, pair.other)]
        paper = known[0].value - known[1].value if known[0] and known[1] else None
        size = min(cards[pair.arm].rows, cards[pair.other].rows)
        common = _common(file, pair.kernel, max(cards[pair.arm].questions, cards[pair.other].questions))
        for name, other, value in ((pair.arm, pair.other, pair.whole[0]), (pair.other, pair.arm, pair.whole[1])):
            yield Row(
                arm=name,
                metric=WHOLE,
                value=tidy(value),
                low=None,
                high=None,
                paper=None,
                method=f"none: {size} traces; kernel: {pair.kernel}",
                reference=other,
                **common,
            )
        value = pair.whole[0] - pair.whole[1]
        apart = np.subtract(*np.array(pair.halves).T)
        low, high = np.quantile(apart - apart.mean(), [tail, 1.0 - tail])
        yield Row(
            arm=pair.arm,
            metric=f"{WHOLE}, {APART}",
            value=tidy(value),
            low=tidy(value + low),
            high=tidy(value + high),
            paper=tidy(paper) if paper is not None and pair.kernel == file.kernels[0] else None,
            method=f"{len(pair.halves)} halves of the questions, paired; {size} traces; kernel: {pair.kernel}",
            reference=pair.other,
            **common,
        )


def _common(file: DiversityFile, kernel: str, questions: int) -> dict[str, Any]:
    """What all rows about traces share; the leading kernel's scope is "", so that a reader finds it by any name."""
    scope = "" if kernel == file.kernels[0] else kernel
    return {
        "phase": TRAINING,
        "benchmark": scope,
        "k": None,
        "unit": "score",
        "n_questions": questions,
        "n_samples": 0,
        "seeds": "",
    }


def _per_question(file: DiversityFile, params: Params) -> Iterator[Row]:
    """Mean over questions of the score of a question's traces, as many from either arm, and the paired difference."""
    for pair in file.pairs:
        if len(pair.questions) < 2:
            continue
        rng = np.random.default_rng(derive(params.tables.seed, "tables", "questions", "diversity", pair.other))
        weights = draw_weights(len(pair.questions), params.tables.resamples, rng)
        table = np.array([[traces, ours, theirs] for _, traces, ours, theirs in pair.questions], dtype=float)
        columns = {
            (pair.arm, PER_QUESTION, pair.other): table[:, 1],
            (pair.other, PER_QUESTION, pair.arm): table[:, 2],
            (pair.arm, f"{PER_QUESTION}, {APART}", pair.other): table[:, 1] - table[:, 2],
        }
        common = _common(file, pair.kernel, len(table)) | {"paper": None}
        for (name, metric, reference), values in columns.items():
            found = pooled([values[None, :, None]], [weights], None)
            low, high = interval(found, params.tables.confidence)
            yield Row(
                arm=name,
                metric=metric,
                value=tidy(found.value[0]),
                low=tidy(low[0]),
                high=tidy(high[0]),
                method=f"{OVER_QUESTIONS}; kernel: {pair.kernel}",
                reference=reference,
                **common,
            )
        yield Row(
            arm=pair.arm,
            metric=TRACES,
            value=tidy(table[:, 0].mean()),
            low=None,
            high=None,
            method="none: a count",
            reference=pair.other,
            **common | {"unit": "traces"},
        )
