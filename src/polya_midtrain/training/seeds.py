"""What midtrain and rl share: one training seed, from a checkpoint to a checkpoint, resumable and tracked."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.params import Params
from polya_midtrain.runtime import card, scratch, tracking, workers
from polya_midtrain.runtime.stage import Stage

TAIL = 5  # steps at the end of a curve whose mean is the final number

Fit = Callable[[Any, Any, dict[str, Any], list[Any]], list[dict[str, Any]]]
"""(model, tokenizer, trainer arguments, callbacks) -> log; trains the model in place.

A value of the log that is no finite number (trl has None for what could not be measured) counts as missing.
"""


@dataclass(frozen=True, slots=True)
class Training:
    """What an arm's stage trains: ``fit_of(seed)`` from the checkpoint ``start(seed)``, saving every ``save_steps``."""

    fit_of: Callable[[int], Fit]
    start: Callable[[int], Path]
    save_steps: int


@dataclass(frozen=True, slots=True)
class Seed:
    """One training seed of an arm in a stage that runs; ``work`` and ``key`` are the stage's."""

    params: Params
    stage: str
    arm: str
    seed: int
    work: Path
    key: str

    @property
    def folder(self) -> Path:
        """Where its checkpoint is put until the stage publishes it."""
        return self.work / "seeds" / f"seed-{self.seed}"


def trained(job: Seed, training: Training, report: workers.Report) -> dict[str, float]:
    """Train one seed unless an interrupted run already did; the final numbers of its curves."""
    record = _record(job.work, job.seed)
    if not record.exists():
        if job.params.machine.spread:
            from polya_midtrain.training import launch

            launch.run(job, report)
        else:
            train(job, training, policy.device_of(job.params.machine.device), report)
    return dict(json.loads(record.read_text())["final"])


def train_all(
    params: Params, arm: str, training: Training, this: Stage, need: Callable[[], float], alone: bool = False
) -> list[dict[str, float]]:
    """Train every seed; the final numbers of each. ``need``, ``alone``: as `card.processes` takes them."""

    def one(seed: int, report: workers.Report) -> dict[str, float]:
        numbers = trained(Seed(params, this.name, arm, seed, this.work, this.key), training, report)
        gc.collect()  # a trainer is a knot of references, and would keep its GPU memory from the next one
        return numbers

    machine = params.machine
    count = card.processes(machine, len(params.runs), need, alone or machine.spread)
    return card.run_tasks(one, params.runs, machine, count, this.line.update)


def train(job: Seed, training: Training, device: str, report: workers.Report, main: bool = True) -> None:
    """Train one seed in this process, or this process's share of it; the ``main`` one saves, tracks and reports."""
    import torch

    from polya_midtrain.training import hooks

    begun = time.monotonic()
    model, tokenizer = policy.load(policy.resolve(training.start(job.seed)), device)
    model.train()
    torch.manual_seed(job.seed)
    folder = job.work / f"trainer-{job.seed}"
    kind = device.partition(":")[0]  # of a launched process its own GPU, cuda:N
    arguments = hooks.common(folder, kind, job.seed, training.save_steps)
    fit = training.fit_of(job.seed)
    if not main:
        fit(model, tokenizer, arguments, [hooks.Report(_ignore)])  # which also says when all of them save
        return
    with tracking.trainer_run(job.params, stage=job.stage, arm=job.arm, seed=job.seed, inputs_hash=job.key) as log:
        curve = fit(model, tokenizer, arguments, [hooks.Report(report), *log.callbacks])
        if hooks.gathered(folder).is_dir():  # the processes held a share of the weights each
            model, _ = policy.load(hooks.gathered(folder), "cpu")
        policy.save(model, tokenizer, job.folder, policy.stored_dtype(paths.base(paths.base_of(job.seed))))
        log.pointer(job.folder, name=Path("models") / job.stage / job.arm / f"seed-{job.seed}")
    numbers = tails(curve) | {"seconds": time.monotonic() - begun}
    scratch.write(_record(job.work, job.seed), json.dumps({"final": numbers, "curve": curve}))


def curves(work: Path, seeds: Sequence[int], names: Mapping[str, str]) -> dict[str, list[dict[str, float | None]]]:
    """Per seed the steps of its curve, with some of the logged quantities under names of ours; None is missing."""
    found = {}
    for seed in seeds:
        points = json.loads(_record(work, seed).read_text())["curve"]
        found[str(seed)] = [
            {"step": point["step"], **{ours: _rounded(point[name]) for name, ours in names.items() if name in point}}
            for point in points
            if any(name in point for name in names)
        ]
    return found


def _record(work: Path, seed: int) -> Path:
    return work / f"curve-{seed}.json"


def _rounded(value: Any) -> float | None:
    return round(value, 6) if tracking.finite(value) else None


def tails(curve: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The mean of each logged quantity over the last steps, and how many values are ``missing`` in all, if any."""
    found: dict[str, list[float | None]] = {}
    for point in curve:
        for name, value in point.items():
            if value is None or isinstance(value, (int, float)):
                found.setdefault(name, []).append(float(value) if tracking.finite(value) else None)
    last = {name: [value for value in values[-TAIL:] if value is not None] for name, values in found.items()}
    missing = sum(value is None for values in found.values() for value in values)
    means = {name: sum(values) / len(values) for name, values in last.items() if values}
    return means | ({"missing": missing} if missing else {})


def final(results: Sequence[dict[str, float]], seeds: Sequence[int], names: Sequence[str]) -> dict[str, float]:
    """Chosen numbers of every seed under flat names, for the stage's metrics file."""
    return {
        f"seed_{seed}/{name}": numbers[name]
        for seed, numbers in zip(seeds, results, strict=True)
        for name in names
        if name in numbers
    }


def _ignore(done: float, total: float) -> None:
    pass
