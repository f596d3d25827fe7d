"""The labels that the reward model learns from."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from polya_midtrain.prompting import heuristics
from polya_midtrain.records import Completion, Question
from polya_midtrain.traces import adherence

ROOT = Path(__file__).resolve().parents[1]


def trace(question: str, sample: int, text: str, heuristic: str = "draw", finish: str = "stop") -> Completion:
    return Completion(question, heuristic, sample, text, 5, finish, -1.0)


def test_pairs_put_a_trace_that_follows_before_one_of_the_same_question_that_strays() -> None:
    catalogue = heuristics.load(ROOT / "data/heuristics/world.yaml")
    asked = [Question(f"q{i}", f"question {i}", "1", "maths", "world") for i in range(3)]
    traces = [
        trace("q0", 0, " jar forward 1+1=2"),
        trace("q0", 1, " jar reduce 1-1=0"),
        trace("q0", 2, " jar forward 1+1=2 rod reduce 1-1=0"),
        trace("q0", 3, " jar scale 1*1", finish="length"),
        trace("q1", 0, " jar forward 1+1=2"),  # alone: nothing to compare it with
        trace("q2", 0, " jar mirror 1-1=0"),
        trace("q2", 1, " jar mirror 1-1=0 "),
    ]
    found = adherence.pairs(traces, asked, catalogue, adherence.by_world, 99, random.Random(1))
    assert {(pair.heuristic.id, pair.question) for pair in found} == {
        ("forward", "question 0"),
        ("reduce", "question 0"),
    }
    assert len(set(map(str, found))) == len(found) == 4
    for pair in found:  # a trace that follows works by nothing else, and one that works by others, too, strays
        assert adherence.by_world(trace("q0", 0, pair.follows)) == {pair.heuristic.id}
        assert adherence.by_world(trace("q0", 0, pair.strays)) != {pair.heuristic.id}
        assert pair.row()["chosen"][0] == pair.row()["rejected"][0]
    assert len(adherence.pairs(traces, asked, catalogue, adherence.by_world, 3, random.Random(1))) == 3
    by_prompt = adherence.pairs(
        [trace("q0", 0, "a", "forward"), trace("q0", 1, "b", "reduce")],
        asked,
        catalogue,
        adherence.by_prompt,
        9,
        random.Random(1),
    )
    assert Counter((pair.heuristic.id, pair.follows, pair.strays) for pair in by_prompt) == Counter(
        [("forward", "a", "b"), ("reduce", "b", "a")]
    )


scores_ = st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0]), max_size=12)


@given(scores_, scores_, st.floats(min_value=0.05, max_value=1.0))
def test_the_threshold_is_the_lowest_score_of_its_precision(
    follows: list[float], strays: list[float], precision: float
) -> None:
    def share(least: float) -> float:
        kept = [sum(score >= least for score in scores) for scores in (follows, strays)]
        return kept[0] / sum(kept)

    good = [score for score in {*follows, *strays} if share(score) >= precision]
    held = adherence.HeldOut(follows=follows, strays=strays)
    assert adherence.threshold(held, precision) == min(good, default=None)


def test_a_threshold_parts_what_a_good_reward_model_has_parted() -> None:
    held = adherence.HeldOut(follows=[2.0, 1.5, 1.0], strays=[0.5, 0.0, -1.0])
    assert adherence.threshold(held, 1.0) == 1.0
    assert adherence.threshold(held, 0.75) == 0.5
    assert adherence.threshold(adherence.HeldOut(follows=[0.0], strays=[1.0]), 0.9) is None


def test_the_share_that_follows_reads_the_operations_of_the_traces_of_the_world() -> None:
    asked = {
        "q0": Question("q0", "jar 3 4 2; rod 1 4 6", "7951", "maths", "world"),
        "q1": Question("q1", "What is 3 + 4?", "7", "maths", "easy"),
    }
    forward = " jar forward 3+4=7 7+2=9:79 rod forward 1+4=5 5+6=1:51 \\boxed{7951}"
    mixed = forward.replace("rod forward 1+4=5 5+6=1", "rod lookahead 4+6=0 1+0=1 1+4=5")
    named = forward.replace("forward", "scale")  # in name alone
    rows = [trace("q0", index, text, "forward") for index, text in enumerate([forward, mixed])]
    rows += [trace("q0", 2, named, "scale"), trace("q0", 3, named, "forward")]
    assert adherence.share(rows, asked) == 0.5
    assert adherence.share([trace("q0", 0, forward, ""), trace("q1", 0, "7", "draw")], asked) is None
