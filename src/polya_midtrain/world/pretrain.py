"""The embedded policy and its teacher: a small Llama trained from scratch on the world's corpus, and trained on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.params import Habits, WorldBase, WorldTeacher
from polya_midtrain.runtime import tracking
from polya_midtrain.seeding import derive
from polya_midtrain.training.bases import One
from polya_midtrain.training.sft import Example
from polya_midtrain.world import corpus, problems, tokenizer
from polya_midtrain.world.tasks import TASKS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Parts of a document after the drills, by task, and the share of each task.
LENGTHS = {"chain": (1, 2, 3, 4), "program": (1, 2), "story": (1, 2)}
SHARES = {"chain": 0.84, "program": 0.08, "story": 0.08}
POSITIONS = 160  # longest sequence the model can hold, tokens
SPREAD = 0.04  # of the first weights; transformers' own 0.02 is for wide models, and learning starts later from it

DRILLS = Habits(prompted=0.9, latent=0.08, latent_fit=0.7, switch=0.5, stray=0.03)
SHOWN = 0.25  # of the batches of chains: a question that names a plan begins with a worked example of it


def examples(settings: WorldBase, number: int) -> list[Example]:
    """A base's corpus as training sequences, in batches of equal length: single-part drills first, then a mixture.

    Drills are a textbook: one part, mostly a named plan, changed for a fitting one half of the time it does not fit.
    They let the model learn each operation, and what fits what, on its own; without them a CPU's minutes teach nothing.
    """
    rng = random.Random(derive(settings.seed, "corpus", number))
    encoder = tokenizer.build()
    drills = [_batch(rng, encoder, settings.batch, "chain", 1, DRILLS) for _ in range(settings.drill_steps)]
    mixture = [_mixed(rng, encoder, settings.batch, settings.habits) for _ in range(settings.steps)]
    return [row for rows in drills + mixture for row in rows]


def careful_examples(settings: WorldTeacher, number: int) -> list[Example]:
    """What the teacher learns on top of the base: the same mixture of tasks, by writers of other habits."""
    rng = random.Random(derive(settings.seed, "careful", number))
    encoder = tokenizer.build()
    return [row for _ in range(settings.steps) for row in _mixed(rng, encoder, settings.batch, settings.habits)]


def _mixed(rng: random.Random, encoder: PreTrainedTokenizerFast, count: int, habits: Habits) -> list[Example]:
    """A batch of one task and length, with worked examples or without, all at random."""
    task = rng.choices(list(SHARES), list(SHARES.values()))[0]
    shown = task == "chain" and habits.prompted > 0 and rng.random() < SHOWN
    return _batch(rng, encoder, count, task, rng.choice(LENGTHS[task]), habits, shown)


def _batch(
    rng: random.Random,
    encoder: PreTrainedTokenizerFast,
    count: int,
    task: str,
    parts: int,
    habits: Habits,
    shown: bool = False,
) -> list[Example]:
    turns, responses = [], []
    for _ in range(count):
        plan, item, response = corpus.document(rng, parts, habits, task)
        lead = f"by {plan}:\n" if plan else ""
        asked = [{"role": "user", "content": lead + TASKS[task].text(item)}]
        if plan and shown:
            problem, worked = corpus.example(rng, plan)
            first = {"role": "user", "content": lead + problems.text(problem)}
            asked = [first, {"role": "assistant", "content": worked}, *asked]
        turns.append(asked)
        responses.append(response + tokenizer.END)
    texts = encoder.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return list(map(Example, encoder(texts)["input_ids"], encoder(responses)["input_ids"]))


def train(one: One, settings: WorldBase) -> dict[str, float]:
    """Train the model of a base, going on from the last checkpoint after a crash; its numbers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    encoder = tokenizer.build()
    torch.manual_seed(derive(settings.seed, "weights", one.number))
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
    ).to(policy.device_of(one.machine.device))
    return _learn(model, encoder, examples(settings, one.number), settings, one)


def train_on(one: One, settings: WorldTeacher) -> dict[str, float]:
    """Train a base on: its teacher."""
    model, encoder = policy.load(paths.base(one.number), policy.device_of(one.machine.device))
    return _learn(model.train(), encoder, careful_examples(settings, one.number), settings, one)


def _learn(
    model: Any, encoder: Any, rows: Sequence[Example], settings: WorldBase | WorldTeacher, one: One
) -> dict[str, float]:
    """One pass over ``rows`` as they come; the numbers loss (mean of 50 steps) and parameters."""
    import torch

    from polya_midtrain.training import hooks, sft

    device = policy.device_of(one.machine.device)
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
        arguments=hooks.common(one.work / f"trainer-{one.number}", device, settings.seed, save_steps=250),
        callbacks=[hooks.Report(one.report), *one.log.callbacks],
    )
    policy.save(model, encoder, one.folder, torch.float32)
    losses = [row["loss"] for row in log if tracking.finite(row.get("loss"))][-50:]
    found = {"loss": sum(losses) / len(losses)} if losses else {}
    return found | {"parameters": model.num_parameters()}
