"""Which arms belong to which table, read off their settings: adding an arm is an edit of params.yaml."""

from __future__ import annotations

from collections.abc import Mapping

from polya_midtrain.params import Arm, Match

REFERENCE = "vanilla"  # GRPO from the base; params.yaml must declare it


def in_main(arm: Arm) -> bool:
    """Whether an arm is one of the main table: no mid-training, STaR, heuristics at full size, and their controls:
    distillation, as many unprompted traces, as many optimiser steps."""
    whole = arm.match is None or arm.match.steps is not None
    return arm.traces in ("teacher", "none", "unprompted") or (arm.traces == "heuristics" and whole)


def main(arms: Mapping[str, Arm]) -> list[str]:
    """The arms of the main table, those that learn from the teacher last."""
    return sorted((name for name, arm in arms.items() if in_main(arm)), key=lambda name: arms[name].traces == "teacher")


def by_n(arms: Mapping[str, Arm]) -> list[str]:
    """The heuristic arms at their full size, by n."""
    chosen = [name for name, arm in arms.items() if arm.traces == "heuristics" and not arm.match]
    return sorted(chosen, key=lambda name: arms[name].n)


def budget(arms: Mapping[str, Arm], unit: str) -> list[str]:
    """The arms of equal ``unit`` (rows or tokens), by n: the one that others are matched to, and those others."""
    matched = [
        name for name, arm in arms.items() if arm.traces == "heuristics" and arm.match and getattr(arm.match, unit)
    ]
    targets = dict.fromkeys(getattr(arms[name].match, unit) for name in matched)  # no set: its order is a process's own
    return sorted([*targets, *matched], key=lambda name: arms[name].n)


def correctness(arms: Mapping[str, Arm]) -> list[str]:
    """The arms of matched right, wrong and mixed traces, by kind and n."""
    kinds = ("right", "mixed", "wrong")
    chosen = [name for name, arm in arms.items() if arm.traces in kinds]
    return sorted(chosen, key=lambda name: (kinds.index(arms[name].traces), arms[name].n))


def stars(arms: Mapping[str, Arm]) -> list[str]:
    """The arms of STaR, as the paper has it: matched to no other."""
    return [name for name, arm in arms.items() if arm.traces == "unprompted" and arm.match is None]


def controls(arms: Mapping[str, Arm]) -> dict[str, Match]:
    """The arms of the main table that are matched to another of it, and how."""
    return {name: match for name in main(arms) if (match := arms[name].match) is not None}


def distilled(arms: Mapping[str, Arm]) -> list[str]:
    """The arms that learn from the teacher."""
    return [name for name, arm in arms.items() if arm.traces == "teacher"]
