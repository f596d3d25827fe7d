"""The smallest difference between two arms that a run would find, from its sizes, before it is run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from polya_midtrain import studies
from polya_midtrain.params import Params
from polya_midtrain.science import compare

# Standard deviations at the smallest and the largest k: of two arms' difference from question to question, and of an
# arm's mean from training seed to training seed. With them the kept run of profile study has the detectable differences
# that it measured (reports/study: medians 0.041 and 0.071); for other models nothing better is known before a run.
QUESTIONS, SEEDS = (0.10, 0.17), (0.017, 0.020)


def detectable(benchmarks: Sequence[int], seeds: int, comparisons: int, alpha: float, share: float) -> float | None:
    """The true difference of two arms' means over benchmarks that is found with probability 0.8.

    ``benchmarks``: questions of each; ``comparisons``: arms in Holm's family, at its strictest step; ``share``: where k
    is between the smallest and the largest, by its logarithm. As in the tables (`compare.detectable`): a t test whose
    degrees of freedom are Satterthwaite's. None where the tables test nothing: one training seed, or one question.
    """
    if seeds < 2 or min(benchmarks) < 2:
        return None
    questions, drawn = (low + share * (high - low) for low, high in (QUESTIONS, SEEDS))
    parts = [(questions**2 / count / len(benchmarks) ** 2, count - 1.0) for count in benchmarks]
    parts += [(drawn**2 / seeds, seeds - 1.0)] * 2
    variance = sum(part for part, _ in parts)
    df = variance**2 / sum(part**2 / free for part, free in parts)
    return float(compare.detectable(np.array(math.sqrt(variance)), np.array(df), alpha / max(1, comparisons)))


def planned(params: Params, counts: Mapping[str, int]) -> dict[int, float | None]:
    """By k, for the arms of the main table against vanilla; ``counts``: questions of each set."""
    sizes = [count for name, count in counts.items() if name.startswith("benchmarks/")]
    ks, others = sorted(params.tables.ks), len(studies.main(params.arms)) - 1
    shares = {k: math.log(k) / math.log(ks[-1]) if ks[-1] > 1 else 1.0 for k in ks}
    level = 1.0 - params.tables.confidence
    return {k: detectable(sizes, len(params.seeds), others, level, share) for k, share in shares.items()}


def sentence(found: Mapping[int, float | None]) -> str:
    """What is planned, by k, in words."""
    what = "Smallest difference to vanilla in mean pass@k after RL, found with probability 0.8: "
    known = ", ".join(f"{value:.3f} (k = {k})" for k, value in found.items() if value is not None)
    return what + (known or "no test, with one training seed or fewer than two questions of a benchmark")
