"""The embedded world's code-like task: write a program for one or more types of part, in real Python.

The question names the types (``code jar; hat``). The answer is the body of ``def f(a, b, c)``: for each type a plan's
operations on the letters in place of digits. Its program is run on triples of digits that the question does not show.
A program has no digits to look at, so it follows each type's usual family; its tests leave exceptions out.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from polya_midtrain.errors import UserError
from polya_midtrain.seeding import derive
from polya_midtrain.world import families, problems
from polya_midtrain.world.families import PLANS, TYPES
from polya_midtrain.world.problems import Part, Problem

ENTRY = "f"
PREFIX = f"def {ENTRY}(a, b, c):\n r = ()\n"  # what a completion is the rest of
RESULT = "\n r+=u%10,v%10"
END = "\n return r"
TESTS = 6  # triples that a program is run on

# Digits on which the four families differ and every type follows its usual one.
TRIPLES = tuple(
    (a, b, c)
    for a, b, c in itertools.product(range(1, 10), repeat=3)
    if families.telling((a, b, c)) and not families.is_exception((a, b, c))
)


@dataclass(frozen=True, slots=True)
class Program:
    """A program to write: the type words, in order."""

    words: tuple[str, ...]

    @property
    def parts(self) -> Problem:
        """The words as parts, which follow their types' usual families."""
        return tuple(Part(word, TRIPLES[0]) for word in self.words)


def text(program: Program) -> str:
    """The question as the policy reads it: ``code jar; hat``."""
    return "code " + "; ".join(program.words)


def write(program: Program, plans: Sequence[str]) -> str:
    """The body of ``f`` that works type i by plan i; a comment names both, as a line of a worked answer does."""
    blocks = []
    for word, name in zip(program.words, plans, strict=True):
        steps = "".join(f"\n {step.out}={step.left}{step.op}{step.right}" for step in PLANS[name].steps)
        blocks.append(f" # {word} {name}{steps}{RESULT}")
    return "\n".join(blocks) + END


def gold(program: Program) -> str:
    """The tests as the grader of code reads them (JSON): two digits for each word, on hidden triples."""
    chosen = random.Random(derive("program", *program.words)).sample(TRIPLES, TESTS)
    lines = [
        f"    assert candidate{digits} == {tuple(int(digit) for digit in _digits(program, digits))}"
        for digits in chosen
    ]
    tests = "\n".join(["def check(candidate):", *lines]) + "\n"
    return json.dumps({"prefix": PREFIX, "tests": tests, "entry": ENTRY})


def _digits(program: Program, digits: tuple[int, int, int]) -> str:
    return "".join(families.answer(word, digits) for word in program.words)


def sample(rng: random.Random, parts: int, pool: str = "seen") -> Program:
    """A random program of a pool, by rejection; `UserError` for the pool of exceptions."""
    if pool == "exception":
        raise UserError("params.yaml: questions: a program shows no digits, so none is an exception; take another pool")
    return problems.one_of(
        lambda: Program(tuple(rng.choice(list(TYPES)) for _ in range(parts))),
        lambda program: problems.in_pool(program.parts, pool),
        parts,
    )
