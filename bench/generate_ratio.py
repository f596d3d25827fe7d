"""Tokens per second of the study's engine over plain transformers ``generate``, on the generate stage's own prompts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROUNDS = 5
PROMPTS = 64
SAMPLES = 4
ROWS = 256


def measure(checkpoint: Path, max_tokens: int = 48) -> dict[str, Any]:
    """Both sides in turn, on the same prompts with the same number of new tokens in every row (no row ends early).

    Equal counts make it a comparison of decoding alone; that the engine also drops rows that have ended comes on top.
    """
    import torch

    from polya_midtrain import params
    from polya_midtrain.checkpoints import policy
    from polya_midtrain.engine import SamplingParams
    from polya_midtrain.engine.transformers_engine import TransformersEngine
    from polya_midtrain.prompting import heuristics, prompts
    from polya_midtrain.world import problems

    policy.quiet()
    settings = params.load()
    catalogue = heuristics.load(settings.prompts.catalogue)
    model, tokenizer = policy.load(checkpoint, "cpu")
    import random

    rng = random.Random(0)
    names = [heuristic.id for heuristic in catalogue.heuristics]
    encoded = [
        prompts.encode(
            tokenizer,
            prompts.messages(
                problems.text(problems.sample(rng, 2)), names[i % len(names)], settings.prompts, catalogue
            ),
        )
        for i in range(PROMPTS)
    ]
    engine = TransformersEngine(model, tokenizer, ROWS)
    engine.ends = torch.tensor([-1])  # nothing ends a row
    tokens = PROMPTS * SAMPLES * max_tokens

    def ours() -> None:
        engine.generate(encoded, SamplingParams(n=SAMPLES, max_tokens=max_tokens, seed=1))

    def plain() -> None:
        ids = [prompt for prompt in encoded for _ in range(SAMPLES)]
        for start in range(0, len(ids), ROWS):
            batch = tokenizer.pad({"input_ids": ids[start : start + ROWS]}, padding_side="left", return_tensors="pt")
            with torch.inference_mode():
                model.generate(
                    **batch, do_sample=True, top_k=0, max_new_tokens=max_tokens, eos_token_id=None, pad_token_id=0
                )

    rates: dict[str, list[float]] = {"ours": [], "plain": []}
    ours()
    plain()
    for index in range(ROUNDS):
        order: list[tuple[str, Callable[[], None]]] = [("ours", ours), ("plain", plain)]
        for name, call in order if index % 2 == 0 else reversed(order):
            begun = time.process_time()
            call()
            rates[name].append(tokens / (time.process_time() - begun))
    ratios = [a / b for a, b in zip(rates["ours"], rates["plain"], strict=True)]
    return {
        "generate_ratio": round(statistics.median(ratios), 3),
        "ours_tokens_per_cpu_second": round(statistics.median(rates["ours"])),
        "transformers_tokens_per_cpu_second": round(statistics.median(rates["plain"])),
        "rounds": ROUNDS,
        "tokens_per_round": tokens,
    }
