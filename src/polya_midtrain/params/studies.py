"""Which arms belong to which table, read off their settings: adding an arm is an edit of params.yaml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from polya_midtrain.params import Arm, Match

REFERENCE = "vanilla"  # GRPO from the base; params.yaml must declare it


def in_main(arm: Arm) -> bool:
    """Whether an arm is one of the main table: no mid-training, STaR, heuristics at full size, and their controls:
    distillation, as many unprompted traces, as many optimiser steps. All of them have the usual amount of RL."""
    whole = arm.match is None or arm.match.steps is not None
    family = arm.traces in ("teacher", "none", "unprompted") or (arm.traces == "heuristics" and whole)
    return family and arm.rl_epochs is None


def usual(arms: Mapping[str, Arm]) -> dict[str, Arm]:
    """The arms of all tables but map: those whose RL lasts as long as the profile says."""
    return {name: arm for name, arm in arms.items() if arm.rl_epochs is None}


def by_amount(arms: Mapping[str, Arm], epochs: float) -> dict[float, list[str]]:
    """The arms of table map by the epochs of their RL, least first, of each amount the arm without mid-training first:
    those of the main table, which have ``epochs``, and those with epochs of their own. Empty where no arm has."""
    chosen = [name for name, arm in arms.items() if in_main(arm) or arm.rl_epochs is not None]
    found: dict[float, list[str]] = {}
    for name in sorted(chosen, key=lambda name: arms[name].traces != "none"):
        found.setdefault(arms[name].epochs(epochs), []).append(name)
    return dict(sorted(found.items())) if len(usual(arms)) < len(arms) else {}


def most(arms: Mapping[str, Arm], names: Iterable[str]) -> str | None:
    """Of some arms the one of most heuristics, at its full size; None where there is none."""
    chosen = [name for name in names if arms[name].traces == "heuristics" and not arms[name].match]
    return max(chosen, key=lambda name: arms[name].n, default=None)


def taught(arms: Mapping[str, Arm]) -> list[str]:
    """The arms with a training set of their own; one with another amount of RL learns from that of a usual arm."""
    return [name for name, arm in usual(arms).items() if arm.traces != "none"]


def main(arms: Mapping[str, Arm]) -> list[str]:
    """The arms of the main table, those that learn from the teacher last."""
    return sorted((name for name, arm in arms.items() if in_main(arm)), key=lambda name: arms[name].traces == "teacher")


def by_n(arms: Mapping[str, Arm]) -> list[str]:
    """The heuristic arms at their full size, by n."""
    chosen = [name for name, arm in usual(arms).items() if arm.traces == "heuristics" and not arm.match]
    return sorted(chosen, key=lambda name: arms[name].n)


def budget(arms: Mapping[str, Arm], unit: str) -> list[str]:
    """The arms of equal ``unit`` (rows or tokens), by n: the one that others are matched to, and those others."""
    matched = [
        name
        for name, arm in usual(arms).items()
        if arm.traces == "heuristics" and arm.match and getattr(arm.match, unit)
    ]
    targets = dict.fromkeys(getattr(arms[name].match, unit) for name in matched)  # no set: its order is a process's own
    return sorted([*targets, *matched], key=lambda name: arms[name].n)


def correctness(arms: Mapping[str, Arm]) -> list[str]:
    """The arms of matched right, wrong and mixed traces, by kind and n."""
    kinds = ("right", "mixed", "wrong")
    chosen = [name for name, arm in usual(arms).items() if arm.traces in kinds]
    return sorted(chosen, key=lambda name: (kinds.index(arms[name].traces), arms[name].n))


def stars(arms: Mapping[str, Arm]) -> list[str]:
    """The arms of STaR, as the paper has it: matched to no other."""
    return [name for name, arm in usual(arms).items() if arm.traces == "unprompted" and arm.match is None]


def controls(arms: Mapping[str, Arm]) -> dict[str, Match]:
    """The arms of the main table that are matched to another of it, and how."""
    return {name: match for name in main(arms) if (match := arms[name].match) is not None}


def distilled(arms: Mapping[str, Arm]) -> list[str]:
    """The arms that learn from the teacher."""
    return [name for name, arm in usual(arms).items() if arm.traces == "teacher"]
