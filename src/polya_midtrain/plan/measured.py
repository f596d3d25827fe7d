"""What a finished run recorded of its own size: seconds, tokens, samples and bytes, as far as it still has them.

The folder is a project, or what `polya keep` made of one. Nothing here enters a plan of the same settings: there it
stands beside the plan. A plan of other settings is corrected by it (`corrections`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.plan import power
from polya_midtrain.plan.work import Place
from polya_midtrain.runtime import lock, yamlfile
from polya_midtrain.runtime.stage import read_seconds

LOCKS = ("dvc.lock", "lock.yaml")


@dataclass(frozen=True)
class Measured:
    """A run's settings, and by stage and arm: seconds inside the stage, tokens sampled or learned, and samples or rows.

    ``disk``: bytes of its outputs, by dvc.lock; ``detectable``: by k. Whatever it did not keep is missing. ``changed``:
    settings of params.yaml that are no more those that dvc.lock says were run.
    """

    folder: Path
    params: Params
    seconds: Mapping[Place, float]
    tokens: Mapping[Place, float]
    samples: Mapping[Place, float]
    disk: float | None
    detectable: Mapping[int, float]
    changed: tuple[str, ...]


def read(folder: Path) -> Measured:
    """A finished run's numbers; `UserError` where there are no settings or a file is none of a run's."""
    if not (folder / settings.PARAMS_FILE).is_file():
        raise UserError(
            f"{folder}: no {settings.PARAMS_FILE}, so what was run is not known; name the folder of a whole run"
        )
    params = settings.load(folder / settings.PARAMS_FILE)
    seconds = {_place(name): value for name, value in read_seconds(folder / paths.METRICS).items()}
    tokens: dict[Place, float] = {}
    samples: dict[Place, float] = {}
    for stage in ("generate", "distil"):
        numbers = _json(folder / paths.METRICS / f"{stage}.json")
        for name, target in (("tokens", tokens), ("completions", samples)):
            if name in numbers:
                target[stage, ""] = float(numbers[name])
    if "scored" in (numbers := _json(folder / paths.METRICS / "score.json")):
        samples["score", ""] = float(numbers["scored"])
    cards = _json(folder / paths.TRAINING_SETS)
    for arm in params.arms:
        if arm in cards and params.arms[arm].traces != "none":
            times = params.midtrain.epochs * len(params.seeds)
            tokens["midtrain", arm] = float(cards[arm]["tokens"]) * times
            samples["midtrain", arm] = float(cards[arm]["rows"]) * times
        points = [
            point for curve in _json(folder / paths.CURVES / f"{arm}.json").get("seeds", {}).values() for point in curve
        ]
        if points and all(point.get("length") is not None for point in points):
            step = params.rl.prompts * params.rl.generations
            tokens["rl", arm] = step * sum(point["length"] for point in points)
            samples["rl", arm] = float(step * len(points))
        rows = _json(folder / paths.COUNTS / f"{arm}.json").get("rows", [])
        if rows:
            samples["evaluate", arm] = float(sum(row["n"] for row in rows))
    stages = _lock(folder)
    sizes = [out.get("size", 0) for stage in stages.values() for out in stage.get("outs", [])]
    disk = float(sum(sizes)) if sizes else None
    return Measured(folder, params, seconds, tokens, samples, disk, power.measured(folder), _changed(folder, stages))


def _place(name: str) -> Place:
    stage, _, arm = name.partition("@")
    return stage, arm


def _json(path: Path) -> dict[str, Any]:
    """A file's object; empty where there is no file."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: not a run's numbers; delete the file and run `dvc repro`") from error


def _lock(folder: Path) -> dict[str, Any]:
    """The stages of a run's lock file; none without one."""
    for name in LOCKS:
        if (folder / name).is_file():
            return lock.stages(folder / name)
    return {}


def _changed(folder: Path, stages: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings that the lock file has otherwise than params.yaml."""
    now = yamlfile.content(folder / settings.PARAMS_FILE)
    return tuple(sorted({name for entry in stages.values() for name in lock.changed(entry, now)}))
