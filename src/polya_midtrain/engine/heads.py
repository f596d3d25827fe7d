"""The same policy with wider attention heads, for attention kernels that lack its size.

vLLM's attention on CPUs begins at heads of 32; those of the embedded world have 16. Zeros at the right places make a
head wider and leave every score as it is: rotary positions turn dimension i of a head together with i + size/2, by
an angle that depends on i/size alone, so dimension i moves to i times the factor of widening. The scores are divided
by the root of the size, which queries that are longer by the root of the factor make up for; factors are powers of 4,
whose roots change no digit in any number format.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from pathlib import Path

import torch

from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError

FACTORS = (4, 16)


def fit(checkpoint: Path, sizes: Collection[int], folder: Path) -> Path:
    """The checkpoint, if the size of its heads is one of ``sizes``; else a copy in ``folder`` with wider heads."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(checkpoint)
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if size in sizes:
        return checkpoint
    factor = next((factor for factor in FACTORS if size * factor in sizes), None)
    plain = config.model_type == "llama" and config.rope_parameters["rope_type"] == "default"
    if factor is None or not plain or config.attention_bias:
        raise UserError(
            f"{checkpoint}/config.json: vLLM has no attention on a CPU for this model's heads of {size}; set "
            "machine.engine in params.yaml to transformers"
        )
    _widen(checkpoint, size, factor, folder)
    return folder


def _widen(checkpoint: Path, size: int, factor: int, folder: Path) -> None:
    model, tokenizer = policy.load(checkpoint, "cpu")
    config = copy.deepcopy(model.config)
    config.head_dim = size * factor
    wide = type(model)(config)
    half = torch.arange(size // 2) * factor
    places = torch.cat([half, half + size * factor // 2])
    weights = model.state_dict()
    for name, weight in weights.items():
        kind = name.split(".")[-2]
        if kind in ("q_proj", "k_proj", "v_proj"):  # (heads x size, hidden)
            weights[name] = _spread(weight, size, factor, places) * (factor**0.5 if kind == "q_proj" else 1.0)
        elif kind == "o_proj":  # (hidden, heads x size)
            weights[name] = _spread(weight.T, size, factor, places).T
    wide.load_state_dict(weights)
    wide.generation_config = model.generation_config
    policy.save(wide, tokenizer, folder, policy.stored_dtype(checkpoint))


def _spread(weight: torch.Tensor, size: int, factor: int, places: torch.Tensor) -> torch.Tensor:
    """(heads x size, columns) as (heads x size x factor, columns), the rows of each head at ``places`` among zeros."""
    columns = weight.shape[1]
    wide = weight.new_zeros(weight.shape[0] // size, size * factor, columns)
    wide[:, places] = weight.reshape(-1, size, columns)
    return wide.reshape(-1, columns)
