"""GRPO by trl's GRPOTrainer, rollouts by the study's own engine, rewards by the verifier (paper, method 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polya_midtrain.common.records import Question
from polya_midtrain.common.seeding import derive
from polya_midtrain.engine import Engine, SamplingParams
from polya_midtrain.params import Rl

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

Verify = Callable[[Sequence[tuple[str, str, str]]], list[bool]]


def rollouts(
    engine: Engine, encode: Callable[[Any], list[int]], settings: Rl, seed: int
) -> Callable[[list[Any], Any], dict[str, Any]]:
    """The trainer's rollout function: G completions of each prompt of a step.

    trl hands a prompt over G times in a row; the engine samples it once with n = G, so that it is prefilled once. The
    seed is derived from the training seed and the step, so two training seeds never share a rollout.
    """

    def roll(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        groups = prompts[:: settings.generations]
        encoded = [encode(prompt) for prompt in groups]
        sampling = SamplingParams(
            n=settings.generations,
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
            seed=derive(seed, "rollout", trainer.state.global_step),
        )
        outputs = engine.generate(encoded, sampling)
        return {
            "prompt_ids": [ids for ids in encoded for _ in range(settings.generations)],
            "completion_ids": [output.token_ids for group in outputs for output in group],
            "logprobs": [output.logprobs for group in outputs for output in group],
        }

    return roll


def reward(verify: Verify) -> Callable[..., list[float]]:
    """The only reward: 1 for a completion whose final answer the verifier accepts, else 0."""

    def correctness(completions: list[Any], answer: list[str], kind: list[str], **_: Any) -> list[float]:
        texts = [completion[0]["content"] for completion in completions]
        return [float(right) for right in verify(list(zip(texts, answer, kind, strict=True)))]

    return correctness


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    engine: Engine,
    questions: Sequence[Question],
    conversation: Callable[[str], list[dict[str, str]]],
    encode: Callable[[list[dict[str, str]]], list[int]],
    verify: Verify,
    settings: Rl,
    *,
    seed: int,
    arguments: dict[str, Any],
    callbacks: list[TrainerCallback],
) -> list[dict[str, float]]:
    """Train ``model`` in place over the RL questions and return the log, one record a step."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from polya_midtrain.training import hooks

    rows = settings.prompts * settings.generations  # completions of one optimiser step
    micro = min(settings.micro_batch, rows)
    config = GRPOConfig(
        **arguments,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=rows // micro,
        num_generations=settings.generations,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        beta=settings.beta,
        epsilon=settings.epsilon,
        temperature=settings.temperature,
        max_completion_length=settings.max_tokens,
        loss_type="dapo",
        scale_rewards="group",
    )
    data = [
        {"prompt": conversation(question.question), "answer": question.answer, "kind": question.kind}
        for question in questions
    ]
    trainer = GRPOTrainer(
        model=model,
        args=config,
        reward_funcs=reward(verify),
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer,
        callbacks=callbacks,
        rollout_func=rollouts(engine, encode, settings, seed),
    )
    return hooks.run_trainer(trainer, Path(config.output_dir or ""))
