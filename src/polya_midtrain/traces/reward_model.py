"""The reward model: how well a response follows its intended heuristic, as one number (paper, 5).

Any AutoModelForSequenceClassification with one label serves: the published Skywork models read the same conversation
of a user and an assistant turn and give logits[0][0].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from polya_midtrain.checkpoints import policy
from polya_midtrain.params import Machine
from polya_midtrain.prompting import prompts
from polya_midtrain.prompting.heuristics import Heuristic
from polya_midtrain.runtime.model_time import model_call

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Item = tuple[Heuristic, str, str]
"""(intended heuristic, question, response)."""


def conversation(heuristic: Heuristic, question: str, response: str) -> list[dict[str, str]]:
    """What the reward model reads: the heuristic's instruction and the question, then the response."""
    return [
        {"role": "user", "content": f"{heuristic.instruction}\n{question}"},
        {"role": "assistant", "content": response},
    ]


class RewardModel:
    """A loaded reward model."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: int) -> None:
        self.model, self.tokenizer, self.batch = model, tokenizer, batch
        if model.config.pad_token_id is None:
            # As Llama's. The score is read at the last token that is not padding: a token that may end a conversation
            # must not become padding, the one that begins it may.
            first = tokenizer.bos_token_id
            model.config.pad_token_id = tokenizer.pad_token_id if first is None else first
        tokenizer.pad_token_id = model.config.pad_token_id

    @classmethod
    def load(cls, checkpoint: Path, machine: Machine, batch: int) -> RewardModel:
        """Open a checkpoint folder."""
        model, tokenizer = policy.load(
            checkpoint, policy.device_of(machine.device), "AutoModelForSequenceClassification", "read"
        )
        return cls(model, tokenizer, batch)

    def scores(self, items: Sequence[Item], progress: Callable[[int, int], None] | None = None) -> list[float]:
        """One adherence score per item, higher is better, rounded to 6 digits; batched by length."""
        import torch

        encoded = [self._encode(item) for item in items]
        order = sorted(range(len(items)), key=lambda index: len(encoded[index]))
        values = [0.0] * len(items)
        with model_call("score"), torch.inference_mode():
            for start in range(0, len(order), self.batch):
                rows = order[start : start + self.batch]
                batch = self.tokenizer.pad({"input_ids": [encoded[row] for row in rows]}, return_tensors="pt")
                logits = self.model(**batch.to(self.model.device)).logits[:, 0].tolist()
                for row, value in zip(rows, logits, strict=True):
                    values[row] = round(value, 6)
                if progress:
                    progress(start + len(rows), len(order))
        return values

    def _encode(self, item: Item) -> list[int]:
        turns = conversation(*item)
        ids = self.tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False, date_string=prompts.DATE)
        first = self.tokenizer.bos_token_id
        # Some chat templates write the start token that the tokenizer adds as well.
        return list(ids[1:] if first is not None and list(ids[:2]) == [first, first] else ids)
