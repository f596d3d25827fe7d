"""The kinds of task in the embedded world, as the corpus and the question sets use them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from polya_midtrain.world import problems, programs, stories, traces
from polya_midtrain.world.problems import Part


@dataclass(frozen=True, slots=True)
class Task:
    """What can be done with an item (a problem, a program, a story) of a task; ``kind`` is its grader.

    ``sample(rng, parts, pool)`` draws an item, ``write(item, plans)`` is the answer that works part i by plan i.
    """

    kind: str
    sample: Callable[[random.Random, int, str], Any]
    parts: Callable[[Any], Sequence[Part]]
    text: Callable[[Any], str]
    write: Callable[[Any, Sequence[str]], str]
    gold: Callable[[Any], str]


TASKS = {
    "chain": Task("maths", problems.sample, tuple, problems.text, traces.write, problems.answer),
    "program": Task("code", programs.sample, lambda item: item.parts, programs.text, programs.write, programs.gold),
    "story": Task("choice", stories.sample, lambda item: item.parts, stories.text, stories.write, stories.gold),
}
