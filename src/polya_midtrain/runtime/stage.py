"""What every stage does around its science: key its inputs, find its scratch folder, show a line, log a run."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.runtime import progress, scratch, tracking
from polya_midtrain.runtime.clutter import is_clutter

PACKAGE = Path(__file__).resolve().parent.parent


@dataclass
class Stage:
    """A running stage: ``work`` survives a crash, ``line`` is its progress, ``log`` its tracked run.

    ``outputs`` maps a name in ``work`` to its place in the project; `stage` publishes them all when the block ends.
    """

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
    inputs: Sequence[Path] = (),
    settings: Mapping[str, Any],
    outputs: Mapping[str, Path],
    unit: str = "",
    tasks: int = 1,
    seeds: Sequence[int] = (),
) -> Iterator[Stage]:
    """Run a stage's block; if it ends well, publish its outputs and its numbers, else leave everything as it was.

    ``settings`` and ``inputs`` are what the result depends on: with the code they key the scratch folder. The numbers
    (flat, for `dvc metrics show`) go to results/metrics/STAGE[@ARM].json and to the tracked run.
    """
    begun = time.monotonic()
    key = scratch.hash_inputs(inputs, {"settings": settings, "code": code_hash()})
    work = scratch.workdir(name if arm is None else f"{name}-{arm}", key)
    with (
        tracking.run(params, stage=name, arm=arm, inputs_hash=key) as log,
        progress.stage_line(name, arm=arm, seeds=seeds, unit=unit, tasks=tasks) as line,
    ):
        this = Stage(key, work, line, log, dict(outputs))
        yield this
        for source, place in this.outputs.items():
            scratch.publish(work / source, place)
            log.pointer(place)
        scratch.discard(work)
        this.numbers["seconds"] = round(time.monotonic() - begun)
        log.metrics(this.numbers)
        write_metrics(name if arm is None else f"{name}@{arm}", this.numbers)


def write_metrics(name: str, numbers: Mapping[str, float]) -> None:
    """results/metrics/NAME.json: a stage's numbers, for `dvc metrics`."""
    paths.METRICS.mkdir(parents=True, exist_ok=True)
    rounded = {key: round(value, 6) for key, value in numbers.items()}
    (paths.METRICS / f"{name}.json").write_text(json.dumps(rounded, indent=2, sort_keys=True) + "\n")


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


def code_hash() -> str:
    """Hash of the package's modules: half-done work of older code is never resumed by newer code."""
    digest = hashlib.sha256()
    for path in sorted(path for path in PACKAGE.rglob("*.py") if not is_clutter(path.relative_to(PACKAGE))):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
