"""Opening a checkpoint for sampling."""

from __future__ import annotations

from pathlib import Path

from polya_midtrain.checkpoints import policy
from polya_midtrain.engine.contract import Engine
from polya_midtrain.params import Machine


def open_engine(checkpoint: Path, machine: Machine, rows: int, old: Engine | None = None) -> Engine:
    """The engine on a checkpoint folder (or on what a pointer there names), ``rows`` sequences side by side.

    It takes the place of an ``old`` one: vLLM, whose start takes a minute, swaps its weights if the models are of one
    shape; any other is closed first.
    """
    folder = policy.resolve(checkpoint)
    policy.check(folder)
    if machine.engine == "vllm":
        from polya_midtrain.engine.vllm_engine import VllmEngine, open_vllm

        if isinstance(old, VllmEngine) and old.swap(folder):
            return old
        if old is not None:
            old.close()
        return open_vllm(folder, machine, rows)
    from polya_midtrain.engine.transformers_engine import TransformersEngine

    if old is not None:
        old.close()
    model, tokenizer = policy.load(folder, policy.device_of(machine.device), purpose="read")
    return TransformersEngine(model, tokenizer, rows)
