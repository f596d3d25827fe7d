"""Supervised fine-tuning by trl's SFTTrainer, the loss on the response alone (paper, method 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polya_midtrain.checkpoints.shapes import Wanted

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

IGNORED = -100  # label of a token that carries no loss


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids of a prompt and of the response to learn, end token included."""

    prompt: list[int]
    response: list[int]

    def columns(self, max_length: int) -> dict[str, list[int]]:
        """The trainer's columns, cut at ``max_length`` tokens."""
        return {
            "input_ids": (self.prompt + self.response)[:max_length],
            "labels": ([IGNORED] * len(self.prompt) + self.response)[:max_length],
        }


def fine_tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    epochs: float,
    batch: int,
    micro_batch: Wanted,
    learning_rate: float,
    warmup: float,
    max_length: int,
    keep_order: bool,
    arguments: dict[str, Any],
    callbacks: list[TrainerCallback],
) -> list[dict[str, Any]]:
    """Train ``model`` in place and return the log, one record a step.

    ``batch`` sequences an optimiser step, ``micro_batch`` at a time (`training.fits`). ``keep_order``: the examples as
    they come (a curriculum); otherwise they are shuffled and batched by length.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from polya_midtrain.training import fits, hooks

    rows = [example.columns(max_length) for example in examples]
    for row in rows:
        row["length"] = len(row["input_ids"])  # type: ignore[assignment]
    longest = max(len(row["input_ids"]) for row in rows)
    config = SFTConfig(
        **arguments | fits.arguments(model, batch, longest, micro_batch),
        num_train_epochs=epochs,
        learning_rate=learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=warmup,
        max_length=max_length,
        train_sampling_strategy="sequential" if keep_order else "group_by_length",
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    trainer = SFTTrainer(
        model=model,
        args=hooks.on_one_gpu(config),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    return hooks.run_trainer(trainer, Path(config.output_dir or ""))
