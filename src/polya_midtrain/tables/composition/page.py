"""The readable page of table composition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from polya_midtrain.results.composition import Validation
from polya_midtrain.results.small import PHASES
from polya_midtrain.tables.composition.rates import CORRECT, FREE, NEW, NEW_CORRECT, RATE, SILENT, Rates
from polya_midtrain.tables.row import MEAN, Row, Rows
from polya_midtrain.tables.shared import cells
from polya_midtrain.tables.shared.cells import SOURCES, UNKNOWN, number
from polya_midtrain.tables.shared.render import Grid, Page
from polya_midtrain.tables.shared.study import SLOPE

COMBINATION, IN_TRAINING = "combination", "combination in mid-training"
PRECISION, RECALL = "judge precision", "judge recall"
ALL, MACRO, TWO = "all heuristics", "mean of heuristics", "two or more"
JUDGE, TREND = "judge", "by n"  # what stands in the column arm where a row is about no single arm
# The paper's composition rates by phase and n, on AIME 2024 as judged by GPT-4o-mini (A).
PAPER = {("before", 16): 0.233, ("after", 16): 0.567}
SHOWN = 5  # combinations of an arm after RL; the CSV has more
INSTEAD = 3  # what the judge found in place of a heuristic, most often


def page(rows: Sequence[Row], rates: Rates, profile: str) -> Page:
    """Rates before and after RL, trends over n, combinations, and the judge."""
    index = Rows(rows)
    grids = [
        _means(index, rates),
        _correct(index, rates),
        _benchmarks(index, rates),
        _trends(index),
        _combinations(index, rates),
        _new(index, rates),
        _judge(index, rates.file.validation),
        _two(rates.file.validation),
    ]
    title = "Composition of heuristics, before and after RL"
    return Page(title=title, grids=[grid for grid in grids if grid.rows], notes=_notes(rates, profile))


def _phases(index: Rows, metric: str, arm: str, benchmark: str = MEAN) -> list[str]:
    return [cells.score(index.get(metric, arm=arm, benchmark=benchmark, phase=phase)) for phase in PHASES]


def _change(index: Rows, metric: str, arm: str) -> str:
    return cells.difference(index.get(metric, arm=arm, benchmark=MEAN, phase="after"))


def _means(index: Rows, rates: Rates) -> Grid:
    header = ["arm", "before RL", "after RL", "difference", "p", "detectable", "paper before", "paper after"]
    rows = []
    for arm in rates.arms:
        before, after = (index.get(RATE, arm=arm, benchmark=MEAN, phase=phase) for phase in PHASES)
        if before and after:
            shown = [*_phases(index, RATE, arm), _change(index, RATE, arm), cells.p_value(after)]
            rows.append([arm, *shown, *(number(value) for value in (after.detectable, before.paper, after.paper))])
    caption = f"Share of chains with two heuristics or more, mean over {len(rates.benchmarks)} benchmarks"
    return Grid(caption=caption, header=header, rows=rows)


def _correct(index: Rows, rates: Rates) -> Grid:
    metrics = (CORRECT, FREE)
    header = ["arm", *(f"{metric}: {what}" for metric in metrics for what in ("before RL", "after RL", "difference"))]
    rows = []
    for arm in rates.arms:
        shown = [cell for metric in metrics for cell in (*_phases(index, metric, arm), _change(index, metric, arm))]
        if any(cell != UNKNOWN for cell in shown):
            rows.append([arm, *shown])
    return Grid(caption="Correct chains alone, mean over benchmarks", header=header, rows=rows)


def _benchmarks(index: Rows, rates: Rates) -> Grid:
    header = ["arm", *(f"{name}, {phase} RL" for name in rates.benchmarks for phase in PHASES)]
    rows = [
        [arm, *(cell for name in rates.benchmarks for cell in _phases(index, RATE, arm, name))] for arm in rates.arms
    ]
    return Grid(caption="Composition rate of each benchmark", header=header, rows=rows)


def _trends(index: Rows) -> Grid:
    rows = []
    for metric in (RATE, CORRECT, FREE):
        name = f"{metric}, {SLOPE}"
        if found := index.find(name):
            rows.append([metric, *(cells.change(row, marked=False) for row in found), _change(index, name, TREND)])
    header = ["rate", "before RL", "after RL", "difference"]
    caption = "Change of a rate with each doubling of n (slope over log2 n, heuristic arms)"
    return Grid(caption=caption, header=header, rows=rows)


def _combinations(index: Rows, rates: Rates) -> Grid:
    header = ["arm", "combination", "before RL", "after RL", "right after RL", "together in mid-training"]
    lines = []
    after = [row for row in index.find(COMBINATION, phase="after") if row.value > 0.0]
    for arm, group in groupby(after, key=lambda row: row.arm):
        result = rates.file.arms[arm]
        for row in list(group)[:SHOWN]:
            counted = result.frequent[row.benchmark].after
            trained = index.get(IN_TRAINING, arm=arm, benchmark=row.benchmark)
            lines.append(
                [
                    arm,
                    row.benchmark,
                    *_phases(index, COMBINATION, arm, row.benchmark),
                    f"{counted.correct} of {counted.chains}",
                    f"{trained.value:.0f} of {result.midtraining.rows}" if trained else UNKNOWN,
                ]
            )
    return Grid(caption="Most frequent combinations after RL, as shares of all chains", header=header, rows=lines)


def _new(index: Rows, rates: Rates) -> Grid:
    header = ["arm", "mid-training chains", "of two or more", "combinations in them", "after RL"]
    header += [f"{metric}, {phase} RL" for metric in (NEW, NEW_CORRECT) for phase in PHASES]
    rows = []
    for arm in rates.arms:
        result = rates.file.arms[arm]
        trained = result.midtraining
        if trained.rows:
            sizes = (trained.rows, trained.composed, len(trained.combinations), result.after.distinct)
            shares = [cell for metric in (NEW, NEW_CORRECT) for cell in _phases(index, metric, arm)]
            rows.append([arm, *map(str, sizes), *shares])
    caption = "Chains of two or more whose combination never stood together in mid-training"
    return Grid(caption=caption, header=header, rows=rows)


def _judge(index: Rows, validation: Validation) -> Grid:
    header = ["heuristic", "precision", "recall", "used", "missed", "found instead of it"]
    lines = []
    for name in (*validation.heuristics, ALL, MACRO, TWO):
        shown = [cells.score(index.get(metric, benchmark=name)) for metric in (PRECISION, RECALL)]
        sizes = [UNKNOWN] * 3
        if name in validation.heuristics:
            hits, _, missed = validation.heuristics[name]
            found = sorted(validation.confused.get(name, {}).items(), key=lambda item: (-item[1], item[0]))
            instead = ", ".join(f"{other or 'none'} {count}" for other, count in found[:INSTEAD])
            sizes = [str(hits + missed), str(missed), instead or UNKNOWN]
        if any(cell != UNKNOWN for cell in shown):
            lines.append([name, *shown, *sizes])
    return Grid(caption=f"The judge on {validation.chains} labelled chains", header=header, rows=lines)


def _two(validation: Validation) -> Grid:
    both, alone, label, neither = validation.composed
    header = ["label", "judge: two or more", "judge: fewer"]
    rows = [["two or more", str(both), str(label)], ["fewer", str(alone), str(neither)]] if both + label else []
    caption = "Labelled chains with two heuristics or more, by label and by judge"
    return Grid(caption=caption, header=header, rows=rows)


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
    found = (rates.score(SILENT, arm, phase, rates.benchmarks) for arm in rates.arms)
    return max(columns["value"] for columns in found if columns)


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
