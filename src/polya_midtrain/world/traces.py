"""Worked answers of the embedded world: how a chain of plans is written down, and read back."""

from __future__ import annotations

import re
from collections.abc import Sequence

from polya_midtrain.world.families import PLANS
from polya_midtrain.world.problems import Part, Problem

_WORD = re.compile(r"[a-z]+")


def write(problem: Problem, plans: Sequence[str]) -> str:
    """The answer that works part i by plan i: `` jar forward 3+5=8 8+2=0:80 ... \\boxed{8032}``.

    A part's line names the part before the plan, as a person would say what comes next: without that a small model
    learns to carry plans out long before it learns which plan fits what.
    """
    lines, digits = [], ""
    for part, name in zip(problem, plans, strict=True):
        lines.append(line(part, name))
        digits += PLANS[name].run(part.digits)[1]
    return "".join(lines) + f" \\boxed{{{digits}}}"


def line(part: Part, plan: str) -> str:
    """One part worked by a plan: `` jar forward 3+5=8 8+2=0:80``."""
    written, result = PLANS[plan].run(part.digits)
    work = " ".join(f"{a}{op}{b}={out}" for a, op, b, out in written)
    return f" {part.word} {plan} {work}:{result}"


def plans_used(response: str) -> list[str]:
    """The plans that a response names, in order (words that are no plan are passed over)."""
    return [word for word in _WORD.findall(response) if word in PLANS]
