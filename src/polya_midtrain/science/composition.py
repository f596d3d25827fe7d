"""Combinations of heuristics, and rates among chosen chains.

A chain composes if it uses two heuristics or more; its combination is all that it uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from polya_midtrain.science.bootstrap import Array

JOIN = "+"


def combination(used: Iterable[str]) -> str:
    """The name of what a chain uses: ids in order, joined."""
    return JOIN.join(sorted(used))


def together(name: str, chains: Mapping[str, int]) -> int:
    """In how many ``chains`` (a combination and how many have it) all of a combination stood, with others or not."""
    wanted = set(name.split(JOIN))
    return sum(count for other, count in chains.items() if wanted <= set(other.split(JOIN)))


def ratio_blocks(numerators: Sequence[Array], denominators: Sequence[Array]) -> list[Array] | None:
    """A ratio of counts in the form that the bootstrap takes: per benchmark (seeds, questions, 1).

    Arguments: per benchmark the counts (seeds, questions). Benchmarks count alike, whatever their number of questions,
    so for equal denominators this is a mean over benchmarks of means over questions. None where all denominators are 0.

    Where both counts vary (correct chains that compose, of correct chains), the spread is that of the ratio's linear
    form (Cochran 1977, "Sampling Techniques", 6.3), which averages to the ratio:

        R = y / x,   R_sq = R + (y_sq - R x_sq) / x   for seed s and question q, y and x being means over all
    """
    y = float(np.mean([block.mean() for block in numerators]))
    x = float(np.mean([block.mean() for block in denominators]))
    if x == 0.0:
        return None
    ratio = y / x
    return [
        np.asarray(ratio + (above - ratio * below) / x)[..., None]
        for above, below in zip(numerators, denominators, strict=True)
    ]
