"""The smallest difference between two arms that a run would find, from its sizes, before it is run."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polya_midtrain import paths, studies
from polya_midtrain.params import Params
from polya_midtrain.plan.assume import Assumptions
from polya_midtrain.science import compare


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviations: of the difference of two arms' pass@k from question to question, and of an arm's mean from
    training seed to training seed."""

    questions: float
    seeds: float


# What gives the detectable differences of the kept run of profile study (reports/study: 96 questions, ten seeds;
# medians 0.041 at k = 1 and 0.071 at k = 64). For other models and questions nothing better is known before a run.
SMALL_K = Spread(0.10, 0.017)
LARGE_K = Spread(0.17, 0.020)


def spread(k: int, largest: int) -> Spread:
    """Between the two, by the logarithm of k."""
    share = math.log(k) / math.log(largest) if largest > 1 else 1.0
    return Spread(
        SMALL_K.questions + share * (LARGE_K.questions - SMALL_K.questions),
        SMALL_K.seeds + share * (LARGE_K.seeds - SMALL_K.seeds),
    )


def detectable(benchmarks: Sequence[int], seeds: int, comparisons: int, alpha: float, assumed: Spread) -> float | None:
    """The true difference of two arms' means over benchmarks that is found with probability 0.8.

    ``benchmarks``: questions of each; ``comparisons``: arms in Holm's family, at its strictest step.
    As in the tables (`compare.detectable`): a t test whose degrees of freedom are Satterthwaite's. None with one
    training seed, where the tables test nothing.
    """
    if seeds < 2 or min(benchmarks) < 2:
        return None
    parts = [(assumed.questions**2 / count / len(benchmarks) ** 2, count - 1.0) for count in benchmarks]
    parts += [(assumed.seeds**2 / seeds, seeds - 1.0)] * 2
    variance = sum(part for part, _ in parts)
    df = variance**2 / sum(part**2 / free for part, free in parts)
    return float(compare.detectable(np.array(math.sqrt(variance)), np.array(df), alpha / max(1, comparisons)))


def planned(params: Params, assumed: Assumptions) -> dict[int, float | None]:
    """By k, for the arms of the main table against vanilla."""
    counts = [count for name, count in assumed.counts.items() if name.startswith("benchmarks/")]
    others = len(studies.main(params.arms)) - 1
    ks, alpha = sorted(params.tables.ks), 1.0 - params.tables.confidence
    return {k: detectable(counts, len(params.seeds), others, alpha, spread(k, ks[-1])) for k in ks}


def measured(folder: Path) -> dict[int, float]:
    """By k, the median over the arms of column "detectable" of a finished run's main table; empty where there is none.

    Tables of older versions lack columns that are not read here.
    """
    for path in (folder / paths.TABLES / "main.csv", folder / "tables/main.csv"):
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as stream:
                return _medians(list(csv.DictReader(stream)))
    return {}


def _medians(rows: Sequence[Mapping[str, str]]) -> dict[int, float]:
    found: dict[int, list[float]] = {}
    for row in rows:
        overall = row.get("benchmark") == "mean" and row.get("metric") == "pass@k" and not row.get("reference")
        if overall and row.get("detectable") and row.get("k"):
            found.setdefault(int(row["k"]), []).append(float(row["detectable"]))
    return {k: float(np.median(values)) for k, values in sorted(found.items())}
