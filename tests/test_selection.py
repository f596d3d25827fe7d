"""Which responses an arm learns from: properties of the selection on any set of scored responses."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from polya_midtrain.records import Scored
from polya_midtrain.traces.selection import (
    Places,
    best_per_heuristic,
    candidates,
    fit,
    mixed,
    pairs,
    places,
    repeated,
    spread,
    unprompted,
)

HEURISTICS = [f"h{number}" for number in range(8)]
QUESTIONS = [f"q{number}" for number in range(4)]
ALL = len(HEURISTICS)
CATALOGUE, DRAWN = (places(QUESTIONS, HEURISTICS, order, 5) for order in ("catalogue", "question"))
orders_ = st.sampled_from([CATALOGUE, DRAWN])


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


@given(rows_, orders_, st.integers(min_value=1, max_value=8))
def test_one_correct_response_of_the_best_score_per_question_and_heuristic(
    rows: list[Scored], ordered: Places, n: int
) -> None:
    chosen = best_per_heuristic(rows, ordered, n)
    assert set(chosen) <= set(rows)
    pairs = [(row.question_id, row.heuristic) for row in chosen]
    assert len(set(pairs)) == len(pairs)
    candidates: dict[tuple[str, str], list[Scored]] = {}
    for row in rows:
        if row.correct and ordered.get((row.question_id, row.heuristic), n) < n:
            candidates.setdefault((row.question_id, row.heuristic), []).append(row)
    assert set(pairs) == set(candidates)  # nothing that could be learnt from is left out
    for row in chosen:
        group = candidates[row.question_id, row.heuristic]
        best = max(other.score for other in group)
        assert row.correct
        assert row.score == best
        assert row.sample == min(other.sample for other in group if other.score == best)
    assert max(Counter(row.question_id for row in chosen).values(), default=0) <= n


@given(rows_, orders_, st.integers(min_value=1, max_value=7))
def test_a_smaller_arm_is_a_prefix_of_a_larger_one(rows: list[Scored], ordered: Places, n: int) -> None:
    larger = best_per_heuristic(rows, ordered, ALL)
    smaller = best_per_heuristic(rows, ordered, n)
    assert smaller == larger[: len(smaller)]
    assert smaller == [row for row in larger if ordered[row.question_id, row.heuristic] < n]


def test_a_question_has_an_order_of_its_own_by_the_seed_alone() -> None:
    asked = [f"q{number}" for number in range(400)]
    ordered = places(asked, HEURISTICS, "question", 1)
    assert ordered == places(asked[::-1], HEURISTICS, "question", 1) != places(asked, HEURISTICS, "question", 2)
    first = Counter(name for (_, name), place in ordered.items() if place == 0)
    assert set(first) == set(HEURISTICS)
    assert min(first.values()) > 25  # 50 expected
    for question in asked:
        assert sorted(ordered[question, name] for name in HEURISTICS) == list(range(ALL))
    assert {name for (_, name), place in CATALOGUE.items() if place == 0} == {HEURISTICS[0]}


@given(rows_, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_decides_nothing(rows: list[Scored], rng: random.Random) -> None:
    shuffled = rng.sample(rows, len(rows))
    assert set(best_per_heuristic(rows, DRAWN, ALL)) == set(best_per_heuristic(shuffled, DRAWN, ALL))
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


def lengthened(rows: list[Scored], rng: random.Random) -> list[Scored]:
    """The same rows with lengths of their own."""
    return [replace(row, tokens=rng.randint(3, 12)) for row in rows]


@given(
    rows_,
    orders_,
    st.integers(min_value=1, max_value=8),
    st.floats(min_value=0, max_value=1),
    st.randoms(use_true_random=False),
)
def test_a_pair_differs_in_correctness_and_in_little_else(
    rows: list[Scored], ordered: Places, n: int, tolerance: float, rng: random.Random
) -> None:
    rows = lengthened(rows, rng)
    found = pairs(rows, ordered, n, tolerance)
    places = [(right.question_id, right.heuristic) for right, _ in found]
    assert len(set(places)) == len(places)
    for right, wrong in found:
        assert right.correct
        assert not wrong.correct
        assert (right.question_id, right.heuristic) == (wrong.question_id, wrong.heuristic)
        assert abs(right.tokens - wrong.tokens) <= tolerance * max(right.tokens, wrong.tokens) + 1e-9
        rivals = [
            one.score + other.score
            for one in rows
            for other in rows
            if one.correct
            and not other.correct
            and one.heuristic == other.heuristic == right.heuristic
            and one.question_id == other.question_id == right.question_id
            and abs(one.tokens - other.tokens) <= tolerance * max(one.tokens, other.tokens)
        ]
        assert right.score + wrong.score == max(rivals)
    # With no limit on lengths, wherever both kinds of response exist there is a pair.
    both = {(row.question_id, row.heuristic) for row in rows if row.correct} & {
        (row.question_id, row.heuristic) for row in rows if not row.correct
    }
    within = {place for place in both if ordered.get(place, n) < n}
    assert {(r.question_id, r.heuristic) for r, _ in pairs(rows, ordered, n, 1.0)} == within


@given(rows_, st.integers(min_value=1, max_value=8), st.integers(min_value=0, max_value=3))
def test_a_mixture_has_one_side_of_every_pair_and_half_of_each_kind(rows: list[Scored], n: int, seed: int) -> None:
    found = pairs(rows, CATALOGUE, n, 1.0)
    chosen = mixed(found, seed)
    assert len(chosen) == len(found)
    assert all(row in pair for row, pair in zip(chosen, found, strict=True))
    assert sum(not row.correct for row in chosen) == len(found) // 2


@given(rows_)
def test_what_is_scored_is_what_can_be_selected(rows: list[Scored]) -> None:
    kept = candidates(rows)
    assert best_per_heuristic(kept, DRAWN, ALL) == best_per_heuristic(rows, DRAWN, ALL)
    assert pairs(kept, DRAWN, ALL, 1.0) == pairs(rows, DRAWN, ALL, 1.0)
    assert set(unprompted(kept, 9, 1)) == set(unprompted(rows, 9, 1))
    right = {(row.question_id, row.heuristic) for row in rows if row.correct}
    assert all(row.correct or (row.question_id, row.heuristic) in right for row in kept)


def test_no_answer_is_no_wrong_answer() -> None:
    right = scored("q0", "h0", 0, True, 1.0)
    silent = replace(scored("q0", "h0", 1, False, 2.0), reason="no answer", extracted="")
    assert pairs([right, silent], CATALOGUE, 1, 1.0) == []
    assert candidates([right, silent]) == [right]


@given(rows_, st.integers(min_value=0, max_value=70), st.integers(min_value=0, max_value=5))
def test_a_budget_is_met_with_whole_questions_but_the_last(rows: list[Scored], most: int, seed: int) -> None:
    own = best_per_heuristic(rows, CATALOGUE, ALL)
    chosen = fit(own, seed, most_rows=most)
    assert len(chosen) == min(most, len(own))
    assert set(chosen) <= set(own)
    sizes = Counter(row.question_id for row in own)
    cut = [name for name, count in Counter(row.question_id for row in chosen).items() if count < sizes[name]]
    assert len(cut) <= 1
    # A larger budget adds to the smaller one: the order of the questions is the seed's.
    assert chosen == fit(own, seed, most_rows=most + 3)[: len(chosen)]


@given(
    rows_,
    st.integers(min_value=0, max_value=200),
    st.integers(min_value=0, max_value=5),
    st.randoms(use_true_random=False),
)
def test_a_budget_of_tokens_is_not_exceeded_and_nearly_used(
    rows: list[Scored], most: int, seed: int, rng: random.Random
) -> None:
    own = best_per_heuristic(lengthened(rows, rng), CATALOGUE, ALL)
    used = sum(row.tokens for row in fit(own, seed, most_tokens=most))
    assert used <= most
    if used < sum(row.tokens for row in own):
        assert used > most - 12  # the longest row there is


def test_arms_of_different_size_take_their_questions_in_the_same_order() -> None:
    rows = [scored(f"q{question}", name, 0, True, 0.0) for name in HEURISTICS for question in range(30)]
    one = [row.question_id for row in fit([row for row in rows if row.heuristic == "h0"], 3, most_rows=16)]
    four = fit([row for row in rows if row.heuristic in HEURISTICS[:4]], 3, most_rows=16)
    assert Counter(row.question_id for row in four) == dict.fromkeys(one[:4], 4)  # 4 approaches x 4 questions
    assert len(set(one)) == 16  # 1 approach x 16 questions


@given(rows_, rows_, st.integers(min_value=0, max_value=40))
def test_a_set_is_spread_as_another_is(rows: list[Scored], other: list[Scored], total: int) -> None:
    shares = Counter(row.question_id for row in other)
    chosen = spread(rows, shares, total)
    assert len(chosen) == min(total, len(rows))
    if total == sum(shares.values()):
        have, got = Counter(row.question_id for row in rows), Counter(row.question_id for row in chosen)
        assert all(got[name] >= min(have[name], share) for name, share in shares.items())


@given(rows_, st.integers(min_value=0, max_value=150))
def test_rows_are_repeated_in_turn_to_as_many_as_another_set_has(rows: list[Scored], total: int) -> None:
    chosen = repeated(rows, total)
    assert len(chosen) == (total if rows else 0)
    assert all(row == rows[place % len(rows)] for place, row in enumerate(chosen))
