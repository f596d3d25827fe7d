"""The embedded policy: a small Llama trained from scratch on the world's corpus."""

from __future__ import annotations

import random

from polya_midtrain import policy
from polya_midtrain.params import Machine, WorldBase
from polya_midtrain.runtime.stage import Stage
from polya_midtrain.seeding import derive
from polya_midtrain.training.sft import Example
from polya_midtrain.world import corpus, problems, tokenizer

LENGTHS = (1, 2, 3, 4)  # parts of a document after the drills
POSITIONS = 160  # longest sequence the model can hold, tokens


def examples(settings: WorldBase) -> list[Example]:
    """The corpus as training sequences, batch after batch of equal length: single-part drills first, then a mixture.

    Drills are a textbook: one part, mostly a named plan, changed for a fitting one half of the time it does not fit.
    They let the model learn each operation, and what fits what, on its own; without them a CPU's minutes teach nothing.
    """
    rng = random.Random(derive(settings.seed, "corpus"))
    encoder = tokenizer.build()
    drills = corpus.Habits(prompted=0.9, switch=0.5)
    rows = []
    for step in range(settings.drill_steps + settings.steps):
        drill = step < settings.drill_steps
        parts = 1 if drill else rng.choice(LENGTHS)
        for _ in range(settings.batch):
            plan, problem, response = corpus.document(rng, parts, drills if drill else corpus.Habits())
            lead = f"by {plan}:\n" if plan else ""
            turn = [{"role": "user", "content": lead + problems.text(problem)}]
            text = encoder.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
            rows.append(Example(encoder(text)["input_ids"], encoder(response + tokenizer.END)["input_ids"]))
    return rows


def train(settings: WorldBase, machine: Machine, stage: Stage) -> None:
    """Train the model into ``stage.work / "model"``, going on from the last checkpoint after a crash."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from polya_midtrain.training import hooks, sft

    policy.quiet()
    device = policy.device_of(machine.device)
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
            pad_token_id=encoder.pad_token_id,
            bos_token_id=None,
            eos_token_id=encoder.eos_token_id,
        )
    ).to(device)
    log = sft.fine_tune(
        model,
        encoder,
        examples(settings),
        epochs=1,
        batch=settings.batch,
        micro_batch=settings.batch,
        learning_rate=settings.learning_rate,
        warmup=0.03,
        max_length=POSITIONS,
        keep_order=True,
        arguments=hooks.common(stage.work / "trainer", device, settings.seed, save_steps=250),
        callbacks=[hooks.Report(lambda done, total: stage.line.update(0, done, total)), *stage.log.callbacks],
    )
    policy.save(model, encoder, stage.work / "model", torch.float32)
    stage.numbers["loss"] = sum(row["loss"] for row in log[-50:] if "loss" in row) / max(
        1, sum("loss" in row for row in log[-50:])
    )
    stage.numbers["parameters"] = model.num_parameters()
