"""Rows of pass@k: arms' scores, each compared with vanilla, and arms against arms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import PARAMS_FILE, Params, Tables
from polya_midtrain.params.studies import REFERENCE
from polya_midtrain.results import counts
from polya_midtrain.results.counts import Counts
from polya_midtrain.results.small import PHASES, Phase
from polya_midtrain.science import compare
from polya_midtrain.science.bootstrap import Array, Estimate
from polya_midtrain.science.passk import pass_at_k
from polya_midtrain.tables.row import MEAN, PASS, RELATIVE, Row, line, pooled_name, tidy
from polya_midtrain.tables.shared import paper_values
from polya_midtrain.tables.shared.study import DIFFERENCES, SHARES, SLOPE, Columns, Study

DIFFERENCE = "difference"  # of an arm's pass@k to another's
RATES = ("truncated", "no_answer")
TOO_NOISY = "none: a mean is too near 0 for a ratio"

Pair = tuple[str, str]  # an arm, or several joined by "+", and what it is compared with, "" for nothing


class Scores(Study):
    """One phase ("before" or "after" RL) of all arms: pass@k in the order of ``ks``, then `RATES`.

    Raises `UserError` when the counts hold fewer samples than the largest k.
    """

    def __init__(self, found: Counts, settings: Tables, phase: str) -> None:
        if max(settings.ks) > found.samples:
            raise UserError(
                f"{PARAMS_FILE}: tables.ks: k={max(settings.ks)}, but the counts hold {found.samples} samples a "
                "question; lower k, or raise evaluate.samples and run `dvc repro`"
            )
        self.arms, self.benchmarks, self.phase = found.arms, found.benchmarks, phase
        self.averaged = settings.averaged(found.benchmarks)
        self.decoding = found.decoding
        self.ks = sorted(set(settings.ks))
        self._shares: dict[tuple[str, str], Array] = {}
        for arm in found.arms:
            for name in found.benchmarks:
                cell = found.cells[arm, phase, name]
                scores = [pass_at_k(cell.correct, found.samples, k) for k in self.ks]
                rates = [cell.truncated / found.samples, cell.no_answer / found.samples]
                self._shares[arm, name] = np.stack([*scores, *rates], axis=-1)
        sizes = {name: self._shares[found.arms[0], name].shape[1] for name in found.benchmarks}
        super().__init__(settings, found.seeds, sizes, found.arms, found.samples)

    @classmethod
    def read(
        cls, params: Params, arms: Sequence[str], sets: Iterable[str] = (), phases: Sequence[Phase] = PHASES
    ) -> dict[Phase, Scores]:
        """The scores of ``arms`` by phase, from results/counts; ``sets``: others than the benchmarks."""
        found = counts.read(paths.COUNTS, arms, list(sets or params.questions.benchmarks), params.runs, phases)
        return {phase: cls(found, params.tables, phase) for phase in phases}

    def of(self, arm: str, benchmarks: Sequence[str]) -> dict[str, Array]:
        """pass@k and rates of an arm, by benchmark."""
        return {name: self._shares[arm, name] for name in benchmarks}

    def passes(self, arm: str, benchmarks: Sequence[str]) -> dict[str, Array]:
        """pass@k of an arm, by benchmark."""
        return {name: block[..., : len(self.ks)] for name, block in self.of(arm, benchmarks).items()}

    def against_vanilla(self, benchmarks: Sequence[str], reference: str) -> dict[str, list[Columns]]:
        """Per arm the columns of its difference to vanilla at each k, Holm's family being the arms."""
        arms = {arm: {arm: 1.0, REFERENCE: -1.0} for arm in self.arms if arm != REFERENCE}
        family = {arm: self.weighed(weights, benchmarks) for arm, weights in arms.items()}
        return self.differences(family, reference)

    def weighed(self, weights: Mapping[str, float], benchmarks: Sequence[str]) -> Estimate:
        """The sum of arms' pass@k, each times its weight."""
        return self.contrast({arm: self.passes(arm, benchmarks) for arm in weights}, weights)


def build_rows(
    scores: Scores, params: Params, reference: str | None = "", means: Mapping[str, Sequence[str]] | None = None
) -> list[Row]:
    """All rows of one phase: arm x benchmark x metric x k x seeds, in that order, each arm compared with vanilla.

    Benchmarks are followed by the ``means`` over some of them and by their "mean"; each seed's row by the pooled one.
    ``reference``: how the rows that are compared name vanilla; None: none is.
    """
    scopes: dict[str, Sequence[str]] = {name: (name,) for name in scores.benchmarks}
    scopes |= {**(means or {}), MEAN: scores.averaged}
    compared = {
        scope: {} if reference is None else scores.against_vanilla(members, reference)
        for scope, members in scopes.items()
    }
    return [
        row
        for arm in scores.arms
        for scope, members in scopes.items()
        for row in _rows(scores, params, arm, scope, members, compared[scope].get(arm))
    ]


