"""Rollouts for GRPO: by the study's own engine, or by vLLM as trl runs it, beside the trainer or as a server.

Without vLLM the engine samples the very model that is trained. With it trl copies the weights over after each step,
and vLLM's probabilities differ a little from the trainer's. trl then weighs each token by the ratio of the two; its
default drops whole sequences whose ratio is large, which favours short ones (trl issue 4772). Here tokens' ratios are
capped instead, and the share of capped tokens is logged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from torch.utils.data import Sampler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from polya_midtrain.checkpoints import policy
from polya_midtrain.engine import Engine, SamplingParams
from polya_midtrain.params import Machine, Rl
from polya_midtrain.seeding import derive
from polya_midtrain.training import fits

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CAP = 3.0  # of the ratio of a token's probability in the trainer to that in vLLM; trl's default
Encode = Callable[[Any], list[int]]
_started: dict[str, Any] = {}  # the vLLM of this process, by its settings


@dataclass
class Rollouts:
    """How GRPO gets its completions: settings for ``GRPOConfig``, and trl's ``rollout_func`` or, where trl itself asks
    for them, what makes a callback of the trainer. ``beside``: what of them is on the trainer's GPU."""

    config: dict[str, Any] = field(default_factory=dict)
    function: Callable[[list[Any], Any], dict[str, Any]] | None = None
    callback: Callable[[Any], TrainerCallback] | None = None
    beside: fits.Rollouts = "none"


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
        roll = rollouts(by_the_model(model, tokenizer, settings.rows), encode, settings, seed)
        return Rollouts(function=roll, beside="engine")
    config = {
        "use_vllm": True,
        "vllm_max_model_length": settings.max_prompt_tokens + settings.max_tokens,
        "vllm_importance_sampling_mode": "token_truncate",
        "vllm_importance_sampling_clip_max": CAP,
    }
    if machine.server is not None:
        config |= {"vllm_mode": "server", "vllm_server_base_url": machine.server}
        return Rollouts(config, callback=partial(SeedEveryStep, seed))
    share = fits.rollout_memory(model, machine.rollout_memory)
    config |= {"vllm_mode": "colocate", "vllm_gpu_memory_utilization": share}
    config |= {"vllm_enable_sleep_mode": True}  # its share of the GPU is the trainer's during the update
    return Rollouts(config, rollouts(beside_the_trainer, encode, settings, seed), beside="vllm")


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
            texts=False,
        )
        outputs = engine_of(trainer).generate(encoded, sampling)
        return {
            "prompt_ids": [ids for ids in encoded for _ in range(settings.generations)],
            "completion_ids": [output.token_ids for group in outputs for output in group],
            "logprobs": [output.logprobs for group in outputs for output in group],
        }

    return roll


def by_the_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: int) -> Callable[[Any], Engine]:
    """The engine on the model that is trained, or on a whole copy of it whose weights are renewed at each step.

    A trainer in mixed precision keeps float32 weights: their copy is in bfloat16, the format that it computes in. Where
    processes hold a share of the weights each (FSDP), they would have to meet at each token, and they sample different
    prompts for different times. So each gathers the whole weights, and samples them alone.
    """
    import torch

    from polya_midtrain.engine.transformers_engine import TransformersEngine

    engines = {False: TransformersEngine(model, tokenizer, rows)}

    def engine_of(trainer: Any) -> Engine:
        apart = bool(trainer.args.bf16 or trainer.is_fsdp_enabled)
        if apart:
            if apart not in engines:
                dtype = torch.bfloat16 if trainer.args.bf16 else torch.float32
                copy = policy.empty_copy(model, trainer.accelerator.device, dtype)
                engines[apart] = TransformersEngine(copy, tokenizer, rows)
            gather(trainer.model, engines[apart].model)
        return engines[apart]

    return engine_of


def gather(trained: Any, whole: Any) -> None:
    """Copy weights into a whole model; where processes hold shares of them, all have to call this."""
    import torch
    from torch.distributed.tensor import DTensor

    places = dict(whole.named_parameters())
    with torch.no_grad():
        for name, value in trained.named_parameters():
            places[name].copy_(value.full_tensor() if isinstance(value, DTensor) else value)


def beside_the_trainer(trainer: Any) -> Engine:
    """The engine on the vLLM that trl runs in the trainer's process, to which it has just copied the weights.

    It sleeps between rollouts: what trl does around its own sampling is done here around ours.
    """
    from polya_midtrain.engine.vllm_engine import VllmEngine

    beside = trainer.vllm_generation

    class Woken(VllmEngine):
        def generate(self, *arguments: Any, **more: Any) -> Any:
            if beside._llm_weights_sleeping:
                beside.sync_weights()
            beside.llm.wake_up(tags=["kv_cache"])
            try:
                return super().generate(*arguments, **more)
            finally:
                beside.llm.sleep(level=2)  # weights are forgotten: the next step brings its own
                beside._llm_weights_sleeping = True

    return Woken(beside.llm)


@contextmanager
def one_vllm() -> Iterator[None]:
    """Trainers that are made here, one after the other, have one vLLM beside them, whose start takes a minute and whose
    share of the GPU would stay taken. trl writes the weights of each into it before it samples."""
    from trl.generation import vllm_generation

    start = vllm_generation.LLM

    def kept(model: str, **settings: Any) -> Any:
        wanted = repr(sorted(settings.items()))
        if wanted not in _started:
            _started[wanted] = start(model=model, **settings)
        return _started[wanted]

    vllm_generation.LLM = kept
    try:
        yield
    finally:
        vllm_generation.LLM = start


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
