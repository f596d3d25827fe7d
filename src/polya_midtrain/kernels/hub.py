"""Sentence embeddings of a model of the hub: the mean of its last hidden states over a response's tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from polya_midtrain.checkpoints import hub, policy
from polya_midtrain.params import HubEmbedding
from polya_midtrain.science.vendi import Array

BATCH = 32  # responses in one forward pass
LONGEST = 8192  # tokens at most, where the tokenizer names no smaller limit


def embed(
    responses: Sequence[str],
    settings: HubEmbedding,
    device: str,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Array]:
    """Vectors (responses, width) under the model's name; the snapshot goes into ``folder``.

    Mean pooling over the tokens that are no padding (Reimers and Gurevych 2019, arXiv 1908.10084), in float32.
    Responses beyond the tokenizer's limit are cut. Raises `UserError` where the snapshot cannot be had.
    """
    import torch

    hub.snapshot(settings.id, settings.revision, folder)
    model, tokenizer = policy.load(folder, device, "AutoModel", "read")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    limit = min(tokenizer.model_max_length, LONGEST)
    order = sorted(range(len(responses)), key=lambda place: len(responses[place]))  # alike lengths pad little
    vectors = np.empty((len(responses), model.config.hidden_size), dtype=np.float64)
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            batch = tokenizer(
                [responses[place] for place in places],
                padding=True,
                padding_side="right",
                truncation=True,
                max_length=limit,
                return_tensors="pt",
            ).to(device)
            states = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
            mask = batch["attention_mask"][..., None]
            vectors[places] = ((states.float() * mask).sum(1) / mask.sum(1)).double().cpu().numpy()
            if progress:
                progress(start + len(places), len(order))
    return {f"sentence embeddings of {settings.id}": vectors}
