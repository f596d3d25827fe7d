"""The map: what mid-training adds to RL by base and by amount of RL, and which number of a base goes with that.

Each base is looked at by itself: questions and its training runs are what was sampled. Over the bases the gains are
held against what a base was before any training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from polya_midtrain import paths
from polya_midtrain.params import Params, studies
from polya_midtrain.params.studies import REFERENCE
from polya_midtrain.results import counts, modes
from polya_midtrain.science import trend
from polya_midtrain.tables.map import page
from polya_midtrain.tables.map.page import ENTROPY, NUMBERS, RATIO, RHO, ZERO
from polya_midtrain.tables.modes.cells import Cells
from polya_midtrain.tables.row import MEAN, PASS, Row, Rows, line, pooled_name, tidy
from polya_midtrain.tables.shared.render import Page
from polya_midtrain.tables.shared.scores import DIFFERENCE, Pair, Scores, against, build_rows
from polya_midtrain.tables.shared.study import draws


def build(params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV and the readable page, from results/counts and results/modes; no rows where no arm has an
    amount of RL of its own. The ``seeds`` of a row say its base: they are the training runs of that base, or all."""
    amounts = studies.by_amount(params.arms, params.rl.epochs)
    if not amounts:
        return [], page.nothing()
    references = [names[0] for names in amounts.values()]
    pairs = [(arm, names[0]) for names in amounts.values() for arm in names[1:]]
    sets = list(params.questions.benchmarks)
    base = counts.read(paths.COUNTS, [REFERENCE], sets, params.runs, ["before"])
    arms = counts.read(paths.COUNTS, [*references, *(arm for arm, _ in pairs)], sets, params.runs, ["after"])
    by_base: list[list[Row]] = []
    for number in params.numbers:
        runs = [run for run in params.runs if paths.base_of(run) == number]
        before = Scores(base.of_runs(runs), params.tables, "before")
        after = Scores(arms.of_runs(runs), params.tables, "after")
        scores = [row for study in (before, after) for row in build_rows(study, params, None) if row.metric == PASS]
        pooled = [row for row in scores if (row.benchmark, row.seeds) == (MEAN, pooled_name(runs))]
        held = [row for row in pooled if row.phase == "before" or row.arm in references]
        by_base.append([*held, *_numbers(held, params, runs), *against(after, (DIFFERENCE,), pairs)])
    trends = list(_trends([Rows(rows) for rows in by_base], pairs, params))
    return [*(row for rows in by_base for row in rows), *trends], page.page(by_base, trends, amounts, after, params)


def _numbers(held: Sequence[Row], params: Params, runs: Sequence[int]) -> Iterator[Row]:
    """What is known of a base beside its pass@k."""
    own = {row.k or 0: row for row in held if row.phase == "before"}
    first, last = own[min(own)], own[max(own)]
    if first.value > 0.0:
        method = "none: a ratio of two means"
        found = replace(first, k=None, value=tidy(last.value / first.value), low=None, high=None, paper=None)
        yield replace(found, metric=RATIO, unit=NUMBERS[RATIO], method=method)
    cells = Cells(modes.read(paths.MODES, [REFERENCE], runs), params.tables)
    block = np.log(cells.column(REFERENCE, "before", "effective"))[..., None]
    (columns,) = cells.columns(cells.estimate(REFERENCE, block), (0.0, np.inf))
    where = {"arm": REFERENCE, "phase": "before", "metric": ENTROPY, "unit": NUMBERS[ENTROPY]}
    yield cells.row(n_questions=len(cells.measured.questions), **where, **columns)


def _trends(by_base: Sequence[Rows], pairs: Sequence[Pair], params: Params) -> Iterator[Row]:
    """Over the bases each arm's gain at the largest k against each number of a base: rho, and where it is zero."""
    k, settings = max(params.tables.ks), params.tables
    for arm, reference in pairs:
        gains = [gain for one in by_base for gain in one.find(DIFFERENCE, arm=arm, k=k)]
        for number, unit in NUMBERS.items():
            own = [row for one in by_base for row in page.numbers(one, number, k)]
            if len(own) < len(gains) or len(own) < trend.FEWEST:
                continue
            x, y = (np.array([row.value for row in rows]) for rows in (own, gains))
            where = {"arm": arm, "reference": reference, "phase": "after", "benchmark": MEAN, "k": k}
            where |= {"n_questions": gains[0].n_questions, "n_samples": gains[0].n_samples}
            where |= {"seeds": pooled_name(params.runs)}
            rho, p = trend.spearman(x, y)
            place, *ends = trend.crossing(x, y, draws(settings, len(x), "bases"), settings.confidence)
            if math.isnan(rho):
                continue
            method = f"none: Spearman over {len(x)} bases"
            yield line(**where, metric=f"{RHO} {number}", value=tidy(rho), p=tidy(p), unit="correlation", method=method)
            low, high = (None if end is None else tidy(end) for end in ends)
            method = "none: the slope may be of either sign" if low is None else f"bootstrap over {len(x)} bases"
            ends_of = {"low": low, "high": high, "unit": unit, "method": method}
            yield line(**where, metric=f"{ZERO} {number}", value=tidy(place), **ends_of)
