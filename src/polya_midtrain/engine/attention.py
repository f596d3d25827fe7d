"""Attention for decoding on a CPU.

torch's fused CPU kernel pays a fixed cost per (row, head), which for one query token is most of the time. A batched
matrix product does the same sum three to six times faster; query heads that share a key head go in one product, so
that grouped keys are never copied. Prompts (many query tokens) keep the fused kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "polya_decode"


def decode_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of ``query`` (rows, heads, tokens, size) over ``key``/``value`` (rows, key heads, length, size).

    Returns (rows, tokens, heads, size), as transformers' attention functions do.
    """
    rows, heads, tokens, size = query.shape
    if tokens > 1 or query.device.type != "cpu":
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    key_heads = key.shape[1]
    grouped = query.reshape(rows, key_heads, heads // key_heads, size)
    scores = torch.matmul(grouped, key.transpose(2, 3)) * (size**-0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, float("-inf"))
    weights = torch.softmax(scores, dim=-1)
    return torch.matmul(weights, value).reshape(rows, 1, heads, size), None


AttentionInterface.register(NAME, decode_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


@contextmanager
def decoding(model: PreTrainedModel) -> Iterator[None]:
    """Use `decode_attention` inside the block; a trainer that shares the model gets its own attention back."""
    before = model.config._attn_implementation
    model.config._attn_implementation = NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before
