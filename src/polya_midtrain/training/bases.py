"""What stages base and teacher share: a model for each base, trained side by side, resumable and tracked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from polya_midtrain.checkpoints import policy
from polya_midtrain.params import Machine, Params
from polya_midtrain.runtime import card, scratch, tracking, workers
from polya_midtrain.runtime.stage import Stage


@dataclass(frozen=True, slots=True)
class One:
    """The training of the model of one base: its ``number``, the scratch folder ``work``, how it reports and logs."""

    number: int
    machine: Machine
    work: Path
    report: workers.Report
    log: tracking.Run

    @property
    def folder(self) -> Path:
        """Where the model goes until the stage publishes it."""
        return self.work / "models" / f"base-{self.number}"


def train_bases(params: Params, this: Stage, train: Callable[[One], dict[str, float]], before: int = 0) -> None:
    """Train the model of every base that an interrupted run has not; the numbers of each go to the stage's.

    ``before``: the stage's tasks that come before them. On a GPU one after the other: what is trained here is small.
    """

    def one(number: int, report: workers.Report) -> dict[str, float]:
        done = this.work / f"trained-{number}.json"
        if not done.exists():
            policy.quiet()
            with tracking.trainer_run(params, stage=this.name, seed=number, inputs_hash=this.key) as log:
                found = train(One(number, params.machine, this.work, report, log))
            scratch.write(done, json.dumps(found))
        return dict(json.loads(done.read_text()))

    def progress(index: int, done: float, total: float, note: str = "") -> None:
        this.line.update(before + index, done, total, note)

    from polya_midtrain.training import sft  # noqa: F401  loaded once, before the workers fork

    count = card.processes(params.machine, len(params.bases), lambda: 0.0, alone=True)
    numbers = list(params.numbers)
    for number, found in zip(numbers, card.run_tasks(one, numbers, params.machine, count, progress), strict=True):
        this.numbers |= {f"base_{number}/{name}": value for name, value in found.items()}


def point_others(params: Params, this: Stage, place: Callable[[int], Path]) -> None:
    """Let a model that others trained, the first base's, stand for every base's."""
    for number in list(params.numbers)[1:]:
        policy.point(this.work / "models" / f"base-{number}", place(1))
