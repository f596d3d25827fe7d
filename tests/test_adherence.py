"""The labels that the reward model learns from."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

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
    for pair in found:
        assert pair.heuristic.id in pair.follows
        assert pair.heuristic.id not in pair.strays
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
