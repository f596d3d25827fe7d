"""The rows of table composition.

Column ``benchmark`` holds a combination ("a+b") in the rows of `COMBINATION` and `IN_TRAINING`, and a heuristic's id,
`ALL`, `MACRO` or `TWO` in those of the judge, which belong to no arm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from polya_midtrain.results.composition import Frequency, Validation
from polya_midtrain.results.small import PHASES
from polya_midtrain.tables.composition.rates import METRICS, RATE, SILENT, Rates, Score
from polya_midtrain.tables.row import MEAN, Row, tidy
from polya_midtrain.tables.shared.long import OVER_BOTH, OVER_QUESTIONS, SLOPE, pooled_name

COMBINATION, IN_TRAINING = "combination", "combination in mid-training"
PRECISION, RECALL = "judge precision", "judge recall"
ALL, MACRO, TWO = "all heuristics", "mean of heuristics", "two or more"
JUDGE, TREND = "judge", "by n"  # what stands in the column arm where a row is about no single arm
BEFORE = "before RL"  # the reference of every difference here

# The paper's composition rates by phase and n, on AIME 2024 as judged by GPT-4o-mini (A).
PAPER = {("before", 16): 0.233, ("after", 16): 0.567}


def build_rows(rates: Rates, sizes: Mapping[str, int]) -> list[Row]:
    """All rows. ``sizes``: the heuristic arms and their n."""
    return [
        *_rates(rates, sizes),
        *_trends(rates, sizes),
        *(row for arm in rates.arms for row in _combinations(rates, arm)),
        *_judge(rates.file.validation, rates.settings.confidence),
    ]


def _rates(rates: Rates, sizes: Mapping[str, int]) -> Iterator[Row]:
    """Metric x arm x scope x phase x seeds; the mean over benchmarks last, and for it each training seed too."""
    scopes = {**{name: (name,) for name in rates.benchmarks}, MEAN: rates.benchmarks}
    for metric in METRICS:
        changes = {scope: rates.changes(metric, members) for scope, members in scopes.items()}
        for arm in rates.arms:
            for scope, members in scopes.items():
                for phase in PHASES:
                    for seed in [*(rates.seeds if scope == MEAN and rates.several else []), None]:
                        score = rates.score(metric, arm, phase, members, seed)
                        if score is None:
                            continue
                        more: dict[str, Any] = {}
                        if seed is None and phase == "after" and arm in changes[scope]:
                            more = changes[scope][arm] | {"reference": BEFORE}
                        if (metric, scope, seed) == (RATE, MEAN, None):
                            more["paper"] = PAPER.get((phase, sizes.get(arm, 0)))
                        yield _row(rates, score, seed, arm=arm, phase=phase, benchmark=scope, metric=metric, **more)


def _trends(rates: Rates, sizes: Mapping[str, int]) -> Iterator[Row]:
    """Least-squares slopes over log2 n of the heuristic arms; the row after RL holds the difference to that before."""
    for metric in [name for name in METRICS if name != SILENT]:
        for phase, score, more in rates.trend(metric, sizes):
            slope = {"benchmark": MEAN, "metric": f"{metric}, {SLOPE}", "unit": "share per doubling of n"}
            reference = {"reference": BEFORE} if more else {}
            yield _row(rates, score, arm=TREND, phase=phase, **slope, **more, **reference)


def _combinations(rates: Rates, arm: str) -> Iterator[Row]:
    """How frequent a combination is before and after RL, and how often it stood together in mid-training."""
    result = rates.file.arms[arm]
    trained = result.midtraining
    for name, frequent in result.frequent.items():
        shares: dict[str, Frequency] = {"before": frequent.before, "after": frequent.after}
        for phase, frequency in shares.items():
            score = rates.frequency(arm, frequency)
            yield _row(rates, score, arm=arm, phase=phase, benchmark=name, metric=COMBINATION)
        if trained.rows:
            yield Row(
                arm=arm,
                phase="training",
                benchmark=name,
                metric=IN_TRAINING,
                k=None,
                value=float(frequent.midtraining),
                low=None,
                high=None,
                unit="chains",
                n_questions=trained.questions,
                n_samples=0,
                seeds=pooled_name(rates.seeds),
                paper=None,
                method="none: a count",
            )


def _row(rates: Rates, score: Score, seed: int | None = None, /, **columns: Any) -> Row:
    """A row that holds a score: of one training seed, or by default of all of them; ``columns`` are the others."""
    return Row(
        **{"unit": "share", "paper": None} | columns,
        k=None,
        value=score.value,
        low=score.low,
        high=score.high,
        n_questions=score.questions,
        n_samples=rates.samples,
        seeds=pooled_name(rates.seeds) if seed is None else str(seed),
        method=OVER_BOTH if seed is None and rates.several else OVER_QUESTIONS,
    )


def _judge(validation: Validation, confidence: float) -> Iterator[Row]:
    """Precision and recall of each heuristic, of all labels together, and of the question whether a chain composes."""
    counts = {name: tuple(found) for name, found in validation.heuristics.items()}
    for name, (hits, invented, missed) in counts.items():
        yield from _shares(validation, name, hits, invented, missed, confidence)
    hits, invented, missed = (sum(column) for column in zip(*counts.values(), strict=True))
    yield from _shares(validation, ALL, hits, invented, missed, confidence)
    for metric, place in ((PRECISION, 1), (RECALL, 2)):
        shares = [found[0] / (found[0] + found[place]) for found in counts.values() if found[0] + found[place]]
        if shares:
            mean = sum(shares) / len(shares)
            yield _judge_row(validation, MACRO, metric, mean, None, "none: a mean over heuristics")
    both, alone, label, _ = validation.composed
    if both + label:
        yield from _shares(validation, TWO, both, alone, label, confidence)


def _shares(
    validation: Validation, name: str, hits: int, invented: int, missed: int, confidence: float
) -> Iterator[Row]:
    from scipy.stats import binomtest

    for metric, total in ((PRECISION, hits + invented), (RECALL, hits + missed)):
        if total:
            ends = binomtest(hits, total).proportion_ci(confidence, method="wilson")
            yield _judge_row(validation, name, metric, hits / total, (ends.low, ends.high), "Wilson, over labels")


def _judge_row(
    validation: Validation, name: str, metric: str, value: float, ends: tuple[float, float] | None, method: str
) -> Row:
    return Row(
        arm=JUDGE,
        phase="labelled",
        benchmark=name,
        metric=metric,
        k=None,
        value=tidy(value),
        low=tidy(ends[0]) if ends else None,
        high=tidy(ends[1]) if ends else None,
        unit="share",
        n_questions=validation.chains,
        n_samples=1,
        seeds="",
        paper=None,
        method=method,
    )
