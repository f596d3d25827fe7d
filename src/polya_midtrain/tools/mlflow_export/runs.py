"""The runs that a store should have of what the pipeline has made: one a stage, and one a trained policy.

A policy is what an arm and a training seed led to before or after RL. Its run is the one to compare: it holds pass@k,
the curves of its RL with their steps, the settings of all stages that made it, and pointers to its weights.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polya_midtrain import paths
from polya_midtrain.params import Params
from polya_midtrain.results.counts import CountFile, CountRow
from polya_midtrain.results.curves import Curves
from polya_midtrain.results.training_sets import TrainingSet, TrainingSets
from polya_midtrain.runtime import mlflow_store, tracking
from polya_midtrain.runtime.mlflow_store import Record
from polya_midtrain.science.passk import pass_at_k
from polya_midtrain.tools.mlflow_export.outputs import Made

STEPS = {"before": ("midtrain",), "after": ("midtrain", "rl")}  # the stages that train a policy
WEIGHTS = {"before": paths.MIDTRAIN, "after": paths.RL}


@dataclass(frozen=True)
class Wanted:
    """A run as it should be: what `Record` holds, the data sets that it read, and small files to keep with it."""

    record: Record
    inputs: tuple[tuple[str, str, str], ...] = ()  # path, digest, "training" or "evaluation"
    files: tuple[Path, ...] = field(default=())


def wanted(made: Mapping[str, Made], params: Params, commit: str) -> Iterator[Wanted]:
    """The run of each stage, and those of the policies of each stage evaluate whose training is known."""
    for stage in made.values():
        yield _stage(stage, params.profile, commit)
    for stage in made.values():
        if stage.stage == "evaluate" and all(f"{step}@{stage.arm}" in made for step in STEPS["after"]):
            yield from _policies(stage, made, params, commit)


def _stage(made: Made, profile: str, commit: str) -> Wanted:
    outs = {f"out:{path}": mlflow_store.pointer(*held) for path, held in made.outs.items()}
    tags = {"profile": profile, "stage": made.stage, "arm": made.arm, "git_commit": commit, "dvc_hash": made.hash}
    record = _record(made, made.name.replace("@", " ") if made.arm else made.name, tags | outs)
    record.params = _flat(made)
    record.metrics = [(tracking.metric_name(name), value, made.end, 0) for name, value in made.numbers.items()]
    context = "evaluation" if made.stage in ("evaluate", "compose", "modes") else "training"
    inputs = tuple((path, md5, context) for path, (md5, _) in made.inputs.items() if path.startswith("data/"))
    return Wanted(record, inputs, made.files)


def _policies(made: Made, made_by: Mapping[str, Made], params: Params, commit: str) -> Iterator[Wanted]:
    """The policies that a stage evaluate has asked, by phase and seed in the order of its counts."""
    arm = str(made.arm)
    file = CountFile.of(paths.COUNTS, arm)
    rows: dict[tuple[str, int], dict[str, list[CountRow]]] = {}
    for row in file.rows:
        rows.setdefault((row.phase, row.seed), {}).setdefault(row.benchmark, []).append(row)
    curves = Curves.of(paths.CURVES, arm).seeds
    cards: dict[str, TrainingSet] = {}
    if "select" in made_by:
        cards = TrainingSets.read(paths.TRAINING_SETS).root
    for (phase, seed), asked in rows.items():
        steps = [made_by[f"{step}@{arm}"] for step in STEPS[phase]]
        weights = (WEIGHTS[phase] / arm).as_posix()
        tags = {
            "profile": params.profile,
            "stage": "evaluate",
            "arm": arm,
            "phase": phase,
            "seed": str(seed),
            "git_commit": commit,
            "dvc_hash": _digest("".join(one.hash for one in [*steps, made])),
            f"out:{weights}": mlflow_store.pointer(*steps[-1].outs[weights]),
            "weights": f"{weights}/seed-{seed}",
        }
        record = _record(made, f"{arm} {phase} RL, seed {seed}", tags)
        for one in [*steps, made]:
            record.params |= _flat(one)
        numbers = _scores(asked, file.samples, params)
        if arm in cards:
            sizes = {name: getattr(cards[arm], name) for name in ("rows", "tokens", "questions")}
            numbers |= {f"training_set/{name}": size for name, size in sizes.items()}
        for one in steps:
            lead = f"seed_{seed}/"
            final = {name.removeprefix(lead): value for name, value in one.numbers.items() if name.startswith(lead)}
            numbers |= {f"{one.stage}/final_{name}": value for name, value in final.items()}
        record.metrics = [(tracking.metric_name(name), float(value), made.end, 0) for name, value in numbers.items()]
        record.metrics += [("pass_at_k", numbers[f"pass_at_{k}"], made.end, k) for k in params.tables.ks]
        if phase == "after":
            for point in curves.get(str(seed), []):
                drawn = {name: value for name, value in point.items() if name != "step"}
                record.metrics += [
                    (name, math.nan if value is None else float(value), made.end, int(point["step"] or 0))
                    for name, value in drawn.items()
                ]
        inputs = {
            path: (md5, "training" if one in steps else "evaluation")
            for one in [made, *steps]
            for path, (md5, _) in one.inputs.items()
            if path.startswith("data/")
        }
        yield Wanted(record, tuple((path, *held) for path, held in inputs.items()))


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _scores(asked: Mapping[str, list[CountRow]], samples: int, params: Params) -> dict[str, float]:
    """pass@k as the tables have it: the mean over benchmarks, at both ends of k each of them and the transfer sets;
    and the shares of samples that were cut off or have no answer.
    """
    found: dict[str, float] = {}
    means = params.tables.averaged([name for name in params.questions.benchmarks if name in asked])
    ends = {min(params.tables.ks), max(params.tables.ks)}
    for k in params.tables.ks:
        shares = {name: float(pass_at_k([row.c for row in rows], samples, k).mean()) for name, rows in asked.items()}
        found[f"pass_at_{k}"] = float(np.mean([shares[name] for name in means]))
        if k in ends:
            found |= {f"pass_at_{k}/{name}": share for name, share in shares.items()}
    for rate in ("truncated", "no_answer"):
        found[rate] = float(np.mean([np.mean([getattr(row, rate) / row.n for row in asked[name]]) for name in means]))
    return found


def _record(made: Made, name: str, tags: Mapping[str, str | None]) -> Record:
    held = {"study": mlflow_store.EXPERIMENT, **tags, "origin": "outputs"}
    start = made.end - int(1000 * made.numbers.get("seconds", 0))
    return Record(
        name, {key: value for key, value in held.items() if value}, {}, start, status="FINISHED", end=made.end
    )


def _flat(made: Made) -> dict[str, str]:
    """The settings under dotted names; those of the arm itself under the same names in every arm."""

    def walk(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            for key, item in value.items():
                yield from walk(f"{prefix}.{key}", item)
        else:
            yield prefix, str(value)

    own = f"arms.{made.arm}"
    return {
        name: value
        for block, held in made.settings.items()
        for name, value in walk("arm" if block == own else block, held)
    }
