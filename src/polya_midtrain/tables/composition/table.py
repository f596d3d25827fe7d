"""Composition: chains that use two heuristics or more, before and after RL, and their combinations.

Column ``benchmark`` holds a combination ("a+b") in the rows about combinations, and a heuristic's id, `page.ALL`,
`page.MACRO` or `TWO` in those of the judge, which belong to no arm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from polya_midtrain import paths
from polya_midtrain.params import Params, studies
from polya_midtrain.results import composition
from polya_midtrain.results.composition import Validation
from polya_midtrain.results.small import PHASES
from polya_midtrain.tables.composition import page
from polya_midtrain.tables.composition.rates import METRICS, RATE, SILENT, Rates
from polya_midtrain.tables.row import JUDGE, MEAN, PRECISION, RECALL, TWO, Row, line, pooled_name, tidy
from polya_midtrain.tables.shared.render import Page
from polya_midtrain.tables.shared.study import DIFFERENCES, SLOPE, Columns, by_doubling

BEFORE = "before RL"  # the reference of every difference here


def build(params: Params) -> tuple[list[Row], Page]:
    """The rows of the CSV and the readable page, from results/composition.json."""
    arms = studies.main(params.arms)
    found = composition.read(paths.COMPOSITION, arms, params.compose.benchmarks, params.runs)
    rates = Rates(found, arms, params.tables)
    sizes = {name: params.arms[name].n for name in studies.by_n(params.arms)}
    rows = [
        *_rates(rates, sizes),
        *_trends(rates, by_doubling(sizes)),
        *(row for arm in arms for row in _combinations(rates, arm)),
        *_judge(found.validation, params.tables.confidence),
    ]
    return rows, page.page(rows, rates, params.profile)


def _rates(rates: Rates, sizes: Mapping[str, int]) -> Iterator[Row]:
    """Metric x arm x scope x phase x seeds; the mean over benchmarks last, and for it each training seed too."""
    scopes = {**{name: [name] for name in rates.benchmarks}, MEAN: rates.benchmarks}
    for metric in METRICS:
        changes = {}
        for scope, members in scopes.items():
            moved = {arm: rates.moved(metric, arm, members) for arm in rates.arms}
            family = {arm: rates.mean(arm, blocks) for arm, blocks in moved.items() if blocks is not None}
            changes[scope] = rates.differences(family, BEFORE)
        for arm in rates.arms:
            for scope, members in scopes.items():
                for phase in PHASES:
                    for place in rates.places() if scope == MEAN else [None]:
                        columns = rates.score(metric, arm, phase, members, place)
                        if columns is None:
                            continue
                        if place is None and phase == "after" and arm in changes[scope]:
                            columns |= changes[scope][arm][0]
                        if (metric, scope, place) == (RATE, MEAN, None):
                            columns["paper"] = page.PAPER.get((phase, sizes.get(arm, 0)))
                        yield rates.row(place, arm=arm, phase=phase, benchmark=scope, metric=metric, **columns)


def _trends(rates: Rates, weights: Mapping[str, float]) -> Iterator[Row]:
    """Slopes over log2 n of the heuristic arms; the row after RL holds the difference to that before.

    There is none where an arm has no rate.
    """
    for metric in [name for name in METRICS if name != SILENT] if weights else []:
        found = {(arm, phase): rates.rate(metric, arm, phase, rates.benchmarks) for arm in weights for phase in PHASES}
        held = {place: rate for place, rate in found.items() if rate is not None}
        moved = {arm: blocks for arm in weights if (blocks := rates.moved(metric, arm, rates.benchmarks)) is not None}
        if len(held) < len(found):
            continue
        for phase in PHASES:
            slope = rates.contrast({arm: held[arm, phase].blocks for arm in weights}, weights)
            more: Columns = {}
            if phase == "after":
                more = rates.differences({"": rates.contrast(moved, weights)}, BEFORE)[""][0]
            yield rates.row(
                arm=page.TREND,
                phase=phase,
                benchmark=MEAN,
                metric=f"{metric}, {SLOPE}",
                unit="share per doubling of n",
                n_questions=max(held[arm, phase].questions for arm in weights),
                **rates.columns(slope, DIFFERENCES)[0],
                **more,
            )


def _combinations(rates: Rates, arm: str) -> Iterator[Row]:
    """How frequent a combination is before and after RL, and how often it stood together in mid-training."""
    result = rates.file.arms[arm]
    for name, frequent in result.frequent.items():
        for phase in PHASES:
            columns = rates.frequency(arm, getattr(frequent, phase))
            yield rates.row(arm=arm, phase=phase, benchmark=name, metric=page.COMBINATION, **columns)
        if result.midtraining.rows:
            yield line(
                arm=arm,
                phase="training",
                benchmark=name,
                metric=page.IN_TRAINING,
                value=float(frequent.midtraining),
                unit="chains",
                n_questions=result.midtraining.questions,
                seeds=pooled_name(rates.seeds),
                method="none: a count",
            )


def _judge(validation: Validation, confidence: float) -> Iterator[Row]:
    """Precision and recall of each heuristic, of all labels together, and of the question whether a chain composes."""
    from scipy.stats import binomtest

    where = {"arm": JUDGE, "phase": "labelled", "n_questions": validation.chains, "n_samples": 1}

    def shares(name: str, hits: int, invented: int, missed: int) -> Iterator[Row]:
        for metric, total in ((PRECISION, hits + invented), (RECALL, hits + missed)):
            if total:
                low, high = map(tidy, binomtest(hits, total).proportion_ci(confidence, method="wilson"))
                share = {"value": tidy(hits / total), "low": low, "high": high, "method": "Wilson, over labels"}
                yield line(benchmark=name, metric=metric, **where, **share)

    for name, (hits, invented, missed) in validation.heuristics.items():
        yield from shares(name, hits, invented, missed)
    hits, invented, missed = (sum(column) for column in zip(*validation.heuristics.values(), strict=True))
    yield from shares(page.ALL, hits, invented, missed)
    for metric, place in ((PRECISION, 1), (RECALL, 2)):
        totals = [(found[0], found[0] + found[place]) for found in validation.heuristics.values()]
        each = [hits / total for hits, total in totals if total]
        if each:
            mean = {"value": tidy(sum(each) / len(each)), "method": "none: a mean over heuristics"}
            yield line(benchmark=page.MACRO, metric=metric, **where, **mean)
    both, alone, label, _ = validation.composed
    if both + label:
        yield from shares(TWO, both, alone, label)
