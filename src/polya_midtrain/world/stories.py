"""The embedded world's narrative task, multiple choice: people say what a problem's answer is, and one is right.

``who is right? 79 tom; 12 ann; 60 sue; jar 3 4 2``. The answer works the parts out, as ever, and boxes what the person
who is right said. Those who are wrong used plans that do not fit, one of them the default plan where that is wrong: so
what is said does not give the answer away, and working the parts out by a wrong plan leads to a wrong person.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import Sequence
from dataclasses import dataclass

from polya_midtrain.world import problems, traces
from polya_midtrain.world.families import DEFAULT_PLAN, FAMILIES, PLANS
from polya_midtrain.world.problems import Part, Problem

PEOPLE = ("tom", "ann", "sue", "bob")
CHOICES = 3  # people in a story


@dataclass(frozen=True, slots=True)
class Story:
    """A problem, the people in order, and the answer that each of them gives."""

    parts: Problem
    people: tuple[str, ...]
    said: tuple[str, ...]


def text(story: Story) -> str:
    """The question as the policy reads it."""
    said = [f"{number} {name}" for number, name in zip(story.said, story.people, strict=True)]
    return f"who is right? {'; '.join(said)}; {problems.text(story.parts)}"


def write(story: Story, plans: Sequence[str]) -> str:
    """The answer that works part i by plan i, as that of a problem: what it boxes is a choice or nobody's."""
    return traces.write(story.parts, plans)


def gold(story: Story) -> str:
    """The right choice as the grader of choices reads it (JSON): its letter, and what is said in order."""
    right = story.said.index(problems.answer(story.parts))
    return json.dumps({"answer": string.ascii_uppercase[right], "choices": list(story.said)})


def _work(parts: Sequence[Part], plans: Sequence[str]) -> str:
    """All parts' digits as these plans give them, right or wrong."""
    return "".join(PLANS[plan].run(part.digits)[1] for part, plan in zip(parts, plans, strict=True))


def sample(rng: random.Random, parts: int, pool: str = "seen") -> Story:
    """A random story of a pool."""
    problem = problems.sample(rng, parts, pool)
    said = list(dict.fromkeys([problems.answer(problem), _work(problem, [DEFAULT_PLAN] * parts)]))
    while len(said) < CHOICES:  # the default plan may be right, too
        number = _work(problem, [FAMILIES[rng.choice(list(FAMILIES))][0].name for _ in problem])
        if number not in said:
            said.append(number)
    rng.shuffle(said)
    return Story(problem, tuple(rng.sample(PEOPLE, CHOICES)), tuple(said))
