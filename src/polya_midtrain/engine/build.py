"""Opening a checkpoint for sampling."""

from __future__ import annotations

from pathlib import Path

from polya_midtrain.common import policy
from polya_midtrain.engine.contract import Engine
from polya_midtrain.params import Machine


def open_engine(checkpoint: Path, machine: Machine, rows: int) -> Engine:
    """The engine on a checkpoint folder (or on what a pointer there names), ``rows`` sequences side by side."""
    folder = policy.resolve(checkpoint)
    policy.check(folder)
    if machine.engine == "vllm":
        from polya_midtrain.engine.vllm_engine import open_vllm

        return open_vllm(folder, machine, rows)
    from polya_midtrain.engine.transformers_engine import TransformersEngine

    model, tokenizer = policy.load(folder, policy.device_of(machine.device))
    return TransformersEngine(model, tokenizer, rows)
