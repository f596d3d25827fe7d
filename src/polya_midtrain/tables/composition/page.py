"""The readable page of table composition."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from polya_midtrain.results.composition import Validation
from polya_midtrain.results.small import PHASES
from polya_midtrain.tables.composition.rates import CORRECT, FREE, NEW, NEW_CORRECT, RATE, SILENT, Rates
from polya_midtrain.tables.row import MEAN, PRECISION, RECALL, TWO, Row, Rows
from polya_midtrain.tables.shared import cells, render
from polya_midtrain.tables.shared.cells import SOURCES, UNKNOWN, number
from polya_midtrain.tables.shared.render import Grid, Page
from polya_midtrain.tables.shared.study import SLOPE

COMBINATION, IN_TRAINING = "combination", "combination in mid-training"
ALL, MACRO = "all heuristics", "mean of heuristics"
TREND = "by n"  # what stands in the column arm where a row is about all of them
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
    file = rates.file
    asked = list(file.benchmarks.values())
    # What a right answer needs, where that is known: a rate of correct chains cannot be read without it.
    needs = [need for one in asked for need in one.needs or []]
    parts = [part for one in asked for part in one.parts or []]
    both, alone, label, _ = file.validation.composed
    silent = {}
    for phase in PHASES:
        found = (rates.score(SILENT, arm, phase, rates.benchmarks) for arm in rates.arms)
        silent[phase] = max(columns["value"] for columns in found if columns)
    return render.notes(
        "composition/notes.j2",
        profile=profile,
        rates=rates,
        file=file,
        settings=rates.settings,
        decoding=cells.decoding(file.decoding),
        alpha=f"{rates.alpha:.2g}",
        needs=len(needs),
        forced=sum(need > 1 for need in needs),
        room=sum(part > need for part, need in zip(parts, needs, strict=True)),
        validation=file.validation,
        both=both,
        alone=alone,
        label=label,
        silent=silent,
        paper={phase: share for (phase, _), share in PAPER.items()},
        number=number,
        sources=SOURCES,
    )
