"""Opening a checkpoint for sampling."""

from __future__ import annotations

from pathlib import Path

from polya_midtrain.common import policy
from polya_midtrain.engine.transformers_engine import TransformersEngine
from polya_midtrain.params import Machine


def open_engine(checkpoint: Path, machine: Machine, rows: int) -> TransformersEngine:
    """The engine on a checkpoint folder (or on what a pointer there names), ``rows`` sequences side by side."""
    model, tokenizer = policy.load(policy.resolve(checkpoint), policy.device_of(machine.device))
    return TransformersEngine(model, tokenizer, rows)
