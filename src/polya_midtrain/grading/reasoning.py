"""What a completion says after its reasoning: a model thinks between ``<think>`` and ``</think>`` and answers after."""

from __future__ import annotations

import re

_TAG = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>", re.IGNORECASE)


def spoken(completion: str) -> str:
    """The completion without its reasoning. Reasoning that never ends leaves what stands before it; an end without a
    beginning, which the prompt may have held, ends all that stands before."""
    kept: list[str] = []
    start: int | None = 0  # where speech began; None within reasoning
    for tag in _TAG.finditer(completion):
        if tag[1]:
            kept = kept if start is None else []
            start = tag.end()
        elif start is not None:
            kept.append(completion[start : tag.start()])
            start = None
    return "".join(kept) + ("" if start is None else completion[start:])
