"""The embedded policy and its teacher: a small Llama trained from scratch on the world's corpus, and trained on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polya_midtrain.checkpoints import policy
from polya_midtrain.params import Machine, WorldBase, WorldTeacher
from polya_midtrain.runtime import tracking
from polya_midtrain.runtime.stage import Stage
from polya_midtrain.seeding import derive
from polya_midtrain.training.sft import Example
from polya_midtrain.world import corpus, tokenizer
from polya_midtrain.world.tasks import TASKS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Parts of a document after the drills, by task, and the share of each task.
LENGTHS = {"chain": (1, 2, 3, 4), "program": (1, 2), "story": (1, 2)}
SHARES = {"chain": 0.84, "program": 0.08, "story": 0.08}
POSITIONS = 160  # longest sequence the model can hold, tokens
SPREAD = 0.04  # of the first weights; transformers' own 0.02 is for wide models, and learning starts later from it

DRILLS = corpus.Habits(prompted=0.9, switch=0.5)
# Who looks before choosing a plan: no plan is named, and nine of ten choices are made, of which nine of ten fit.
CAREFUL = corpus.Habits(prompted=0.0, latent=0.9, latent_fit=0.9)


def examples(settings: WorldBase) -> list[Example]:
    """The corpus as training sequences, batch after batch of equal length: single-part drills first, then a mixture.

    Drills are a textbook: one part, mostly a named plan, changed for a fitting one half of the time it does not fit.
    They let the model learn each operation, and what fits what, on its own; without them a CPU's minutes teach nothing.
    """
    rng = random.Random(derive(settings.seed, "corpus"))
    encoder = tokenizer.build()
    drills = [_batch(rng, encoder, settings.batch, "chain", 1, DRILLS) for _ in range(settings.drill_steps)]
    mixture = [_mixed(rng, encoder, settings.batch, corpus.Habits()) for _ in range(settings.steps)]
    return [row for rows in drills + mixture for row in rows]


def careful_examples(settings: WorldTeacher) -> list[Example]:
    """What the teacher learns on top of the base: the same mixture of tasks, by writers who look before they choose."""
    rng = random.Random(derive(settings.seed, "careful"))
    encoder = tokenizer.build()
    return [row for _ in range(settings.steps) for row in _mixed(rng, encoder, settings.batch, CAREFUL)]


def _mixed(rng: random.Random, encoder: PreTrainedTokenizerFast, count: int, habits: corpus.Habits) -> list[Example]:
    """A batch of one task and length, both at random."""
    task = rng.choices(list(SHARES), list(SHARES.values()))[0]
    return _batch(rng, encoder, count, task, rng.choice(LENGTHS[task]), habits)


def _batch(
    rng: random.Random, encoder: PreTrainedTokenizerFast, count: int, task: str, parts: int, habits: corpus.Habits
) -> list[Example]:
    turns, responses = [], []
    for _ in range(count):
        plan, item, response = corpus.document(rng, parts, habits, task)
        lead = f"by {plan}:\n" if plan else ""
        turns.append([{"role": "user", "content": lead + TASKS[task].text(item)}])
        responses.append(response + tokenizer.END)
    texts = encoder.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return list(map(Example, encoder(texts)["input_ids"], encoder(responses)["input_ids"]))


def train(settings: WorldBase, machine: Machine, stage: Stage) -> None:
    """Train the model into ``stage.work / "model"``, going on from the last checkpoint after a crash."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    policy.quiet()
    encoder = tokenizer.build()
    torch.manual_seed(derive(settings.seed, "weights"))
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(encoder),
            hidden_size=settings.hidden,
            intermediate_size=3 * settings.hidden,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            num_key_value_heads=settings.heads,
            max_position_embeddings=POSITIONS,
            tie_word_embeddings=True,
            initializer_range=SPREAD,
            pad_token_id=encoder.pad_token_id,
            bos_token_id=None,
            eos_token_id=encoder.eos_token_id,
        )
    ).to(policy.device_of(machine.device))
    _learn(model, encoder, examples(settings), settings, machine, stage)


def train_on(base: Path, settings: WorldTeacher, machine: Machine, stage: Stage) -> None:
    """Train the checkpoint ``base`` on into ``stage.work / "model"``: the teacher."""
    policy.quiet()
    model, encoder = policy.load(base, policy.device_of(machine.device))
    _learn(model.train(), encoder, careful_examples(settings), settings, machine, stage)


def _learn(
    model: Any,
    encoder: Any,
    rows: Sequence[Example],
    settings: WorldBase | WorldTeacher,
    machine: Machine,
    stage: Stage,
) -> None:
    """One pass over ``rows`` as they come; the model and the numbers loss (mean of 50 steps) and parameters."""
    import torch

    from polya_midtrain.training import hooks, sft

    log = sft.fine_tune(
        model,
        encoder,
        rows,
        epochs=1,
        batch=settings.batch,
        micro_batch=settings.batch,
        learning_rate=settings.learning_rate,
        warmup=0.03,
        max_length=POSITIONS,
        keep_order=True,
        arguments=hooks.common(stage.work / "trainer", policy.device_of(machine.device), settings.seed, save_steps=250),
        callbacks=[hooks.Report(lambda done, total: stage.line.update(0, done, total)), *stage.log.callbacks],
    )
    policy.save(model, encoder, stage.work / "model", torch.float32)
    losses = [row["loss"] for row in log if tracking.finite(row.get("loss"))][-50:]
    if losses:
        stage.numbers["loss"] = sum(losses) / len(losses)
    stage.numbers["parameters"] = model.num_parameters()
