"""The long format of a table: one number a row, with its interval, its sizes and the paper's value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from polya_midtrain.params import Params
from polya_midtrain.science.compare import slope
from polya_midtrain.tables.row import MEAN, PASS, Row, tidy
from polya_midtrain.tables.shared import paper_values
from polya_midtrain.tables.shared.study import Comparison, Study

DIFFERENCE, RELATIVE = "difference", "relative change"  # of an arm's pass@k to another's
SLOPE = "slope over log2 n"  # of several arms' pass@k
DIFFERENCES = ("diff", "diff_low", "diff_high")
OVER_QUESTIONS = "bootstrap over questions"
OVER_BOTH = "bootstrap over questions and seeds"
TOO_NOISY = "none: a mean is too near 0 for a ratio"

Pair = tuple[str, str]  # an arm, or several joined by "+", and what it is compared with, "" for nothing


def build_rows(
    study: Study, params: Params, reference: str = "", means: Mapping[str, Sequence[str]] | None = None
) -> list[Row]:
    """All rows of one phase: arm x benchmark x metric x k x seeds, in that order, each arm compared with vanilla.

    Benchmarks are followed by the ``means`` over some of them and by their "mean"; each seed's row by the pooled one.
    ``reference``: how the rows that are compared name vanilla.
    """
    counts = study.counts
    scopes: dict[str, Sequence[str]] = {name: (name,) for name in counts.benchmarks}
    scopes |= {**(means or {}), MEAN: counts.benchmarks}
    compared = {scope: study.comparisons(members) for scope, members in scopes.items()}
    return [
        row
        for arm in counts.arms
        for scope, members in scopes.items()
        for row in _rows(study, params, arm, scope, members, compared[scope].get(arm), reference)
    ]


def pooled_name(seeds: Sequence[int]) -> str:
    """The ``seeds`` of a row that pools them."""
    return "+".join(str(seed) for seed in seeds)


def means_and_pooled(rows: Sequence[Row], seeds: Sequence[int]) -> list[Row]:
    """The rows without those of one benchmark and one of several seeds, which would be most of the file."""
    return [row for row in rows if row.benchmark == MEAN or row.seeds == pooled_name(seeds)]


def against(study: Study, metrics: Sequence[str], pairs: Sequence[Pair]) -> list[Row]:
    """Arms against arms, pooled, mean over benchmarks: a row for each of ``metrics`` (difference, relative change).

    ``pairs``: arm and reference; together they are one family of Holm's at each k. A relative change of 0 is a
    difference of 0, so it has the difference's p. Where the reference's mean is 0 there is no relative change, hence no
    row.
    """
    family = {(arm, reference): {arm: 1.0, reference: -1.0} for arm, reference in pairs}
    compared = study.contrasts(family, study.counts.benchmarks)
    found = []
    for pair in pairs:
        for metric in metrics:
            plain = _contrast_rows(study, metric, pair, compared[pair])
            found += plain if metric == DIFFERENCE else _relative_rows(study, plain)
    return found


def slopes(study: Study, family: Mapping[Pair, Mapping[str, float]]) -> list[Row]:
    """Trends, pooled, mean over benchmarks, at each k: sums of pass@k that `by_doubling` weighs; a family of Holm's."""
    compared = study.contrasts(family, study.counts.benchmarks)
    found = [row for pair in family for row in _contrast_rows(study, SLOPE, pair, compared[pair])]
    return [replace(row, unit="share per doubling of n") for row in found]


def by_doubling(sizes: Mapping[str, int]) -> dict[str, float]:
    """The weights of arms whose sum is the slope of their means over log2 n; none where there is a single n.

    ``sizes``: each arm's n.
    """
    if len(set(sizes.values())) < 2:
        return {}
    return dict(zip(sizes, slope([math.log2(n) for n in sizes.values()]), strict=True))


def counted(study: Study, arm: str, metric: str, unit: str, value: float, questions: int) -> Row:
    """A count of an arm's training set of ``questions`` questions: exact, so without an interval."""
    pooled = pooled_name(study.counts.seeds)
    return Row(
        arm, "training", "", metric, None, tidy(value), None, None, unit, questions, 0, pooled, None, "none: a count"
    )


def _rows(
    study: Study,
    params: Params,
    arm: str,
    scope: str,
    members: Sequence[str],
    compared: Comparison | None,
    reference: str,
) -> Iterator[Row]:
    seeds, several = study.counts.seeds, study.several
    single = [(str(seed), study.scores(arm, members, place)) for place, seed in enumerate(seeds)] if several else []
    everything = (pooled_name(seeds), study.scores(arm, members))
    metrics: list[tuple[str, int | None]] = [*((PASS, k) for k in study.ks), ("truncated", None), ("no_answer", None)]
    for column, (metric, k) in enumerate(metrics):
        for group in [*single, everything]:
            name, scores = group
            row = Row(
                arm=arm,
                phase=study.phase,
                benchmark=scope,
                metric=metric,
                k=k,
                value=tidy(scores.value[column]),
                low=tidy(scores.low[column]),
                high=tidy(scores.high[column]),
                unit="share",
                n_questions=study.size(members),
                n_samples=study.counts.samples,
                seeds=name,
                paper=None,
                method=OVER_BOTH if group is everything and several else OVER_QUESTIONS,
            )
            if group is everything and k is not None:
                known = paper_values.lookup(params, study.phase, arm, scope, k)
                row = replace(row, paper=known.value if known else None)
                if compared:
                    ends: dict[str, Any] = {end: tidy(getattr(compared, end)[column]) for end in DIFFERENCES}
                    row = replace(row, **ends, **_test(study, compared, column), reference=reference)
            yield row


def _contrast_rows(study: Study, metric: str, pair: Pair, compared: Comparison) -> list[Row]:
    """A contrast at each k, as the value of a row."""
    return [
        Row(
            arm=pair[0],
            phase=study.phase,
            benchmark=MEAN,
            metric=metric,
            k=k,
            value=tidy(compared.diff[column]),
            low=tidy(compared.diff_low[column]),
            high=tidy(compared.diff_high[column]),
            unit="share",
            n_questions=study.size(study.counts.benchmarks),
            n_samples=study.counts.samples,
            seeds=pooled_name(study.counts.seeds),
            paper=None,
            method=OVER_BOTH if study.several else OVER_QUESTIONS,
            **_test(study, compared, column),
            reference=pair[1],
        )
        for column, k in enumerate(study.ks)
    ]


def _relative_rows(study: Study, differences: Sequence[Row]) -> list[Row]:
    """The same arm and reference, with the relative change in place of the difference."""
    found = []
    first = differences[0]
    change = study.relative(first.arm, first.reference, study.counts.benchmarks)
    for row, value, low, high in zip(differences, *change, strict=True):
        if math.isnan(value):
            continue
        ends: dict[str, Any] = {"low": tidy(low), "high": tidy(high), "method": f"log ratio, {row.method}"}
        if math.isnan(low):
            ends = {"low": None, "high": None, "method": TOO_NOISY}
        found.append(replace(row, value=tidy(value), detectable=None, **ends))
    return found


def _test(study: Study, compared: Comparison, column: int) -> dict[str, Any]:
    """The test's columns; with one training seed none, which would take that seed's luck for the method."""
    if not study.several:
        return {}
    p = compared.p_holm[column]
    found: dict[str, Any] = {"p_holm": tidy(p), "significant": "yes" if p < study.alpha else "no"}
    if compared.detectable[column] > 0.0:  # 0: the differences had no spread to judge by
        found["detectable"] = tidy(compared.detectable[column])
    return found
