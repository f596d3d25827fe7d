"""How much of a batch a training works on at a time: what params.yaml says, or as much as the memory takes.

The sums are those of `polya plan` (`checkpoints.shapes`), with the memory that the GPU here has.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from polya_midtrain.checkpoints.shapes import TRAINING, USABLE, Model, Wanted, of_config
from polya_midtrain.params import Midtrain, Rl

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Rollouts = Literal["none", "engine", "vllm"]
"""What samples on the GPU of a trainer: nothing (also where a server does), the package's own engine, or vLLM."""


def arguments(
    model: PreTrainedModel, batch: int, length: float, wanted: Wanted, rollouts: Rollouts = "none"
) -> dict[str, Any]:
    """Trainer arguments for ``batch`` sequences an optimiser step, of ``length`` tokens at most, beside ``rollouts`` of
    GRPO, which keep some of a GPU."""
    share = batch // processes()  # params.yaml sees to divisibility
    shape = of_config(type(model).__name__, model.config.to_dict(), score=hasattr(model, "score"))
    beside = 0.0 if rollouts == "none" else shape.beside(vllm=rollouts == "vllm")
    if model.device.type == "cpu":
        micro, checkpointed = shape.alone(share, length, wanted), False
    else:
        room = USABLE * memory(model) - TRAINING * shape.parameters / shards() - beside
        micro, checkpointed = shape.batch(share, length, room, wanted, shards())
    return {
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": max(1, share // micro),
        "gradient_checkpointing": checkpointed,
    }


def rollout_memory(model: PreTrainedModel, wanted: Wanted | float) -> float:
    """The share of the GPU that vLLM takes beside the trainer."""
    if wanted != "auto":
        return float(wanted)
    shape = of_config(type(model).__name__, model.config.to_dict())
    return shape.rollout_memory(memory(model), shards())


def midtrain(shape: Model, settings: Midtrain) -> float:
    """Bytes of a GPU that mid-training wants."""
    return shape.learning(settings.batch, settings.max_length, settings.micro_batch)


def rl(shape: Model, settings: Rl) -> float:
    """Bytes of a GPU that GRPO wants with rollouts by the package's own engine."""
    batch, length = settings.prompts * settings.generations, settings.max_prompt_tokens + settings.max_tokens
    updates = shape.learning(batch, length, settings.micro_batch, shape.beside(vllm=False))
    return max(updates, shape.rollouts(min(settings.rows, batch), length))


def memory(model: PreTrainedModel) -> float:
    """Bytes of the GPU that a model is on, or of this process's part of it (`runtime.card`)."""
    import torch

    part = torch.cuda.get_per_process_memory_fraction(model.device)
    return part * float(torch.cuda.get_device_properties(model.device).total_memory)


def processes() -> int:
    """Processes of this training, as accelerate launch sets it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def shards() -> int:
    """Processes that hold a share of the weights each, by FSDP."""
    return processes() if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true" else 1
