"""The smallest difference between two arms that a run would find, from its sizes, before it is run."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from polya_midtrain.params import Params, studies
from polya_midtrain.science import compare

# Standard deviations at the smallest and the largest k: of two arms' difference from question to question, and of an
# arm's mean from training seed to training seed. With them the kept run of profile study has the detectable differences
# that it measured (reports/study: medians 0.041 and 0.071); for other models nothing better is known before a run.
QUESTIONS, SEEDS = (0.10, 0.17), (0.017, 0.020)


def planned(params: Params, counts: Mapping[str, int]) -> dict[int, float]:
    """By k, the true difference of an arm's mean over the benchmarks from vanilla's that is found with probability 0.8.

    ``counts``: questions of each set, 0 if unknown. As in the tables, at Holm's strictest step over the main arms.
    Where there are several bases, these are what is drawn; their spread, which is not known before, is taken for that
    of seeds. Empty where the tables test nothing: one training seed, or fewer than two questions of a benchmark.
    """
    known = [name.removeprefix("benchmarks/") for name, count in counts.items() if count and name.startswith("bench")]
    sizes = [counts[f"benchmarks/{name}"] for name in params.tables.averaged(known)]
    ks, found = sorted(params.tables.ks), dict[int, float]()
    seeds = len(params.numbers) if len(params.numbers) > 1 else len(params.seeds)
    level = (1.0 - params.tables.confidence) / max(1, len(studies.main(params.arms)) - 1)
    for k in ks if seeds > 1 and min(sizes, default=0) > 1 else ():
        share = math.log(k) / math.log(ks[-1]) if ks[-1] > 1 else 1.0
        questions, drawn = (low + share * (high - low) for low, high in (QUESTIONS, SEEDS))
        parts = [(questions**2 / count / len(sizes) ** 2, count - 1.0) for count in sizes]
        parts += [(drawn**2 / seeds, seeds - 1.0)] * 2
        variance = sum(part for part, _ in parts)
        free = variance**2 / sum(part**2 / df for part, df in parts)  # Satterthwaite's degrees of freedom
        found[k] = float(compare.detectable(np.array(math.sqrt(variance)), np.array(free), level))
    return found
