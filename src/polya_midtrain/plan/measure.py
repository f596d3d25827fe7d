"""Seconds a token and tokens an answer, measured here in a minute or two: the base answers and learns a little."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from polya_midtrain import paths
from polya_midtrain.common import heuristics, policy, prompts
from polya_midtrain.common.records import Question, read_records
from polya_midtrain.engine.sampling import Job, sample
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params, Sampling
from polya_midtrain.runtime import card, lock
from polya_midtrain.training import fits

FEW, MORE = 2, 6  # questions (and, for training, batches) of two tries, whose difference holds no time of starting


def measure(params: Params) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds a unit of work, and tokens of a mean answer, of stages that sample and train models/base; `UserError`
    where that is not there, or is of other settings."""
    made = lock.stages(lock.LOCK).get("base") if lock.LOCK.is_file() else None
    if made is None or lock.changed(made, params.model_dump(mode="json")) or not paths.BASE.is_dir():
        raise UserError(f"{paths.BASE}: not the base of these settings; run `dvc repro prompts` with them first")
    policy.quiet()
    rl, asked = params.rl, read_records(paths.RL_QUESTIONS, Question)
    (name,) = heuristics.load(params.prompts.catalogue).first(1)
    decoding = {"temperature": rl.temperature, "max_tokens": rl.max_tokens, "rows": rl.rows}
    rollout = Sampling.model_validate(decoding | {"samples": rl.generations, "top_p": 1.0})
    generated, answer = _sampled(params, read_records(paths.MID, Question), name, params.generate)
    rolled, reply = _sampled(params, asked, None, rollout)
    encoder, device = policy.load_tokenizer(paths.BASE), policy.device_of(params.machine.device)
    prompt = fmean(len(prompts.encode(encoder, prompts.bare(one.question, params.prompts))) for one in asked[:MORE])
    count = card.processes(
        params.machine, len(params.seeds), lambda: fits.midtrain(policy.shape(paths.BASE), params.midtrain)
    )
    side = min(len(params.seeds), count) * params.machine.processes
    learned = _trained(params, round(prompt), round(reply), device) / side  # a token of prompt or answer
    seconds = {"generate": generated, "evaluate": rolled, "midtrain": learned * (1.0 + prompt / answer)}
    seconds["rl"] = (rolled + learned * (1.0 + prompt / reply)) / 2.0  # a unit is a sampled or a learned token
    return seconds, {"generate": answer, "rl": reply, "evaluate": reply}


def _sampled(params: Params, asked: Sequence[Question], name: str | None, decoding: Sampling) -> tuple[float, float]:
    """Seconds a token on all of the machine's workers, and tokens a completion; ``name``: None for a bare question."""
    found = []
    for count in (FEW, MORE):
        each = [(str(place), [asked[place % len(asked)]], place) for place in range(count)]
        jobs = [Job(n, paths.BASE, name or "", one, decoding.samples, seed, name is None) for n, one, seed in each]
        with tempfile.TemporaryDirectory() as folder:
            begun = time.monotonic()
            parts = sample(params, jobs, decoding, Path(folder), lambda *_: None)
            found.append((time.monotonic() - begun, sum(row.tokens for part in parts for row in part)))
    (first, few), (second, many) = found
    return max(second - first, 0.0) / max(many - few, 1), many / MORE / decoding.samples


def _trained(params: Params, prompt: int, answer: int, device: str) -> float:
    """Seconds a token of supervised training in one process."""
    from polya_midtrain.training import hooks, sft

    learn: dict[str, Any] = params.midtrain.model_dump(exclude={"save_steps"}) | {"epochs": 1}
    model, tokenizer = policy.load(paths.BASE, device)
    rows, times = [sft.Example([0] * prompt, [0] * answer)] * params.midtrain.batch, []
    for steps in (FEW, MORE):
        with tempfile.TemporaryDirectory() as folder:
            begun, arguments = time.monotonic(), hooks.common(Path(folder), device, seed=1, save_steps=MORE + 1)
            sft.fine_tune(model, tokenizer, rows * steps, keep_order=True, arguments=arguments, callbacks=[], **learn)
            times.append(time.monotonic() - begun)
    return max(times[1] - times[0], 0.0) / (len(rows) * (MORE - FEW) * min(prompt + answer, params.midtrain.max_length))
