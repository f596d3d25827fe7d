"""The readable page of table composition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from polya_midtrain.results.composition import Validation
from polya_midtrain.tables.composition.rates import CORRECT, FREE, NEW, NEW_CORRECT, RATE, SILENT, Rates
from polya_midtrain.tables.composition.rows import (
    ALL,
    COMBINATION,
    IN_TRAINING,
    JUDGE,
    MACRO,
    PAPER,
    PRECISION,
    RECALL,
    TREND,
    TWO,
)
from polya_midtrain.tables.row import MEAN, Row
from polya_midtrain.tables.shared.layout import SOURCES, UNKNOWN, number, p_value, score
from polya_midtrain.tables.shared.long import SLOPE, pooled_name
from polya_midtrain.tables.shared.render import Grid, Page

SHOWN = 5  # combinations of an arm after RL; the CSV has more
INSTEAD = 3  # what the judge found in place of a heuristic, most often


class _Index:
    """Pooled rows by what a grid asks for; a row that is not there shows as unknown."""

    def __init__(self, rows: Sequence[Row], seeds: str) -> None:
        self.rows = {(row.arm, row.benchmark, row.metric, row.phase): row for row in rows if row.seeds in (seeds, "")}

    def get(self, arm: str, benchmark: str, metric: str, phase: str) -> Row | None:
        return self.rows.get((arm, benchmark, metric, phase))

    def score(self, arm: str, benchmark: str, metric: str, phase: str) -> str:
        row = self.get(arm, benchmark, metric, phase)
        return UNKNOWN if row is None else _plain(row)

    def change(self, arm: str, benchmark: str, metric: str) -> str:
        row = self.get(arm, benchmark, metric, "after")
        if row is None or row.diff is None:
            return UNKNOWN
        mark = "*" if row.significant == "yes" else ""
        return f"{row.diff:+.3f} [{row.diff_low:+.3f}, {row.diff_high:+.3f}]{mark}"


def page(rows: Sequence[Row], rates: Rates, profile: str) -> Page:
    """Rates before and after RL, trends over n, combinations, and the judge."""
    index = _Index(rows, pooled_name(rates.seeds))
    grids = [
        _means(index, rates),
        _moves(index, rates, "Correct chains alone, mean over benchmarks", (CORRECT, FREE)),
        _benchmarks(index, rates),
        *_trends(index),
        _combinations(rows, index, rates),
        _new(index, rates),
        _judge(index, rates.file.validation),
        *_two(rates.file.validation),
    ]
    return Page(
        "Composition of heuristics, before and after RL", [grid for grid in grids if grid.rows], _notes(rates, profile)
    )


def _means(index: _Index, rates: Rates) -> Grid:
    header = ["arm", "before RL", "after RL", "difference", "p", "detectable", "paper before", "paper after"]
    rows = []
    for arm in rates.arms:
        before, after = (index.get(arm, MEAN, RATE, phase) for phase in ("before", "after"))
        if before and after:
            shown = [_plain(before), _plain(after), index.change(arm, MEAN, RATE)]
            known = (number(value) for value in (after.detectable, before.paper, after.paper))
            rows.append([arm, *shown, p_value(after.p_holm), *known])
    caption = f"Share of chains with two heuristics or more, mean over {len(rates.benchmarks)} benchmarks"
    return Grid(caption, header, rows)


def _moves(index: _Index, rates: Rates, caption: str, metrics: Sequence[str]) -> Grid:
    header = ["arm", *(f"{metric}: {what}" for metric in metrics for what in ("before RL", "after RL", "difference"))]
    rows = []
    for arm in rates.arms:
        cells = []
        for metric in metrics:
            cells += [index.score(arm, MEAN, metric, phase) for phase in ("before", "after")]
            cells.append(index.change(arm, MEAN, metric))
        if any(cell != UNKNOWN for cell in cells):
            rows.append([arm, *cells])
    return Grid(caption, header, rows)


def _benchmarks(index: _Index, rates: Rates) -> Grid:
    header = ["arm", *(f"{name}, {phase} RL" for name in rates.benchmarks for phase in ("before", "after"))]
    rows = [
        [arm, *(index.score(arm, name, RATE, phase) for name in rates.benchmarks for phase in ("before", "after"))]
        for arm in rates.arms
    ]
    return Grid("Composition rate of each benchmark", header, rows)


def _trends(index: _Index) -> Iterator[Grid]:
    rows = []
    for metric in (RATE, CORRECT, FREE):
        name = f"{metric}, {SLOPE}"
        ends = [index.get(TREND, MEAN, name, phase) for phase in ("before", "after")]
        if all(ends):
            rows.append([metric, *(_signed(row) for row in ends if row), index.change(TREND, MEAN, name)])
    header = ["rate", "before RL", "after RL", "difference"]
    yield Grid("Change of a rate with each doubling of n (slope over log2 n, heuristic arms)", header, rows)


def _combinations(rows: Sequence[Row], index: _Index, rates: Rates) -> Grid:
    header = ["arm", "combination", "before RL", "after RL", "right after RL", "together in mid-training"]
    lines = []
    after = [row for row in rows if (row.metric, row.phase) == (COMBINATION, "after") and row.value > 0.0]
    for arm, group in groupby(after, key=lambda row: row.arm):
        result = rates.file.arms[arm]
        for row in list(group)[:SHOWN]:
            counted = result.frequent[row.benchmark].after
            trained = index.get(arm, row.benchmark, IN_TRAINING, "training")
            lines.append(
                [
                    arm,
                    row.benchmark,
                    index.score(arm, row.benchmark, COMBINATION, "before"),
                    _plain(row),
                    f"{counted.correct} of {counted.chains}",
                    f"{trained.value:.0f} of {result.midtraining.rows}" if trained else UNKNOWN,
                ]
            )
    return Grid("Most frequent combinations after RL, as shares of all chains", header, lines)


def _new(index: _Index, rates: Rates) -> Grid:
    header = ["arm", "mid-training chains", "of two or more", "combinations in them", "after RL"]
    header += [f"{metric}, {phase} RL" for metric in (NEW, NEW_CORRECT) for phase in ("before", "after")]
    rows = []
    for arm in rates.arms:
        result = rates.file.arms[arm]
        trained = result.midtraining
        if trained.rows:
            sizes = [trained.rows, trained.composed, len(trained.combinations), result.after.distinct]
            shares = [
                index.score(arm, MEAN, metric, phase) for metric in (NEW, NEW_CORRECT) for phase in ("before", "after")
            ]
            rows.append([arm, *(str(size) for size in sizes), *shares])
    return Grid("Chains of two or more whose combination never stood together in mid-training", header, rows)


def _judge(index: _Index, validation: Validation) -> Grid:
    header = ["heuristic", "precision", "recall", "used", "missed", "found instead of it"]
    lines = []
    for name in (*validation.heuristics, ALL, MACRO, TWO):
        shown = [index.score(JUDGE, name, metric, "labelled") for metric in (PRECISION, RECALL)]
        sizes = [UNKNOWN] * 3
        if name in validation.heuristics:
            hits, _, missed = validation.heuristics[name]
            sizes = [str(hits + missed), str(missed), _instead(validation.confused.get(name, {}))]
        if any(cell != UNKNOWN for cell in shown):
            lines.append([name, *shown, *sizes])
    return Grid(f"The judge on {validation.chains} labelled chains", header, lines)


def _instead(found: dict[str, int]) -> str:
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:INSTEAD]
    return ", ".join(f"{name or 'none'} {count}" for name, count in ranked) or UNKNOWN


def _two(validation: Validation) -> Iterator[Grid]:
    both, alone, label, neither = validation.composed
    if both + label:
        header = ["label", "judge: two or more", "judge: fewer"]
        rows = [["two or more", str(both), str(label)], ["fewer", str(alone), str(neither)]]
        yield Grid("Labelled chains with two heuristics or more, by label and by judge", header, rows)


def _plain(row: Row) -> str:
    """Value and interval, without the mark, which is the difference's."""
    return number(row.value) if row.low is None else score(row).rstrip("*")


