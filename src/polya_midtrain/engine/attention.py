"""Attention for decoding: two batched matrix products for one query token, torch's fused kernels for prompts.

Query heads that share a key head go in one product, so that the cache is read once and never copied. On a CPU the
fused kernel pays a fixed cost per (row, head), which for one query token is most of the time: products are three to six
times faster. On a GPU transformers copies grouped keys for every query head at each token wherever there is a mask:
three times the cache of SmolLM2. And in bfloat16, not in float32, torch prefers cuDNN on Hopper (its sdp_utils.cpp,
check_prefer_cudnn_attention), which builds a plan for each new shape: here one a token, and others when rows leave the
batch. This is read, not profiled; it fits that this engine was slower in bfloat16 than in float32 on an H100 (0.51 of
`generate`, whose rows stay, so that a batch finds the plans of the one before). vLLM switches cuDNN off, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "polya_decode"
FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]  # without cuDNN


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
    if tokens > 1:
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
        with sdpa_kernel(FUSED):
            yield
    finally:
        model.config._attn_implementation = before
