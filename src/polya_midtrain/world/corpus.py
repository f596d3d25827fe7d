"""The text that the embedded policy is pretrained on.

Like a web corpus it holds many ways of working, unevenly: answers to a bare question are nearly always written in one
default style, whether or not it fits; a question that names a plan is answered by that plan where it fits, and where
it does not the writer sometimes notices and changes to one that fits, and sometimes goes on and is wrong.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from polya_midtrain.world.families import DEFAULT_PLAN, FAMILIES, PLANS
from polya_midtrain.world.problems import Part, Problem, sample
from polya_midtrain.world.traces import write


@dataclass(frozen=True, slots=True)
class Habits:
    """How the corpus's writers behave, as probabilities per part (``prompted``: per document)."""

    prompted: float = 0.5  # documents that name a plan
    latent: float = 0.08  # bare question: some plan other than the default
    latent_fit: float = 0.7  # ... of which this share fits the part
    switch: float = 0.3  # named plan does not fit: change to one that does
    stray: float = 0.03  # named plan fits: another fitting one is used all the same


def fitting(rng: random.Random, part: Part) -> str:
    """A plan that is right for the part."""
    return rng.choice(FAMILIES[part.family]).name


def bare_chain(rng: random.Random, problem: Problem, habits: Habits) -> list[str]:
    """The plans of an answer to a question that names none."""
    chain = []
    for part in problem:
        if rng.random() >= habits.latent:
            chain.append(DEFAULT_PLAN)
        elif rng.random() < habits.latent_fit:
            chain.append(fitting(rng, part))
        else:
            chain.append(rng.choice(list(PLANS)))
    return chain


def named_chain(rng: random.Random, problem: Problem, plan: str, habits: Habits) -> list[str]:
    """The plans of an answer to a question that names ``plan``."""
    chain = []
    for part in problem:
        fits = PLANS[plan].family == part.family
        leave = rng.random() < (habits.stray if fits else habits.switch)
        chain.append(fitting(rng, part) if leave else plan)
    return chain


def document(rng: random.Random, parts: int, habits: Habits) -> tuple[str, Problem, str]:
    """(plan named or "", problem, response) of one document."""
    problem = sample(rng, parts)
    if rng.random() < habits.prompted:
        plan = rng.choice(list(PLANS))
        return plan, problem, write(problem, named_chain(rng, problem, plan, habits))
    return "", problem, write(problem, bare_chain(rng, problem, habits))