def _signed(row: Row) -> str:
    return f"{row.value:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"


def _notes(rates: Rates, profile: str) -> list[str]:
    file, settings = rates.file, rates.settings
    alpha = 1.0 - settings.confidence
    paper = " and ".join(f"{share:.3f} {phase} RL" for (phase, _), share in PAPER.items())
    decoding = ", ".join(f"{name} {value!r}" for name, value in sorted(file.decoding.items()) if value != "")
    notes = [
        f"Profile {profile}; {rates.samples} samples a question; decoding: {decoding}. Judge: {file.judge}. "
        f"Questions: {_questions(rates)}. A chain's combination is all heuristics that the judge found in it.",
        f"Brackets: {settings.confidence:.0%} bootstrap interval ({settings.resamples} resamples, expanded for few "
        "units), pooled over questions and training seeds, not corrected for the number of arms; each seed is in the "
        "CSV. Shares of correct chains, or of chains of two or more, are ratios: a question weighs as often as it has "
        "such a chain, and the interval is that of the ratio's linear form.",
        (
            f"Difference: after less before RL, paired by question and training seed. *: Holm-corrected p below "
            f"{alpha:.2g} over the {len(rates.arms)} arms (p by min F', Clark 1973). Detectable: the true difference "
            f"found with probability 0.8 at level {alpha:.2g}/{len(rates.arms)}. Before RL, the arm without "
            "mid-training is the base itself: its seeds differ in sampling alone."
            if rates.several
            else "One training seed: intervals and differences describe these trained policies, and no test is made."
        ),
    ]
    notes += _needs(rates)
    notes += [
        "Combinations: chains with just these heuristics; the most frequent are chosen on the chains that are shown. "
        "Together in mid-training: chains of the arm's training set that hold all of them, with others or not. New: "
        "none does. What the base model met before mid-training is not counted, so new does not mean never seen.",
        _judged(file.validation, [_silent(rates, phase) for phase in ("before", "after")]),
        f"Paper (Llama-3.2-3B-Instruct, AIME 2024, chains labelled by GPT-4o-mini): at n = 16, {paper} (A), growing "
        "with n (A; no numbers known); Bolzano+Decompose and Restate+Decompose+Carry-Out frequent after RL and never "
        "together in mid-training (A; no counts known). " + SOURCES,
        "Not shown: whether a combination made an answer right, and what another judge would find.",
    ]
    return notes


