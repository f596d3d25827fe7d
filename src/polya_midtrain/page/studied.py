"""What was studied, in words, from settings alone: the arms, the base, the questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polya_midtrain.params import Arm, PackageBase, WorldBase

LEARNS = {
    "none": "no mid-training: RL alone",
    "unprompted": "its own right answers without a heuristic, {n} a question",
    "heuristics": "its own right answers that follow their heuristic, under {n} a question",
    "teacher": "a stronger model's right answers, up to {n} a question",
    "right": "right answers, each of a pair with a wrong one, under {n} a question",
    "wrong": "wrong answers, each of a pair with a right one, under {n} a question",
    "mixed": "right and wrong answers, half of each of such pairs, under {n} a question",
}
UNDER = {"heuristics", "right", "wrong", "mixed"}  # their n counts heuristics
MATCHED = {
    "rows": "; as many rows as {arm}, of fewer questions",
    "tokens": "; as many response tokens as {arm}, of fewer questions",
    "steps": "; for as many steps as {arm}",
}


def arm(chosen: Arm) -> str:
    """What it is fine-tuned on before RL, and what of that is made equal to another arm's."""
    count = f"{chosen.n}" if chosen.n > 1 else "one"
    nouns = f" heuristic{'s' if chosen.n > 1 else ''}" if chosen.traces in UNDER else ""
    words = LEARNS[chosen.traces].format(n=f"{count}{nouns}")
    if chosen.match is not None:
        unit = next(unit for unit in MATCHED if getattr(chosen.match, unit))
        words += MATCHED[unit].format(arm=chosen.match.arm)
    return words + (f"; RL of {chosen.rl_epochs:g} epochs" if chosen.rl_epochs is not None else "")


def base(model: Any) -> str:
    """The model of block base."""
    if isinstance(model, WorldBase):
        return (
            f"a Llama of {model.layers} layers and {model.hidden} dimensions, trained from nothing on the texts of the "
            "embedded world"
        )
    if isinstance(model, PackageBase):
        return f"the model in the package {model.package} {model.version}"
    return str(getattr(model, "id", None) or model.path)


def sets(chosen: Mapping[str, Any]) -> str:
    """Question sets with their sizes."""
    return ", ".join(f"{name} ({size(one)})" for name, one in chosen.items())


def size(chosen: Any) -> str:
    """How many questions a set has at most."""
    limit = getattr(chosen, "count", None) or getattr(chosen, "limit", None)
    return f"{limit:,}" if limit else "all"
