"""How much of the variance of a mean or a difference is that of bases, training seeds and questions (by moments)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from polya_midtrain.science.bootstrap import Array


class Components(NamedTuple):
    """Variances (m,) of one base, training seed and question, and of the ``rest``: what single cells add, and what a
    base does to single questions. They are unbiased, so that one of which there is little may come out below 0. NaN for
    bases where there is one, and for seeds where a base has one, whose variance then holds theirs."""

    base: Array
    seed: Array
    question: Array
    rest: Array


def components(arm: Sequence[Array], reference: Sequence[Array], bases: Sequence[int]) -> Components:
    """The components of arm less reference; ``arm``, ``reference``: per benchmark (runs, questions, m), ``bases``: the
    base of each run, as many runs of each.

    Balanced analysis of variance, runs nested in bases and both crossed with questions, whose benchmarks are fixed.
    Runs of the two arms are independent, so that any of one base may be paired: the variance of their difference is the
    sum of theirs. Raises ValueError for bases with different numbers of runs, and for a benchmark of one question.
    """
    of = np.asarray(bases)
    names, counts = np.unique(of, return_counts=True)
    if len(set(counts)) > 1 or min(block.shape[1] for block in arm) < 2:
        raise ValueError(
            f"as many runs of each base, and two questions or more, are needed, not {counts.tolist()} runs"
        )
    parts = [ours - theirs for ours, theirs in zip(arm, reference, strict=True)]
    cells = np.concatenate([part - part.mean(axis=(0, 1)) for part in parts], axis=1)
    cells = np.stack([cells[of == name] for name in names])  # (bases, seeds, questions, m)
    b, s, q = cells.shape[:3]
    by_run, by_base, by_cell = cells.mean(axis=2), cells.mean(axis=(1, 2)), cells.mean(axis=1)
    by_question = by_cell.mean(axis=0)
    noise = cells - by_run[:, :, None] - by_cell[:, None] + by_base[:, None, None]
    squares = {
        "question": b * s * _mean_square(by_question, q - len(parts)),
        "base": s * q * _mean_square(by_base, b - 1),
        "both": s * _mean_square(by_cell - by_base[:, None] - by_question, (b - 1) * (q - 1)),
        "seed": q * _mean_square(by_run - by_base[:, None], b * (s - 1)),
        "noise": _mean_square(noise, b * (s - 1) * (q - 1)),
    }
    if s == 1:  # what a seed adds is in its base's
        squares |= {"seed": squares["both"], "noise": squares["both"]}
    if b == 1:
        squares["both"] = squares["noise"]
    unknown = np.full_like(squares["question"], np.nan)
    base = (squares["base"] - squares["both"] - squares["seed"] + squares["noise"]) / (s * q)
    return Components(
        base=unknown if b == 1 else base,
        seed=unknown if s == 1 else (squares["seed"] - squares["noise"]) / q,
        question=(squares["question"] - squares["both"]) / (b * s),
        rest=squares["noise"] + (squares["both"] - squares["noise"]) / s,
    )


def shares(found: Components, sizes: Sequence[int], bases: Sequence[int]) -> Components:
    """What each component adds to the variance (m,) of the mean over benchmarks, as shares of 1 together.

    ``sizes``: questions of each benchmark; ``bases``: of each run. A component below 0 adds nothing; what was NaN stays
    so, and all is NaN where nothing varies.
    """
    asked = float(np.mean([1.0 / size for size in sizes])) / len(sizes)
    weights = [1.0 / len(set(bases)), 1.0 / len(bases), asked, asked / len(bases)]
    parts = np.stack([np.maximum(part, 0.0) * weight for part, weight in zip(found, weights, strict=True)])
    total = np.nansum(parts, axis=0)
    return Components(*(parts / np.where(total > 0.0, total, np.nan)))


def _mean_square(deviations: Array, freedom: int) -> Array:
    """(m,); zeros where there is no freedom."""
    return np.asarray((deviations**2).sum(axis=tuple(range(deviations.ndim - 1))) / max(freedom, 1))
