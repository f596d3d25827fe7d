"""A GPU whose memory runs out, as one line that says which setting to lower."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from polya_midtrain.errors import UserError

# What decides how much of a GPU each stage takes, the first to be lowered first.
LOWER = MappingProxyType(
    {
        "base": "base.batch",
        "teacher": "teacher.batch",
        "reward": "reward.batch or reward.sampling.rows",
        "generate": "generate.rows or machine.workers",
        "distil": "distil.rows or machine.workers",
        "score": "score.batch",
        "midtrain": "midtrain.micro_batch or machine.workers",
        "rl": "rl.micro_batch, rl.rows, machine.workers or machine.rollout_memory",
        "evaluate": "evaluate.rows or machine.workers",
        "modes": "machine.workers",
    }
)
AT_A_TIME = ("rows", "micro_batch")


def without(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those that say how much is worked on at a time, which change no result but for rounding."""
    return {
        name: without(value) if isinstance(value, Mapping) else value
        for name, value in settings.items()
        if not (name in AT_A_TIME and (isinstance(value, int) or value == "auto"))  # rows of an arm's match: a name
    }


@contextmanager
def enough(stage: str) -> Iterator[None]:
    """Run a block of a stage; torch's OutOfMemoryError becomes a `UserError`."""
    try:
        yield
    except Exception as error:
        torch = sys.modules.get("torch")
        if torch is None or not isinstance(error, torch.OutOfMemoryError):
            raise
        reason = str(error).partition(". ")[0].partition("\n")[0]
        raise UserError(
            f"params.yaml: the memory of the GPU ran out in stage {stage} ({reason}); lower "
            f"{LOWER.get(stage, 'what it takes at a time')}, or take a GPU with more, then run it again: what it "
            "finished is kept"
        ) from error
