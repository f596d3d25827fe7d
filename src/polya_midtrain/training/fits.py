"""How much of a batch a training works on at a time: what params.yaml says, or as much as the memory takes.

The sums are those of `polya plan` (`common.shapes`), with the memory that the GPU here has.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from polya_midtrain.common.shapes import HALF, TRAINING, USABLE, Model, Wanted, of_config

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ASLEEP = 3e9  # bytes that vLLM keeps while it sleeps: its graphs, and what CUDA keeps for it


def arguments(model: PreTrainedModel, batch: int, length: float, wanted: Wanted, beside: float = 0.0) -> dict[str, Any]:
    """Trainer arguments for ``batch`` sequences an optimiser step, of ``length`` tokens at most; ``beside``: bytes of a
    GPU that something else keeps."""
    share = batch // processes()  # params.yaml sees to divisibility
    shape = of_config(type(model).__name__, model.config.to_dict(), score=hasattr(model, "score"))
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


def beside(model: PreTrainedModel, vllm: bool) -> float:
    """Bytes that GRPO's rollouts keep during an update: a copy in bfloat16, or vLLM asleep."""
    return ASLEEP if vllm else float(HALF * model.num_parameters())


def rollout_memory(model: PreTrainedModel, wanted: Wanted | float) -> float:
    """The share of the GPU that vLLM takes beside the trainer."""
    if wanted != "auto":
        return float(wanted)
    shape: Model = of_config(type(model).__name__, model.config.to_dict())
    return shape.rollout_memory(memory(model), shards())


def memory(model: PreTrainedModel) -> float:
    """Bytes of the memory of the GPU that a model is on."""
    import torch

    return float(torch.cuda.get_device_properties(model.device).total_memory)


def processes() -> int:
    """Processes of this training, as accelerate launch sets it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def shards() -> int:
    """Processes that hold a share of the weights each, by FSDP."""
    return processes() if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true" else 1
