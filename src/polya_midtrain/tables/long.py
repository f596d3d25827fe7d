"""The long format of a table: one number a row, with its interval, its sizes and the paper's value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from polya_midtrain.errors import UserError
from polya_midtrain.params import PARAMS_FILE, Tables
from polya_midtrain.tables import paper_values
from polya_midtrain.tables.counts import Counts
from polya_midtrain.tables.paper_values import MEAN
from polya_midtrain.tables.study import Comparison, Study

PASS = "pass@k"
DECIMALS = 4
OVER_QUESTIONS = "bootstrap over questions"
OVER_BOTH = "bootstrap over questions and seeds"


@dataclass(frozen=True)
class Row:
    """A line of the CSV, the fields in its columns' order; all numbers but sizes and p are shares of 1.

    ``seeds``: one training seed, or all of them joined by "+" for the pooled row. ``diff`` ...: the difference to
    vanilla, paired by question, on pooled pass@k rows. ``detectable``: the smallest true difference that the comparison
    finds with probability 0.8. It, ``p_holm`` and ``significant`` need two training seeds or more.
    """

    arm: str
    phase: str
    benchmark: str
    metric: str
    k: int | None
    value: float
    low: float
    high: float
    unit: str
    n_questions: int
    n_samples: int
    seeds: str
    paper: float | None
    method: str
    diff: float | None = None
    diff_low: float | None = None
    diff_high: float | None = None
    detectable: float | None = None
    p_holm: float | None = None
    significant: str = ""


def build_rows(counts: Counts, settings: Tables, phase: str) -> list[Row]:
    """All rows of one phase ("before" or "after" RL): arm x benchmark x metric x k x seeds, in that order.

    Benchmarks are followed by their "mean"; each seed's row by the pooled one. Raises `UserError` when the counts hold
    fewer samples than the largest k.
    """
    if max(settings.ks) > counts.samples:
        raise UserError(
            f"{PARAMS_FILE}: tables.ks: k={max(settings.ks)}, but the counts hold {counts.samples} samples a question; "
            "lower k, or raise evaluate.samples and run `dvc repro`"
        )
    study = Study(counts, settings, phase)
    scopes = {**{name: (name,) for name in counts.benchmarks}, MEAN: counts.benchmarks}
    compared = {scope: study.comparisons(members) for scope, members in scopes.items()}
    return [
        row
        for arm in counts.arms
        for scope, members in scopes.items()
        for row in _rows(study, phase, arm, scope, members, compared[scope].get(arm))
    ]


def _rows(
    study: Study, phase: str, arm: str, scope: str, members: Sequence[str], compared: Comparison | None
) -> Iterator[Row]:
    seeds = study.counts.seeds
    several = len(seeds) > 1
    single = [(str(seed), study.scores(arm, members, place)) for place, seed in enumerate(seeds)] if several else []
    everything = ("+".join(str(seed) for seed in seeds), study.scores(arm, members))
    metrics: list[tuple[str, int | None]] = [*((PASS, k) for k in study.ks), ("truncated", None), ("no_answer", None)]
    for column, (metric, k) in enumerate(metrics):
        for group in [*single, everything]:
            name, scores = group
            row = Row(
                arm=arm,
                phase=phase,
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
                known = paper_values.lookup(phase, arm, scope, k)
                difference = _difference(compared, column, study.alpha, several) if compared else {}
                row = replace(row, paper=known.value if known else None, **difference)
            yield row


def _difference(compared: Comparison, column: int, alpha: float, several: bool) -> dict[str, Any]:
    """The comparison's columns; with one training seed no test, which would take that seed's luck for the method."""
    found: dict[str, Any] = {name: tidy(getattr(compared, name)[column]) for name in ("diff", "diff_low", "diff_high")}
    if several:
        found["p_holm"] = tidy(compared.p_holm[column])
        found["significant"] = "yes" if compared.p_holm[column] < alpha else "no"
        if compared.detectable[column] > 0.0:  # 0: the differences had no spread to judge by
            found["detectable"] = tidy(compared.detectable[column])
    return found


def tidy(number: float) -> float:
    """Rounded to the CSV's decimals, so that every rendering starts from the same digits; no negative zero."""
    return round(float(number), DECIMALS) + 0.0
