"""The stand-ins' checkpoints: random Llamas of Llama 3's form, in the files that the hub has of one.

A model that answers nothing right would leave every later stage without rows, so the policies learn by heart, in a
minute, what the run asks (`lessons`). The reward model and the embedding stay random.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polya_midtrain.dryrun.lessons import Lessons
from polya_midtrain.dryrun.tokenizer import BEGIN, END_OF_MESSAGE, END_OF_TEXT, END_OF_TURN, LONGEST

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

HIDDEN, LAYERS, HEADS, KEY_HEADS = 64, 2, 4, 2
ROPE = {  # of Llama 3.2
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
THETA = 500000.0
SPREAD = 0.04  # of the first weights: learning starts sooner than from Llama's 0.02, which is for wide models
BATCH, PART = 16, 4  # conversations of a step, and of one pass
RATE = 0.004  # AdamW's, at its highest


def config(tokenizer: PreTrainedTokenizerFast, **more: Any) -> Any:
    """Llama 3.2's configuration but for the sizes: grouped heads, scaled rotary positions, tied embeddings, three
    tokens that end a turn."""
    from transformers import LlamaConfig

    ids = tokenizer.convert_tokens_to_ids
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 3 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_HEADS,
        "max_position_embeddings": LONGEST,
        "rope_parameters": {**ROPE, "rope_theta": THETA},
        "tie_word_embeddings": True,
        "initializer_range": SPREAD,
        "bos_token_id": ids(BEGIN),
        "eos_token_id": [ids(END_OF_TEXT), ids(END_OF_MESSAGE), ids(END_OF_TURN)],
    }
    return LlamaConfig(**settings | more)


def policy(
    lessons: Lessons,
    tokenizer: PreTrainedTokenizerFast,
    steps: int,
    seed: int,
    folder: Path,
    report: Callable[[int, int], None],
) -> None:
    """Write a model that was random and then saw ``steps`` batches of the lessons."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(seed)
    model = LlamaForCausalLM(config(tokenizer)).train()
    model.generation_config.update(do_sample=True, temperature=0.6, top_p=0.9)  # as Llama 3.2's
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    rng = random.Random(seed)
    for step in range(1, steps + 1):
        rows = sorted((lessons.draw(rng) for _ in range(BATCH)), key=lambda row: len(row[0]) + len(row[1]))
        for start in range(0, BATCH, PART):  # like lengths pad little
            (_loss(model, rows[start : start + PART]) * PART / BATCH).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        report(step, steps)
    _save(model, tokenizer, folder)


def _loss(model: Any, rows: list[tuple[list[int], list[int]]]) -> Any:
    """Mean cross-entropy of the responses; only their places go through the vocabulary."""
    import torch

    longest = max(len(prompt) + len(response) for prompt, response in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    places, targets = [], []
    for row, (prompt, response) in enumerate(rows):
        ids[row, : len(prompt) + len(response)] = torch.tensor(prompt + response)
        places += [(row, len(prompt) - 1 + index) for index in range(len(response))]
        targets += response
    # Causal attention: what pads a row's end cannot reach its response.
    states = model.model(input_ids=ids, use_cache=False).last_hidden_state
    row, place = torch.tensor(places).T
    return torch.nn.functional.cross_entropy(model.lm_head(states[row, place]), torch.tensor(targets))


def scorer(tokenizer: PreTrainedTokenizerFast, seed: int, folder: Path) -> None:
    """Write a random reward model: one label, as published ones have."""
    import torch
    from transformers import LlamaForSequenceClassification

    torch.manual_seed(seed)
    _save(LlamaForSequenceClassification(config(tokenizer, num_labels=1)), tokenizer, folder)


def encoder(tokenizer: PreTrainedTokenizerFast, seed: int, folder: Path) -> None:
    """Write a random model whose hidden states serve as an embedding."""
    import torch
    from transformers import LlamaModel

    torch.manual_seed(seed)
    _save(LlamaModel(config(tokenizer)), tokenizer, folder)


def _save(model: Any, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """In bfloat16, the configuration in the older form that the hub's copies of Llama have."""
    import torch

    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    written |= {"torch_dtype": written.pop("dtype"), "rope_theta": THETA, "rope_scaling": ROPE}
    del written["rope_parameters"]
    path.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
