"""Rollouts for GRPO: by the study's own engine, or by vLLM as trl runs it, beside the trainer or as a server.

Without vLLM the engine samples the very model that is trained. With it trl copies the weights over after each step,
and vLLM's probabilities differ a little from the trainer's. trl then weighs each token by the ratio of the two; its
default drops whole sequences whose ratio is large, which favours short ones (trl issue 4772). Here tokens' ratios are
capped instead, and the share of capped tokens is logged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from torch.utils.data import Sampler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from polya_midtrain.common.seeding import derive
from polya_midtrain.engine import Engine, SamplingParams
from polya_midtrain.params import Machine, Rl

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CAP = 3.0  # of the ratio of a token's probability in the trainer to that in vLLM; trl's default
Encode = Callable[[Any], list[int]]


@dataclass
class Rollouts:
    """How GRPO gets its completions: settings for ``GRPOConfig``, and trl's ``rollout_func`` or, where trl itself asks
    for them, what makes a callback of the trainer."""

    config: dict[str, Any] = field(default_factory=dict)
    function: Callable[[list[Any], Any], dict[str, Any]] | None = None
    callback: Callable[[Any], TrainerCallback] | None = None


def plan(
    machine: Machine,
    settings: Rl,
    seed: int,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    encode: Encode,
) -> Rollouts:
    """The rollouts that a machine's settings ask for."""
    if machine.engine == "transformers":
        return Rollouts(function=rollouts(by_the_model(model, tokenizer, settings.rows), encode, settings, seed))
    config = {
        "use_vllm": True,
        "vllm_max_model_length": settings.max_prompt_tokens + settings.max_tokens,
        "vllm_importance_sampling_mode": "token_truncate",
        "vllm_importance_sampling_clip_max": CAP,
    }
    if machine.server is not None:
        config |= {"vllm_mode": "server", "vllm_server_base_url": machine.server}
        return Rollouts(config, callback=partial(SeedEveryStep, seed))
    config |= {"vllm_mode": "colocate", "vllm_gpu_memory_utilization": machine.rollout_memory}
    return Rollouts(config, rollouts(beside_the_trainer, encode, settings, seed))


def rollouts(
    engine_of: Callable[[Any], Engine], encode: Encode, settings: Rl, seed: int
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
        outputs = engine_of(trainer).generate(encoded, sampling)
        return {
            "prompt_ids": [ids for ids in encoded for _ in range(settings.generations)],
            "completion_ids": [output.token_ids for group in outputs for output in group],
            "logprobs": [output.logprobs for group in outputs for output in group],
        }

    return roll


def by_the_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: int) -> Callable[[Any], Engine]:
    """The engine on the model that is trained, or, where processes hold a share of it each (FSDP), on a whole copy.

    The shares' owners would have to meet at each token, and they sample different prompts for different times. So each
    process gathers the whole weights once a step, and samples them alone.
    """
    import transformers

    from polya_midtrain.engine.transformers_engine import TransformersEngine

    engines = {False: TransformersEngine(model, tokenizer, rows)}

    def engine_of(trainer: Any) -> Engine:
        shared = bool(trainer.is_fsdp_enabled)
        if shared:
            if shared not in engines:
                copy = transformers.AutoModelForCausalLM.from_config(model.config).to(trainer.accelerator.device)
                copy.generation_config = model.generation_config
                engines[shared] = TransformersEngine(copy.eval(), tokenizer, rows)
            gather(trainer.model, engines[shared].model)
        return engines[shared]

    return engine_of


def gather(shares: Any, whole: Any) -> None:
    """Copy weights that processes hold in shares into a whole model of each; all processes have to call this."""
    import torch
    from torch.distributed.tensor import DTensor

    places = dict(whole.named_parameters())
    with torch.no_grad():
        for name, value in shares.named_parameters():
            places[name].copy_(value.full_tensor() if isinstance(value, DTensor) else value)


def beside_the_trainer(trainer: Any) -> Engine:
    """The engine on the vLLM that trl runs in the trainer's process, to which it has just copied the weights."""
    from polya_midtrain.engine.vllm_engine import VllmEngine

    return VllmEngine(trainer.vllm_generation.llm)


class SeedEveryStep(TrainerCallback):
    """Gives each step's requests to a vLLM server a seed: trl sends none of its own (trl issue 7040)."""

    def __init__(self, seed: int, trainer: Any) -> None:
        self.seed, self.trainer = seed, trainer

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        wanted = {"seed": derive(self.seed, "rollout", state.global_step)}
        self.trainer.vllm_generation.generation_kwargs = wanted


class ByEpoch(Sampler):
    """trl's order of the questions, drawn for each epoch from the seed and the epoch.

    trl draws the orders of all epochs from one generator, which a resumed training begins anew: it would ask the
    questions of its epoch in the order of the first one. The first epoch's order is trl's.
    """

    def __init__(self, sampler: Any, trainer: Any) -> None:
        self.sampler, self.trainer = sampler, trainer

    def __iter__(self) -> Iterator[int]:
        steps = max(1, self.sampler.num_samples // self.sampler.batch_size)
        epoch = self.trainer.state.global_step // steps
        seed = self.sampler.seed
        self.sampler.generator.manual_seed(derive(seed, "order", epoch) if epoch else seed)
        return iter(self.sampler)

    def __len__(self) -> int:
        return len(self.sampler)


def capped(trainer_class: Any) -> Any:
    """trl's GRPOTrainer with its questions `ByEpoch`; it also logs the share of tokens whose ratio was capped."""

    class Trainer(trainer_class):
        def _get_train_sampler(self, dataset: Any = None) -> ByEpoch:
            return ByEpoch(super()._get_train_sampler(dataset), self)

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            output = super()._generate_and_score_completions(inputs)
            ratio = output.get("importance_sampling_ratio")
            if ratio is not None:
                share = (ratio[output["completion_mask"].bool()] >= CAP).float().mean()
                found = self.accelerator.gather(share).mean().item()
                self._metrics["train"]["sampling/capped_share"].append(found)
            return output

    return Trainer
