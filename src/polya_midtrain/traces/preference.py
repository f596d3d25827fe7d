"""The reward model's training by trl's RewardTrainer (Bradley-Terry loss on preference pairs)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polya_midtrain.prompting.heuristics import Heuristic
from polya_midtrain.traces.reward_model import conversation

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback


@dataclass(frozen=True, slots=True)
class Pair:
    """Two responses to one question under one heuristic: the first follows it, the second does not."""

    heuristic: Heuristic
    question: str
    follows: str
    strays: str

    def row(self) -> dict[str, list[dict[str, str]]]:
        """The trainer's columns."""
        return {
            "chosen": conversation(self.heuristic, self.question, self.follows),
            "rejected": conversation(self.heuristic, self.question, self.strays),
        }


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[Pair],
    *,
    epochs: float,
    batch: int,
    learning_rate: float,
    max_length: int,
    arguments: dict[str, Any],
    callbacks: list[TrainerCallback],
) -> list[dict[str, Any]]:
    """Train ``model`` in place and return the log, one record a step."""
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    from polya_midtrain.training import fits, hooks

    rows = fits.arguments(model, 2 * batch, max_length, 2 * batch)
    config = RewardConfig(
        **arguments | {"gradient_checkpointing": rows["gradient_checkpointing"]},
        num_train_epochs=epochs,
        per_device_train_batch_size=batch,
        learning_rate=learning_rate,
        lr_scheduler_type="cosine",
        max_length=max_length,
    )
    trainer = RewardTrainer(
        model=model,
        args=hooks.on_one_gpu(config),
        train_dataset=Dataset.from_list([pair.row() for pair in pairs]),
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    return hooks.run_trainer(trainer, Path(config.output_dir or ""))
