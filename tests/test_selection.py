"""Which responses an arm learns from: properties of the selection on any set of scored responses."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from polya_midtrain.records import Scored
from polya_midtrain.science.selection import best_per_heuristic, unprompted

HEURISTICS = [f"h{number}" for number in range(8)]
QUESTIONS = [f"q{number}" for number in range(4)]


def scored(question: str, heuristic: str, sample: int, correct: bool, score: float) -> Scored:
    return Scored(
        question_id=question,
        heuristic=heuristic,
        sample=sample,
        text=f"{question} {heuristic} {sample}",
        tokens=5,
        finish="stop",
        logprob=-1.0,
        correct=correct,
        extracted="1",
        reason="right" if correct else "wrong",
        score=score,
    )


# Every (question, heuristic, sample) at most once, as in a file; few different scores, so that ties are usual.
rows_ = st.dictionaries(
    st.tuples(st.sampled_from(QUESTIONS), st.sampled_from(["", *HEURISTICS]), st.integers(min_value=0, max_value=3)),
    st.tuples(st.booleans(), st.sampled_from([-1.5, 0.0, 0.25, 2.0])),
    max_size=60,
).map(lambda table: [scored(*key, *value) for key, value in table.items()])


@given(rows_, st.integers(min_value=1, max_value=8))
def test_one_correct_response_of_the_best_score_per_question_and_heuristic(rows: list[Scored], n: int) -> None:
    names = HEURISTICS[:n]
    chosen = best_per_heuristic(rows, names)
    assert set(chosen) <= set(rows)
    pairs = [(row.question_id, row.heuristic) for row in chosen]
    assert len(set(pairs)) == len(pairs)
    candidates: dict[tuple[str, str], list[Scored]] = {}
    for row in rows:
        if row.correct and row.heuristic in names:
            candidates.setdefault((row.question_id, row.heuristic), []).append(row)
    assert set(pairs) == set(candidates)  # nothing that could be learnt from is left out
    for row in chosen:
        group = candidates[row.question_id, row.heuristic]
        best = max(other.score for other in group)
        assert row.correct
        assert row.score == best
        assert row.sample == min(other.sample for other in group if other.score == best)
    assert max(Counter(row.question_id for row in chosen).values(), default=0) <= n


@given(rows_, st.integers(min_value=1, max_value=7))
def test_a_smaller_arm_is_a_prefix_of_a_larger_one(rows: list[Scored], n: int) -> None:
    larger = best_per_heuristic(rows, HEURISTICS)
    smaller = best_per_heuristic(rows, HEURISTICS[:n])
    assert smaller == larger[: len(smaller)]
    assert smaller == [row for row in larger if row.heuristic in HEURISTICS[:n]]


@given(rows_, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_decides_nothing(rows: list[Scored], rng: random.Random) -> None:
    shuffled = rng.sample(rows, len(rows))
    assert set(best_per_heuristic(rows, HEURISTICS)) == set(best_per_heuristic(shuffled, HEURISTICS))
    assert set(unprompted(rows, 2, 7)) == set(unprompted(shuffled, 2, 7))


@given(rows_, st.integers(min_value=1, max_value=5), st.integers(min_value=0, max_value=5))
def test_star_takes_correct_unprompted_responses_alone(rows: list[Scored], n: int, seed: int) -> None:
    chosen = unprompted(rows, n, seed)
    right = [row for row in rows if row.correct and row.heuristic == ""]
    available = Counter(row.question_id for row in right)
    assert set(chosen) <= set(right)
    assert len(set(chosen)) == len(chosen)
    assert Counter(row.question_id for row in chosen) == {name: min(n, count) for name, count in available.items()}
    assert chosen == unprompted(rows, n, seed)


def test_star_draws_by_its_seed_and_not_by_score() -> None:
    rows = [scored(question, "", sample, True, float(sample)) for question in QUESTIONS for sample in range(4)]
    drawn: dict[str, Counter[int]] = {question: Counter() for question in QUESTIONS}
    for seed in range(400):
        for row in unprompted(rows, 1, seed):
            drawn[row.question_id][row.sample] += 1
    for counts in drawn.values():
        assert counts.total() == 400
        assert min(counts[sample] for sample in range(4)) > 60  # 100 expected
    # A question's draw is its own: others do not copy it.
    alike = sum(len({row.sample for row in unprompted(rows, 1, seed)}) == 1 for seed in range(200))
    assert alike < 20
