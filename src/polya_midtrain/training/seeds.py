"""What midtrain and rl share: one training seed, from a checkpoint to a checkpoint, resumable and tracked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polya_midtrain import paths
from polya_midtrain.common import policy
from polya_midtrain.params import Params
from polya_midtrain.runtime import tracking, workers
from polya_midtrain.runtime.stage import Stage

TAIL = 5  # steps at the end of a curve whose mean is the final number

Fit = Callable[[Any, Any, dict[str, Any], list[Any]], list[dict[str, float]]]
"""(model, tokenizer, trainer arguments, callbacks) -> log; trains the model in place."""


@dataclass(frozen=True, slots=True)
class Seed:
    """One training seed of an arm in a running stage."""

    params: Params
    stage: str
    arm: str
    seed: int
    this: Stage

    @property
    def folder(self) -> Path:
        """Where its checkpoint is put until the stage publishes it."""
        return self.this.work / "seeds" / f"seed-{self.seed}"


def trained(job: Seed, start: Path, device: str, save_steps: int, report: workers.Report, fit: Fit) -> dict[str, float]:
    """Train one seed from ``start`` unless an interrupted run already did; the final numbers of its curves."""
    import torch

    from polya_midtrain.training import hooks

    record = _record(job.this, job.seed)
    if record.exists():
        return dict(json.loads(record.read_text())["final"])
    begun = time.monotonic()
    model, tokenizer = policy.load(policy.resolve(start), device)
    model.train()
    torch.manual_seed(job.seed)
    folder = job.this.work / f"trainer-{job.seed}"
    with tracking.trainer_run(job.params, stage=job.stage, arm=job.arm, seed=job.seed, inputs_hash=job.this.key) as log:
        curve = fit(
            model,
            tokenizer,
            hooks.common(folder, device, job.seed, save_steps),
            [hooks.Report(report), *log.callbacks],
        )
        policy.save(model, tokenizer, job.folder, policy.stored_dtype(paths.BASE))
        log.pointer(job.folder, name=Path("models") / job.stage / job.arm / f"seed-{job.seed}")
    numbers = tails(curve) | {"seconds": time.monotonic() - begun}
    record.write_text(json.dumps({"final": numbers, "curve": curve}))
    return numbers


def curves(this: Stage, seeds: Sequence[int], names: Mapping[str, str]) -> dict[str, list[dict[str, float]]]:
    """Per seed the steps of its curve, with some of the logged quantities under names of ours."""
    found = {}
    for seed in seeds:
        points = json.loads(_record(this, seed).read_text())["curve"]
        found[str(seed)] = [
            {"step": point["step"], **{ours: round(point[name], 6) for name, ours in names.items() if name in point}}
            for point in points
            if any(name in point for name in names)
        ]
    return found


def _record(this: Stage, seed: int) -> Path:
    return this.work / f"curve-{seed}.json"


def tails(curve: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each logged quantity over the last steps."""
    found: dict[str, list[float]] = {}
    for point in curve:
        for name, value in point.items():
            if isinstance(value, (int, float)):
                found.setdefault(name, []).append(float(value))
    return {name: sum(values[-TAIL:]) / len(values[-TAIL:]) for name, values in found.items()}


def final(results: Sequence[dict[str, float]], seeds: Sequence[int], names: Sequence[str]) -> dict[str, float]:
    """Chosen numbers of every seed under flat names, for the stage's metrics file."""
    return {
        f"seed_{seed}/{name}": numbers[name]
        for seed, numbers in zip(seeds, results, strict=True)
        for name in names
        if name in numbers
    }
