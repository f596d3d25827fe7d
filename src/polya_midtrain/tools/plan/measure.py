"""Seconds a token and tokens an answer, measured here in some minutes: the base answers and learns a little."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.engine.sampling import Job, sample
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params, Sampling
from polya_midtrain.prompting import heuristics, prompts
from polya_midtrain.records import Question, read_records
from polya_midtrain.runtime import card, lock
from polya_midtrain.training import fits


def measure(params: Params) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds a unit of work, and tokens of a mean answer, of stages that sample and train models/base; `UserError`
    where that is not there, or is of other settings."""
    made = lock.stages(lock.LOCK).get("base") if lock.LOCK.is_file() else None
    if made is None or lock.changed(made, params.model_dump(mode="json")) or not paths.base(1).is_dir():
        raise UserError(f"{paths.base(1)}: not the base of these settings; run `dvc repro prompts` with them first")
    policy.quiet()
    asked, device = read_records(paths.RL_QUESTIONS, Question), policy.device_of(params.machine.device)
    encoder, base = policy.load_tokenizer(paths.base(1)), policy.shape(paths.base(1))
    cores = card.processes(params.machine, len(params.runs), lambda: fits.midtrain(base, params.midtrain))
    (name,) = heuristics.load(params.prompts.catalogue).first(1)
    generated, answer = _sampled(params, read_records(paths.MID, Question), name, params.generate, cores)
    rolled, reply = _sampled(params, asked, None, params.evaluate, cores)
    prompt = fmean(len(prompts.encode(encoder, prompts.bare(one.question, params.prompts))) for one in asked[:99])
    learned = _trained(params, prompt, reply, device) / params.machine.processes / min(len(params.runs), cores)
    seconds = {"generate": generated, "evaluate": rolled, "midtrain": learned * (1.0 + prompt / answer)}
    seconds["rl"] = (rolled + learned * (1.0 + prompt / reply)) / 2.0  # a unit is a sampled or a learned token
    return seconds, {"generate": answer, "rl": reply, "evaluate": reply}


def _sampled(params: Params, asked: list[Question], name: str | None, how: Sampling, cores: int) -> tuple[float, float]:
    """Seconds a token on all of the machine's workers, and tokens a completion; ``name``: None for a bare question."""
    found, side, samples = [], cores * params.machine.data_parallel, min(how.samples, how.rows)
    wide = min(len(asked), how.rows // samples)  # questions that fill a batch
    for count in (side, 2 * side):
        parts = [[asked[(place * wide + i) % len(asked)] for i in range(wide)] for place in range(count)]
        jobs = [Job(str(n), paths.base(1), name or "", part, samples, n, name is None) for n, part in enumerate(parts)]
        with tempfile.TemporaryDirectory() as folder:
            begun = time.monotonic()
            rows = sample(params, jobs, how, Path(folder), lambda *_: None)
            found.append((time.monotonic() - begun, sum(row.tokens for part in rows for row in part)))
    return _slope(found), found[1][1] / (2 * side * wide * samples)


def _slope(found: Sequence[tuple[float, float]]) -> float:
    """Seconds a token by two tries of seconds and tokens; of the larger alone where the machine's other work hid it."""
    (first, few), (second, many) = found
    return (second - first) / (many - few) if second > first and many > few else second / many


def _trained(params: Params, prompt: float, answer: float, device: str) -> float:
    """Seconds a token of supervised training in one process."""
    from polya_midtrain.training import hooks, sft

    learn: dict[str, Any] = params.midtrain.model_dump(exclude={"save_steps"}) | {"epochs": 1}
    model, tokenizer = policy.load(paths.base(1), device)
    rows, found = [sft.Example([0] * round(prompt), [0] * round(answer))] * params.midtrain.batch, []
    for steps in (2, 6):
        with tempfile.TemporaryDirectory() as folder:
            begun, arguments = time.monotonic(), hooks.common(Path(folder), device, seed=1, save_steps=99)
            sft.fine_tune(model, tokenizer, rows * steps, keep_order=True, arguments=arguments, callbacks=[], **learn)
            found.append(
                (time.monotonic() - begun, len(rows) * steps * min(prompt + answer, params.midtrain.max_length))
            )
    return _slope(found)
