"""Easy word problems in English, of one or two steps: within reach of a model that solves next to none of GSM8K.

A problem is one of the templates below with a name, a thing and numbers drawn; its gold follows from the numbers. The
wording is ours. Every template's numbers are such that all amounts are whole and none is below 1.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from polya_midtrain.errors import UserError

NAMES = ("Ada", "Ben", "Clara", "David", "Elif", "Frank", "Grace", "Hugo", "Ines", "Jamal", "Kim", "Lena")
THINGS = ("apples", "books", "cards", "coins", "eggs", "marbles", "pencils", "plums", "shells", "stamps", "stickers")
BOXES = ("bags", "baskets", "boxes", "jars", "packs", "trays")

PATIENCE = 2000  # draws in search of one more problem

Draw = Callable[[random.Random], tuple[dict[str, int], int]]


@dataclass(frozen=True, slots=True)
class Template:
    """A wording with places for who, other, things, boxes and the numbers; ``draw`` gives numbers and gold."""

    wording: str
    draw: Draw


def _sum(rng: random.Random) -> tuple[dict[str, int], int]:
    a, b = rng.randint(2, 10), rng.randint(1, 9)
    return {"a": a, "b": b}, a + b


def _rest(rng: random.Random) -> tuple[dict[str, int], int]:
    left, b = rng.randint(1, 9), rng.randint(1, 9)
    return {"a": left + b, "b": b}, left


def _product(rng: random.Random) -> tuple[dict[str, int], int]:
    a, b = rng.randint(2, 5), rng.randint(2, 6)
    return {"a": a, "b": b}, a * b


def _quotient(rng: random.Random) -> tuple[dict[str, int], int]:
    each, b = rng.randint(2, 6), rng.randint(2, 5)
    return {"a": each * b, "b": b}, each


def _product_and_more(rng: random.Random) -> tuple[dict[str, int], int]:
    a, b, c = rng.randint(2, 5), rng.randint(2, 5), rng.randint(1, 9)
    return {"a": a, "b": b, "c": c}, a * b + c


def _product_and_less(rng: random.Random) -> tuple[dict[str, int], int]:
    a, b = rng.randint(2, 5), rng.randint(2, 5)
    c = rng.randint(1, a * b - 1)
    return {"a": a, "b": b, "c": c}, a * b - c


def _more_and_less(rng: random.Random) -> tuple[dict[str, int], int]:
    a, b = rng.randint(2, 10), rng.randint(1, 9)
    c = rng.randint(1, a + b - 1)
    return {"a": a, "b": b, "c": c}, a + b - c


def _shared_sum(rng: random.Random) -> tuple[dict[str, int], int]:
    each, c = rng.randint(2, 6), rng.randint(2, 4)
    a = rng.randint(1, each * c - 1)
    return {"a": a, "b": each * c - a, "c": c}, each


# By number of steps: how many operations lead to the gold.
TEMPLATES: dict[int, tuple[Template, ...]] = {
    1: (
        Template("{who} has {a} {things} and buys {b} more. How many {things} does {who} have now?", _sum),
        Template("{who} has {a} {things} and {other} has {b}. How many {things} do they have together?", _sum),
        Template("{who} had {a} {things} and gave {b} of them to {other}. How many {things} are left?", _rest),
        Template(
            "{who} wants {a} {things} and already has {b}. How many {things} does {who} still need?",
            _rest,
        ),
        Template("There are {a} {boxes} with {b} {things} in each. How many {things} are there in all?", _product),
        Template("{who} buys {b} {things} every day for {a} days. How many {things} is that?", _product),
        Template("{who} shares {a} {things} equally among {b} friends. How many {things} does each get?", _quotient),
        Template(
            "{who} puts {a} {things} into {b} {boxes}, the same number in each. How many {things} are in one?",
            _quotient,
        ),
    ),
    2: (
        Template(
            "{who} has {a} {boxes} with {b} {things} in each, and {c} loose {things}. How many {things} is that?",
            _product_and_more,
        ),
        Template(
            "{who} buys {a} {boxes} of {b} {things} and gives {c} {things} to {other}. How many {things} are left?",
            _product_and_less,
        ),
        Template(
            "{who} had {a} {things}, found {b} more and lost {c}. How many {things} does {who} have now?",
            _more_and_less,
        ),
        Template(
            "{who} has {a} {things} and {other} has {b}. They share them equally among {c} friends. How many {things} "
            "does each friend get?",
            _shared_sum,
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A question and its gold, a whole number."""

    question: str
    gold: str


def sample(rng: random.Random, steps: int) -> Problem:
    """A random problem of ``steps`` operations."""
    template = rng.choice(TEMPLATES[steps])
    numbers, gold = template.draw(rng)
    who, other = rng.sample(NAMES, 2)
    words = {"who": who, "other": other, "things": rng.choice(THINGS), "boxes": rng.choice(BOXES)}
    return Problem(template.wording.format(**words, **numbers), str(gold))


def distinct(rng: random.Random, steps: Sequence[int], count: int, taken: set[Problem]) -> Iterator[Problem]:
    """``count`` problems that differ from each other and from ``taken`` (which grows), numbers of steps in turn.

    There are over a hundred thousand of each number of steps, so that a repeated draw is soon replaced. Raises
    `UserError` where so many cannot be found.
    """
    for index in range(count):
        draws = (sample(rng, steps[index % len(steps)]) for _ in range(PATIENCE))
        problem = next((problem for problem in draws if problem not in taken), None)
        if problem is None:
            raise UserError(f"params.yaml: questions: there are not {count} more easy problems; lower count")
        taken.add(problem)
        yield problem
