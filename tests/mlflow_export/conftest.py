"""A small study that has run, made up: the outputs of some stages for two arms, and the dvc.lock that names them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.params import Params
from polya_midtrain.runtime import lock, tracking

ROOT = Path(__file__).resolve().parents[2]
ARMS = ("vanilla", "n4")
SEEDS, QUESTIONS, STEPS = (1, 2), 3, 24


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project folder of the study; tests copy it."""
    folder = tmp_path_factory.mktemp("study")
    content = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text(encoding="utf-8"))
    content |= {"seeds": list(SEEDS), "bases": [{}], "arms": {arm: content["arms"][arm] for arm in ARMS}}
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    params = settings.load(folder / "params.yaml")
    fill(folder, params)
    entries = dict(stages(folder, content))
    (folder / lock.LOCK).write_text(
        yaml.safe_dump({"schema": "2.0", "stages": entries}, sort_keys=False), encoding="utf-8"
    )
    return folder


def fill(folder: Path, params: Params) -> None:
    """Write the small outputs: counts, curves, training sets, a table, and a figure."""
    rng = np.random.default_rng(1)
    sets = [*params.questions.benchmarks, *params.questions.transfer]
    samples = params.evaluate.samples
    for level, arm in enumerate(ARMS):
        rows = []
        for phase, seed, name in [(p, s, n) for p in ("before", "after") for s in SEEDS for n in sets]:
            for number in range(QUESTIONS):
                c = int(rng.binomial(samples, 0.02 + 0.05 * level + 0.02 * number))
                cell = {"phase": phase, "seed": seed, "benchmark": name, "question": f"{name}/{number}", "n": samples}
                rows.append(cell | {"c": c, "truncated": number, "no_answer": 0})
        write(folder / paths.COUNTS / f"{arm}.json", {"arm": arm, "samples": samples, "decoding": {}, "rows": rows})
        curve = {
            str(seed): [
                {"step": step, "reward": level / 10 + step / 50 + seed / 100, "entropy": 1 / step, "length": 30.0}
                for step in range(1, STEPS + 1)
            ]
            for seed in SEEDS
        }
        write(folder / paths.CURVES / f"{arm}.json", {"arm": arm, "seeds": curve})
    sizes = {arm: {"rows": 7 * level, "tokens": 90, "questions": 5 * level} for level, arm in enumerate(ARMS)}
    rest = {"questions_asked": 9, "bases": 1, "follow": None, "rows_per_heuristic": {}, "mean_score": None, "wrong": 0}
    cards = {arm: {"arm": arm, **size, **rest, "right": size["rows"]} for arm, size in sizes.items()}
    write(folder / paths.TRAINING_SETS, cards)
    for suffix in ("csv", "md"):
        write(folder / paths.TABLES / f"main.{suffix}", "arm,value\nn4,1\n")
    write(folder / paths.FIGURES / "passk.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")


def stages(folder: Path, content: dict[str, Any]) -> Any:
    """The entries of dvc.lock, in the order of the pipeline, with a made-up hash for what is not small."""
    metrics = {"seconds": 3, **{f"seed_{seed}/reward": 0.5 for seed in SEEDS}}
    training = {"data/train/{}.parquet": None, "models/base": None}
    yield entry(folder, content, "select", ["arms", "select"], {"data/traces/scored.parquet": None}, [
        "data/train", paths.TRAINING_SETS.as_posix()
    ], metrics)  # fmt: skip
    for arm in ARMS:
        for stage, held, deps, outs in (
            ("midtrain", ["arms.{}", "midtrain", "seeds"], training, ["models/midtrain/{}"]),
            ("rl", ["rl", "seeds"], {"data/questions/rl.parquet": None}, ["models/rl/{}", "results/curves/{}.json"]),
            (
                "evaluate",
                ["arms.{}", "evaluate", "seeds"],
                {"data/questions/benchmarks": None, "models/rl/{}": None},
                ["data/completions/{}.parquet", "results/counts/{}.json"],
            ),
        ):
            yield entry(folder, content, f"{stage}@{arm}", held, deps, outs, metrics)
    tables = ["reports/tables/main.csv", "reports/tables/main.md"]
    yield entry(folder, content, "tables@main", ["profile", "tables"], {"results/counts": None}, tables, {"seconds": 0})
    yield entry(folder, content, "figures", ["arms"], {"reports/tables/main.csv": None}, ["reports/figures"], {})


def entry(
    folder: Path,
    content: dict[str, Any],
    name: str,
    held: list[str],
    deps: dict[str, None],
    outs: list[str],
    numbers: dict[str, float],
) -> tuple[str, dict[str, Any]]:
    stage, _, item = name.partition("@")
    option = f" --{'table' if stage == 'tables' else 'arm'} {item}" if item else ""
    metrics = f"results/metrics/{name}.json"
    write(folder / metrics, numbers)
    values = {}
    for setting in held:
        block, _, rest = setting.format(item).partition(".")
        values[setting.format(item)] = content[block][rest] if rest else content[block]
    return name, {
        "cmd": f"polya stage {stage}{option}",
        "deps": [{"path": dep.format(item), "hash": "md5", **hashed(folder, dep.format(item))} for dep in deps],
        "params": {"params.yaml": values},
        "outs": [
            {"path": out.format(item), "hash": "md5", **hashed(folder, out.format(item))} for out in [*outs, metrics]
        ],
    }


def hashed(folder: Path, path: str) -> dict[str, Any]:
    if not (folder / path).exists():
        digest = hashlib.md5(path.encode()).hexdigest()
        return {"md5": digest if path.endswith("parquet") else f"{digest}.dir", "size": 1000}
    digest, size = tracking.dvc_hash(folder / path)
    return {"md5": digest, "size": size}


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
