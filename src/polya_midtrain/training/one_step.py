"""One plain gradient step of all of a model's weights, at one context: what it does to the next token's probabilities.

The model is called with other weights, never changed: every step starts from the same checkpoint, and nothing has to be
put back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.func import functional_call

from polya_midtrain.science.softmax import Array


class Network:
    """A model's next-token distribution at one context, as it is and after steps of its weights."""

    def __init__(self, model: Any, context: Sequence[int]) -> None:
        self.model = model
        self.ids = torch.tensor([context], device=model.device)
        self.weights = dict(model.named_parameters())
        self.logits = self._forward(self.weights)

    def probabilities(self) -> Array:
        """(vocabulary,) in double precision."""
        return probabilities(self.logits)

    def steps(self, direction: Array, sizes: Sequence[float]) -> list[Array]:
        """The distribution after a step of each size along the gradient of ``direction . logits`` in all weights."""
        toward = torch.as_tensor(direction, dtype=self.logits.dtype, device=self.logits.device)
        gradients = torch.autograd.grad(
            self.logits @ toward, list(self.weights.values()), retain_graph=True, materialize_grads=True
        )
        found = []
        with torch.no_grad():
            for size in sizes:
                moved = {
                    name: weight + size * gradient
                    for (name, weight), gradient in zip(self.weights.items(), gradients, strict=True)
                }
                found.append(probabilities(self._forward(moved)))
        return found

    def _forward(self, weights: dict[str, torch.Tensor]) -> torch.Tensor:
        output = functional_call(
            self.model, weights, kwargs={"input_ids": self.ids, "use_cache": False, "logits_to_keep": 1}
        )
        logits: torch.Tensor = output.logits[0, -1].double()
        return logits


def probabilities(logits: torch.Tensor) -> Array:
    """softmax of ``logits`` (vocabulary,)."""
    return np.asarray(logits.detach().softmax(-1).cpu().numpy(), dtype=np.float64)
