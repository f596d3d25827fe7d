"""The components of variance are those that simulated studies were made with."""

from __future__ import annotations

import numpy as np
import pytest

from polya_midtrain.science.bootstrap import Array
from polya_midtrain.science.components import components, shares

STUDIES = 400  # side by side, as the statistics of one call
BASES, SEEDS, QUESTIONS = 6, 3, 20


def arm(rng: np.random.Generator, of: list[int], sizes: list[int], seed_sd: float, shared: list[Array]) -> list[Array]:
    """An arm's blocks: its runs differ, and what ``shared`` holds of each benchmark is there besides."""
    run = seed_sd * rng.standard_normal((len(of), 1, STUDIES))
    noise = [0.3 * rng.standard_normal((len(of), size, STUDIES)) for size in sizes]
    return [run + part + cells for part, cells in zip(shared, noise, strict=True)]


def difference(
    rng: np.random.Generator, of: list[int], base_sd: float, seed_sd: float, question_sd: float
) -> tuple[list[Array], list[Array]]:
    """An arm and its reference on two benchmarks of other means, which both move with a base and with a question."""
    sizes = [QUESTIONS, QUESTIONS // 2]
    base, common = (sd * rng.standard_normal((max(of) + 1, 1, STUDIES))[of] for sd in (base_sd, 2.0))
    asked = [question_sd * rng.standard_normal((1, size, STUDIES)) for size in sizes]
    level = [common + place + rng.standard_normal((1, size, STUDIES)) for place, size in enumerate(sizes)]
    ours = [part + base + one + 0.5 * place for place, (part, one) in enumerate(zip(level, asked, strict=True))]
    return arm(rng, of, sizes, seed_sd, ours), arm(rng, of, sizes, seed_sd, level)


NESTED = [base for base in range(BASES) for _ in range(SEEDS)]


@pytest.mark.parametrize("spread", [(0.5, 0.2, 0.8), (0.1, 0.6, 0.3), (0.0, 0.3, 1.0)])
def test_what_a_study_was_made_with_is_found(spread: tuple[float, float, float]) -> None:
    base_sd, seed_sd, question_sd = spread
    found = components(*difference(np.random.default_rng(1), NESTED, *spread), NESTED)
    # What both arms share cancels, and the seeds of two independent arms add.
    assert found.base.mean() == pytest.approx(base_sd**2, rel=0.1, abs=0.02)
    assert found.seed.mean() == pytest.approx(2 * seed_sd**2, rel=0.1)
    assert found.question.mean() == pytest.approx(question_sd**2, rel=0.1)
    assert found.rest.mean() == pytest.approx(2 * 0.3**2, rel=0.1)
    # Together they are the spread of the difference from study to study, which is what they are for.
    ours, theirs = difference(np.random.default_rng(2), NESTED, *spread)
    first = (ours[0] - theirs[0]).mean(axis=(0, 1))
    parts = found.base / BASES + found.seed / len(NESTED) + found.question / QUESTIONS
    parts += found.rest / len(NESTED) / QUESTIONS
    assert first.var() == pytest.approx(parts.mean(), rel=0.25)


def test_what_cannot_be_told_apart_is_not_named() -> None:
    rng = np.random.default_rng(3)
    single = components(*difference(rng, list(range(BASES)), 0.5, 0.2, 0.8), range(BASES))
    assert np.isnan(single.seed).all()
    assert single.base.mean() == pytest.approx(0.5**2 + 2 * 0.2**2, rel=0.1)
    assert single.question.mean() == pytest.approx(0.8**2, rel=0.1)
    alone = components(*difference(rng, [0] * 4, 0.5, 0.2, 0.8), [0] * 4)
    assert np.isnan(alone.base).all()
    assert alone.seed.mean() == pytest.approx(2 * 0.2**2, rel=0.15)
    with pytest.raises(ValueError, match=r"as many runs of each base, .* not \[1, 2\] runs"):
        components(*difference(rng, [0, 1, 1], 0.5, 0.2, 0.8), [0, 1, 1])


def test_shares_by_hand() -> None:
    base, seed, asked = np.array([2.0, 2.0, -2.0, -2.0]), np.array([1.0, -1.0, 1.0, -1.0]), np.array([4.0, -4.0])
    block = (base[:, None] + seed[:, None] + asked)[..., None]
    found = components([block], [np.zeros_like(block)], [1, 1, 2, 2])
    # Mean squares: base 32, seed 4, question 128, nothing else.
    assert [float(part[0]) for part in found] == [7.0, 2.0, 32.0, 0.0]
    # The variance of the mean: 7 / 2 bases, 2 / 4 runs, 32 / 2 questions.
    assert [float(part[0]) for part in shares(found, [2], [1, 1, 2, 2])] == [3.5 / 20, 0.5 / 20, 16 / 20, 0.0]
    # A mean over benchmarks of 1 and 3 questions counts the first one's as much as the three: (1 + 1/3) / 4 of one's.
    unequal = shares(found._replace(rest=found.base), [1, 3], [1, 1, 2, 2])
    assert [float(part[0]) for part in unequal] == pytest.approx(np.array([42, 6, 128, 7]) / 183)
    none = shares(found._replace(base=np.array([np.nan]), seed=np.array([-1.0])), [2], [1, 1])
    assert [float(part[0]) for part in none] == pytest.approx([np.nan, 0.0, 1.0, 0.0], nan_ok=True)
    assert np.isnan(shares(components([block], [block], [1, 1, 2, 2]), [2], [1, 1, 2, 2])).all()
