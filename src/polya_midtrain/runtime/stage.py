"""What every stage does around its science: key its inputs, find its scratch folder, show a line, log a run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.runtime import finished, guard, progress, room, scratch, tracking

PATIENCE, PAUSE = 60.0, 0.1  # seconds to wait for the processes of an interrupted run, and between two looks


@dataclass
class Stage:
    """A running stage: ``work`` survives a crash, ``line`` is its progress, ``log`` its tracked run.

    ``outputs`` maps a name in ``work`` to its place in the project; `stage` publishes them all when the block ends.
    """

    name: str
    key: str
    work: Path
    line: progress.Progress
    log: tracking.Run
    outputs: dict[str, Path] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)


@contextmanager
def stage(
    params: Params,
    name: str,
    *,
    arm: str | None = None,
    outputs: Mapping[str, Path],
    unit: str = "",
    tasks: int = 1,
    seeds: Sequence[int] = (),
) -> Iterator[Stage]:
    """Run a stage's block; if it ends well, publish its outputs and its numbers, else leave everything as it was.

    What dvc.yaml lists for the stage is what the result depends on: it keys the scratch folder (but not how much is
    worked on at a time, so that a run whose memory ran out goes on with less). The numbers (flat, for `dvc metrics
    show`) go to results/metrics/STAGE[@ARM].json and to the tracked run.
    Raises `finished.Again` instead where an interrupted run has left the result: it is published.
    """
    begun = time.monotonic()
    label = name if arm is None else f"{name}@{arm}"
    stage_name, _, item = label.partition("@")
    inputs, made, settings = guard.listed(stage_name, item, params.model_dump(mode="json"))
    key = scratch.hash_inputs([*inputs, *made], room.without(settings))
    folder = label.replace("@", "-")
    with _alone(folder):
        work = scratch.workdir(folder, key)
        if finished.wanted() and finished.there(work):
            write_metrics(label, finished.publish(work))
            raise finished.Again(f"{label}: finished by an interrupted run; its result is taken")
        with (
            tracking.run(params, stage=name, arm=arm, inputs_hash=key) as log,
            progress.stage_line(name, arm=arm, seeds=seeds, unit=unit, tasks=tasks) as line,
        ):
            this = Stage(name, key, work, line, log, dict(outputs))
            with room.enough(name):
                yield this
            this.numbers["seconds"] = round(time.monotonic() - begun)
            finished.note(work, label, this.outputs, this.numbers)
            finished.publish(work)
            for place in this.outputs.values():
                log.pointer(place)
            log.metrics(this.numbers)
            write_metrics(label, this.numbers)
            if not finished.wanted():
                scratch.discard(work)


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Wait until the processes of an interrupted run of the same stage are gone; `UserError` if they stay."""
    for _ in range(int(PATIENCE / PAUSE)):
        with scratch.locked(folder, wait=False) as ours:
            if ours:
                yield
                return
        time.sleep(PAUSE)
    raise UserError(
        f"{scratch.ROOT / folder}.lock: processes of an earlier run still hold it; end them, then run again"
    )


def write_metrics(name: str, numbers: Mapping[str, float]) -> None:
    """results/metrics/NAME.json: a stage's numbers, for `dvc metrics`."""
    paths.METRICS.mkdir(parents=True, exist_ok=True)
    rounded = {key: round(value, 6) for key, value in numbers.items()}
    scratch.write(paths.METRICS / f"{name}.json", json.dumps(rounded, indent=2, sort_keys=True) + "\n")


def read_seconds(folder: Path) -> dict[str, float]:
    """The wall time of each stage of a run, STAGE[@ARM] -> seconds, as its last run left it in the metrics' ``folder``.

    A file without one is left out; one that is not the numbers of a stage is a one-line `UserError`.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            numbers = json.loads(path.read_text(encoding="utf-8"))
            if "seconds" in numbers:
                found[path.stem] = float(numbers["seconds"])
        except (ValueError, TypeError) as error:
            where = f"{path}:{getattr(error, 'lineno', 1)}"
            raise UserError(f"{where}: not the numbers of a stage; delete the file and run `dvc repro`") from error
    return found


def by_stage(spent: Mapping[str, float]) -> dict[str, float]:
    """The same for whole stages: the arms and tables of an expanded stage together."""
    found: dict[str, float] = {}
    for name, seconds in spent.items():
        stage_name = name.partition("@")[0]
        found[stage_name] = found.get(stage_name, 0.0) + seconds
    return found
