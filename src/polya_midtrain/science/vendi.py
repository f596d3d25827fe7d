"""The Vendi score of a set of traces: how many traces with nothing in common would be as diverse (paper, 10).

Friedman and Dieng (2023, arXiv 2210.02410, equation 1): ``exp(-sum_i l_i ln l_i)`` over the eigenvalues l of K / n, K
being the matrix (n, n) of similarities, 1 on its diagonal. Here K holds cosines. The score of n equal traces is 1, of n
orthogonal ones n. It grows with n for any source of traces, so sets are compared at equal size only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from polya_midtrain.science.bootstrap import Estimate

Array = NDArray[np.float64]


def score(vectors: Array) -> float:
    """The Vendi score, from 1 to n, of ``vectors`` (n, d), whose rows need not have unit length.

    By the vendi-score library's dual form (eigenvalues of a d x d matrix). With more features than traces the vectors
    are first written in an orthonormal basis of what they span: the same inner products, in n dimensions.
    Raises ValueError for no rows and for a row of zeros, which has no direction.
    """
    from vendi_score import vendi

    n, d = vectors.shape
    if not n or not np.linalg.norm(vectors, axis=1).all():
        raise ValueError("the Vendi score needs at least one trace, and no vector of zeros")
    if d > n:
        triangle: Array = np.linalg.qr(vectors.T, mode="r")  # type: ignore[assignment]  # one array in this mode
        vectors = triangle.T
    return float(vendi.score_dual(vectors))


def draws(vectors: Array, size: int, resamples: int, rng: np.random.Generator) -> Array:
    """Scores (resamples,) of ``size`` rows each, drawn without replacement.

    Their mean is the set's score at that size; their spread says how much it depends on which of the set's traces were
    taken, and shrinks to nothing as ``size`` nears the number of rows. Drawing *with* replacement would repeat traces
    and so bias every score downwards. Raises ValueError where the set has fewer rows than ``size``.
    """
    if len(vectors) < size:
        raise ValueError(f"{len(vectors)} traces, fewer than the {size} to draw")
    return np.array([score(vectors[rng.choice(len(vectors), size, replace=False)]) for _ in range(resamples)])


def at_equal_size(ours: Array, theirs: Array, resamples: int, rng: np.random.Generator) -> tuple[float, float]:
    """Both sets' scores at the smaller one's size: its own, and the mean over draws from the larger one."""
    size = min(len(ours), len(theirs))
    first, second = (
        score(vectors) if len(vectors) == size else float(draws(vectors, size, resamples, rng).mean())
        for vectors in (ours, theirs)
    )
    return first, second


def halves(ours: Mapping[str, Array], theirs: Mapping[str, Array], resamples: int, rng: np.random.Generator) -> Array:
    """Both sets' scores (resamples, 2) on the traces of a random half of the questions, the same half for both.

    The spread of a statistic over halves drawn without replacement is, to first order, its sampling error on the whole
    (the delete-half jackknife: Shao and Wu 1989): a half has twice the variance of the whole, and leaving out every
    second question takes half of that away again. Scores of halves are lower than those of the whole, so it is the
    spread around their mean that counts; in simulated studies its middle 95% covered the true difference in 92 of 100.

    ``ours``, ``theirs``: each question's vectors (traces, d). Raises ValueError where the two have no question in
    common, or fewer than two questions.
    """
    questions = sorted(set(ours) | set(theirs))
    if len(questions) < 2 or not set(ours) & set(theirs):
        raise ValueError("halves need two questions, and one that both sets answer")
    found: list[tuple[float, float]] = []
    while len(found) < resamples:
        half = rng.permutation(questions)[: len(questions) // 2]
        held = [[vectors[name] for name in half if name in vectors] for vectors in (ours, theirs)]
        if all(held):
            found.append(at_equal_size(np.concatenate(held[0]), np.concatenate(held[1]), 1, rng))
    return np.array(found)


def apart(whole: Sequence[float], parts: Array, questions: int) -> Estimate:
    """The difference (1,) of two sets' scores, ``whole``; its error is the deviation over ``parts`` (`halves`).

    So few halves know that deviation but roughly: its Monte Carlo error is in the degrees of freedom, which are those
    of the halves, or of the ``questions`` where these are fewer. Quantiles of the halves, as 2.5% of 200, would move by
    a fifth of the deviation from one draw to the next, and nothing would say so.
    """
    moved = np.subtract(*parts.T)
    df = min(len(moved), questions) - 1.0
    value = np.array([whole[0] - whole[1]])
    return Estimate(value, np.empty((0, 1)), np.array([moved.std(ddof=1)]), np.array([df]))
