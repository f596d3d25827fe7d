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
from polya_midtrain.tables.shared.scores import DIFFERENCE, Pair, Scores, against
from polya_midtrain.tables.shared.study import SHARES, draws


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
        own = list(_scores(before, REFERENCE))
        alone = [row for arm in references for row in _scores(after, arm)]
        by_base.append([*own, *_numbers(own, params, runs), *alone, *against(after, (DIFFERENCE,), pairs)])
    trends = list(_trends([Rows(rows) for rows in by_base], pairs, params))
    return [*(row for rows in by_base for row in rows), *trends], page.page(by_base, trends, amounts, after, params)


def _scores(study: Scores, arm: str) -> Iterator[Row]:
    """Mean pass@k of an arm on one base."""
    found = study.columns(study.mean(arm, study.passes(arm, study.averaged)), SHARES)
    where = {"arm": arm, "phase": study.phase, "benchmark": MEAN, "metric": PASS}
    asked = sum(study.sizes[name] for name in study.averaged)
    yield from (
        study.row(k=k, n_questions=asked, **where, **columns) for k, columns in zip(study.ks, found, strict=True)
    )


def _numbers(own: Sequence[Row], params: Params, runs: Sequence[int]) -> Iterator[Row]:
    """What is known of a base beside its pass@k, which are ``own``, by k."""
    if own[0].value > 0.0:
        found = replace(own[0], k=None, value=tidy(own[-1].value / own[0].value), low=None, high=None)
        yield replace(found, metric=RATIO, unit=NUMBERS[RATIO], method="none: a ratio of two means")
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
            if not math.isnan(rho):
                more = {"value": tidy(rho), "p": tidy(p), "unit": "correlation"}
                yield line(**where, metric=f"{RHO} {number}", method=f"none: Spearman over {len(x)} bases", **more)
            if found := trend.crossing(x, y, draws(settings, len(x), "bases"), settings.confidence):
                more = dict(zip(("value", "low", "high"), map(tidy, found), strict=True))
                method = f"bootstrap over {len(x)} bases"
                yield line(**where, metric=f"{ZERO} {number}", unit=unit, method=method, **more)
