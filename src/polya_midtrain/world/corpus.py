"""The text that the embedded policy is pretrained on.

Like a web corpus it holds many ways of working, unevenly. Answers to bare questions are written in one default style,
whether or not it fits, or in another, as often as ``base.habits`` says. A question that names a plan is answered by
that plan where it fits, and where it does not the writer sometimes notices and changes to one that fits, and sometimes
goes on and is wrong. Most documents are chains of parts; a few are programs and stories (see `tasks`), written by the
same habits.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from polya_midtrain.params import Habits
from polya_midtrain.world import problems, traces
from polya_midtrain.world.families import DEFAULT_PLAN, FAMILIES, PLANS
from polya_midtrain.world.problems import Part, Problem
from polya_midtrain.world.tasks import TASKS


def fitting(rng: random.Random, part: Part) -> str:
    """A plan that is right for the part."""
    return rng.choice(FAMILIES[part.family]).name


def bare_chain(rng: random.Random, problem: Sequence[Part], habits: Habits) -> list[str]:
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


def named_chain(rng: random.Random, problem: Sequence[Part], plan: str, habits: Habits) -> list[str]:
    """The plans of an answer to a question that names ``plan``."""
    chain = []
    for part in problem:
        fits = PLANS[plan].family == part.family
        leave = rng.random() < (habits.stray if fits else habits.switch)
        chain.append(fitting(rng, part) if leave else plan)
    return chain


def document(rng: random.Random, parts: int, habits: Habits, task: str = "chain") -> tuple[str, Any, str]:
    """(plan named or "", item of the task, response) of one document."""
    kind = TASKS[task]
    item = kind.sample(rng, parts, "seen")
    if rng.random() < habits.prompted:
        plan = rng.choice(list(PLANS))
        return plan, item, kind.write(item, named_chain(rng, kind.parts(item), plan, habits))
    return "", item, kind.write(item, bare_chain(rng, kind.parts(item), habits))


def example(rng: random.Random, plan: str) -> tuple[Problem, str]:
    """(problem, response) of a worked example of a plan: one part that it fits."""
    part = problems.one_of(lambda: problems.sample_part(rng), lambda part: part.family == PLANS[plan].family, 1)
    return (part,), traces.write((part,), [plan])
