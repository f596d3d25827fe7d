"""pass@k, the chance that at least one of k sampled answers is right."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pass_at_k(correct: ArrayLike, samples: int, k: int) -> NDArray[np.float64]:
    """The unbiased estimator ``1 - C(n-c, k) / C(n, k)`` of Chen et al. (2021, arXiv 2107.03374, equation 1).

    ``correct``: right answers c per question, integers of any shape; ``samples``: n, the answers drawn per question.
    Returns shares in [0, 1] of the same shape. The ratio of binomials is taken as a product of k factors
    ``(n-c-i) / (n-i)``, each within [0, 1], so that nothing overflows or cancels at any n.

    Raises ValueError for k outside 1..n, for counts outside 0..n and for counts that are not integers.
    """
    counts = np.asarray(correct)
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} needs 1 <= k <= n, and n is {samples}")
    if counts.size and not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"correct answers are counted in integers, not in {counts.dtype}")
    if counts.size and not (counts.min() >= 0 and counts.max() <= samples):
        raise ValueError(f"correct answers must lie in 0..{samples}, not in {counts.min()}..{counts.max()}")
    # Only n + 1 different counts exist: one small table serves any number of questions.
    wrong = samples - np.arange(samples + 1)
    drawn = np.arange(k)
    all_wrong = np.clip((wrong[:, None] - drawn) / (samples - drawn), 0.0, 1.0).prod(axis=1)
    return np.asarray((1.0 - all_wrong)[counts.astype(np.intp)], dtype=np.float64)
