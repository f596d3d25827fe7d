"""Easy word problems: golds that follow from the words, in whole numbers, and sets that differ."""

from __future__ import annotations

import random
import re

import pytest

from polya_midtrain.errors import UserError
from polya_midtrain.question_sets import easy

# What a reader does with the numbers of each wording, in the order in which it gives them.
WORK = {
    "buys # more": lambda a, b: a + b,
    "together": lambda a, b: a + b,
    "gave # of them": lambda a, b: a - b,
    "still need": lambda a, b: a - b,
    "in each. How many # are there in all": lambda a, b: a * b,
    "every day": lambda a, b: a * b,
    "friends. How many # does each get": lambda a, b: a / b,
    "are in one": lambda a, b: a / b,
    "loose": lambda a, b, c: a * b + c,
    "and gives": lambda a, b, c: a * b - c,
    "found # more and lost": lambda a, b, c: a + b - c,
    "each friend get": lambda a, b, c: (a + b) / c,
}


def read(question: str) -> float:
    """The answer to a question, from its words and numbers alone."""
    numbers = [int(number) for number in re.findall(r"\d+", question)]
    plain = re.sub(r"\d+", "#", question)
    for thing in easy.THINGS:
        plain = plain.replace(f"How many {thing}", "How many #")
    fitting = [work for words, work in WORK.items() if words in plain]
    assert len(fitting) == 1, question
    return float(fitting[0](*numbers))


@pytest.mark.parametrize("steps", [1, 2])
def test_golds_are_what_the_words_say_whole_and_positive(steps: int) -> None:
    rng, wordings = random.Random(3), set()
    for _ in range(2000):
        problem = easy.sample(rng, steps)
        assert read(problem.question) == int(problem.gold) >= 1
        assert "{" not in problem.question
        wordings.add(re.sub(r"\d+", "", problem.question)[-20:])
    assert len(wordings) > 4 * steps  # of every template


def test_sets_differ_from_each_other_and_are_drawn_by_seed() -> None:
    taken: set[easy.Problem] = set()
    one = list(easy.distinct(random.Random(1), [1, 2], 300, taken))
    again = list(easy.distinct(random.Random(1), [1, 2], 300, set()))
    other = list(easy.distinct(random.Random(1), [1, 2], 300, taken))
    assert one == again
    assert len({problem.question for problem in one + other}) == 600 == len(taken)


def test_more_than_there_are_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(easy, "PATIENCE", 50)
    monkeypatch.setattr(easy, "TEMPLATES", {1: (easy.Template("What is {a} and {b}?", easy._sum),)})
    taken: set[easy.Problem] = set()
    with pytest.raises(UserError, match="there are not 500 more easy problems; lower count"):
        list(easy.distinct(random.Random(1), [1], 500, taken))
    assert 60 < len(taken) <= 81
