"""GRPO by trl's GRPOTrainer, rollouts as training.rollouts gives them, rewards by the verifier (paper, method 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polya_midtrain.params import Rl
from polya_midtrain.records import Question
from polya_midtrain.training.rollouts import Rollouts, capped, one_vllm

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

Verify = Callable[[Sequence[tuple[str, str, str]]], list[bool]]


def reward(verify: Verify) -> Callable[..., list[float]]:
    """The only reward: 1 for a completion whose final answer the verifier accepts, else 0."""

    def correctness(completions: list[Any], answer: list[str], kind: list[str], **_: Any) -> list[float]:
        texts = [completion[0]["content"] for completion in completions]
        return [float(right) for right in verify(list(zip(texts, answer, kind, strict=True)))]

    return correctness


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rollouts: Rollouts,
    questions: Sequence[Question],
    conversation: Callable[[Question], list[dict[str, str]]],
    verify: Verify,
    settings: Rl,
    *,
    arguments: dict[str, Any],
    callbacks: list[TrainerCallback],
) -> list[dict[str, Any]]:
    """Train ``model`` in place over the RL questions and return the log, one record a step."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from polya_midtrain.engine.vllm_engine import starting
    from polya_midtrain.training import fits, hooks

    length = settings.max_prompt_tokens + settings.max_tokens
    batch = fits.arguments(
        model, settings.prompts * settings.generations, length, settings.micro_batch, rollouts.beside
    )
    config = GRPOConfig(
        **arguments | batch,
        num_train_epochs=settings.epochs,
        num_generations=settings.generations,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        beta=settings.beta,
        epsilon=settings.epsilon,
        temperature=settings.temperature,
        max_completion_length=settings.max_tokens,
        loss_type="dapo",
        scale_rewards="group",
        **rollouts.config,
    )
    data = [
        {"prompt": conversation(question), "answer": question.answer, "kind": question.kind} for question in questions
    ]
    with ExitStack() as around:
        if rollouts.beside == "vllm":
            around.enter_context(starting("beside the trainer", "machine.rollout_memory", named="memory"))
            around.enter_context(one_vllm())
        trainer = capped(GRPOTrainer)(
            model=model,
            args=hooks.on_one_gpu(config),
            reward_funcs=reward(verify),
            train_dataset=Dataset.from_list(data),
            processing_class=tokenizer,
            callbacks=callbacks,
            rollout_func=rollouts.function,
        )
    if rollouts.callback is not None:
        trainer.add_callback(rollouts.callback(trainer))
    return hooks.run_trainer(trainer, Path(config.output_dir or ""))