def _rows(
    scores: Scores,
    params: Params,
    arm: str,
    scope: str,
    members: Sequence[str],
    compared: list[Columns] | None,
) -> Iterator[Row]:
    blocks = scores.of(arm, members)
    held = {place: scores.columns(scores.mean(arm, blocks, place), SHARES) for place in scores.places()}
    questions = sum(scores.sizes[name] for name in members)
    where = {"arm": arm, "phase": scores.phase, "benchmark": scope, "n_questions": questions}
    metrics: list[tuple[str, int | None]] = [*((PASS, k) for k in scores.ks), *((name, None) for name in RATES)]
    for column, (metric, k) in enumerate(metrics):
        for place, columns in held.items():
            more: Columns = {}
            if place is None and k is not None:
                known = paper_values.lookup(params, scores.phase, arm, scope, k)
                more = {"paper": known.value if known else None} | (compared[column] if compared else {})
            yield scores.row(place, **where, metric=metric, k=k, **columns[column], **more)


def means_and_pooled(rows: Sequence[Row], seeds: Sequence[int]) -> list[Row]:
    """The rows without those of one benchmark and one of several seeds, which would be most of the file."""
    return [row for row in rows if row.benchmark == MEAN or row.seeds == pooled_name(seeds)]


def contrasts(
    scores: Scores, metric: str, family: Mapping[Pair, Mapping[str, float]], unit: str = "share"
) -> dict[Pair, list[Row]]:
    """Sums of arms' pass@k, pooled, mean over benchmarks, as the values of rows, at each k; a family of Holm's."""
    found = {pair: scores.weighed(weights, scores.averaged) for pair, weights in family.items()}
    tests = scores.tests(found)
    questions = sum(scores.sizes[name] for name in scores.averaged)
    where: Columns = {
        "phase": scores.phase,
        "benchmark": MEAN,
        "metric": metric,
        "unit": unit,
        "n_questions": questions,
    }
    return {
        pair: [
            scores.row(arm=pair[0], reference=pair[1], k=k, **where, **columns, **test)
            for k, columns, test in zip(scores.ks, scores.columns(estimate, DIFFERENCES), tests[pair], strict=True)
        ]
        for pair, estimate in found.items()
    }


def against(scores: Scores, metrics: Sequence[str], pairs: Sequence[Pair]) -> list[Row]:
    """Arms against arms: a row for each of ``metrics`` (difference, relative change).

    ``pairs``: arm and reference; together they are one family of Holm's at each k. A relative change of 0 is a
    difference of 0, so it has the difference's p. Where the reference's mean is 0 there is no relative change, hence no
    row.
    """
    family = {(arm, reference): {arm: 1.0, reference: -1.0} for arm, reference in pairs}
    compared = contrasts(scores, DIFFERENCE, family)
    return [
        row
        for pair in pairs
        for metric in metrics
        for row in (compared[pair] if metric == DIFFERENCE else _relative(scores, compared[pair]))
    ]


def slopes(scores: Scores, family: Mapping[Pair, Mapping[str, float]]) -> list[Row]:
    """Trends at each k: sums of pass@k that `study.by_doubling` weighs; a family of Holm's."""
    found = contrasts(scores, SLOPE, family, "share per doubling of n")
    return [row for rows in found.values() for row in rows]


def counted(scores: Scores, arm: str, metric: str, unit: str, value: float, questions: int) -> Row:
    """A count of an arm's training set of ``questions`` questions: exact, so without an interval."""
    return line(
        arm=arm,
        phase="training",
        metric=metric,
        value=tidy(value),
        unit=unit,
        n_questions=questions,
        seeds=pooled_name(scores.seeds),
        method="none: a count",
    )


def _relative(scores: Scores, differences: Sequence[Row]) -> Iterator[Row]:
    """The same arm and reference, with the relative change in place of the difference."""
    arm, reference = differences[0].arm, differences[0].reference
    change = compare.relative_change(
        list(scores.passes(arm, scores.averaged).values()),
        list(scores.passes(reference, scores.averaged).values()),
        [scores.questions[name] for name in scores.averaged],
        scores.draws[arm],
        scores.draws[reference],
        scores.settings.confidence,
        scores.bases,
    )
    for row, value, low, high in zip(differences, *change, strict=True):
        if math.isnan(value):
            continue
        moved = replace(row, metric=RELATIVE, value=tidy(value), detectable=None, low=None, high=None, method=TOO_NOISY)
        if not math.isnan(low):
            moved = replace(moved, low=tidy(low), high=tidy(high), method=f"log ratio, {row.method}")
        yield moved