def _needs(rates: Rates) -> Iterator[str]:
    """What a right answer needs, where that is known: a rate of correct chains cannot be read without it."""
    asked = list(rates.file.benchmarks.values())
    needs = [need for one in asked for need in one.needs or []]
    parts = [part for one in asked for part in one.parts or []]
    if needs:
        forced = sum(need > 1 for need in needs)
        room = sum(part > need for part, need in zip(parts, needs, strict=True))
        yield (
            f"In this world a heuristic is the plan of one part, and to combine means to work different parts by "
            f"different plans. {forced} of the {len(needs)} questions have parts of different families: there a right "
            "answer needs two heuristics or more, so that a rise among all chains may be no more than a rise of right "
            "answers, and right answers in the training set combine by necessity, unlike the paper's. "
            f"{FREE.capitalize()}: the share of correct chains that use more heuristics than their question needs, on "
            f"the {room} questions with more parts than that."
        )


def _questions(rates: Rates) -> str:
    told = []
    for name, asked in rates.file.benchmarks.items():
        parts = f" of {' or '.join(str(size) for size in sorted(set(asked.parts)))} parts" if asked.parts else ""
        left = f" ({asked.single} of one part, where nothing can be combined, left out)" if asked.single else ""
        told.append(f"{name} {len(asked.questions)}{parts}{left}")
    return ", ".join(told)


def _silent(rates: Rates, phase: str) -> float:
    shares = [score.value for arm in rates.arms if (score := rates.score(SILENT, arm, phase, rates.benchmarks))]
    return max(shares)


def _judged(validation: Validation, silent: Sequence[float]) -> str:
    both, alone, label, _ = validation.composed
    text = (
        f"Judge measured on {validation.chains} chains, label: {validation.label}; intervals: Wilson, labels taken as "
        "independent. "
    )
    if validation.habits:
        faults = ", ".join(f"{name} {rate:g}" for name, rate in validation.habits.items())
        text += (
            f"How often the writers err (per part; single and cut per chain): {faults}; chosen, not fitted to the "
            "policies, whose faults also come together. "
        )
    else:
        text += "That label is noisy: a model may not do what it is asked for, or do more besides. "
    if both + label:
        text += (
            f"Two heuristics or more: {number((both + label) / validation.chains)} of the labelled chains by label, "
            f"{number((both + alone) / validation.chains)} by the judge. "
        )
    else:
        text += "It names one heuristic a chain, so that finding two is not tested. "
    return (
        text + f"In no arm did the judge find nothing in more than {number(silent[0])} of the chains before RL, "
        f"{number(silent[1])} after."
    )
