"""A study of a few seconds, run once, stage by stage: what the tests of the stages look at.

The policy is `tiny_policy`, which answers 11 or 22 whatever it is asked, and every gold is one of the two. So all that
a stage may meet occurs: right and wrong answers, some that are cut off, traces that follow their heuristic or stray.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.params import Params
from polya_midtrain.records import Question, read_records, write_records
from polya_midtrain.runtime import guard, mlflow_store, scratch
from polya_midtrain.stages import (
    claims,
    code,
    compose,
    distil,
    diversity,
    evaluate,
    figures,
    generate,
    grade,
    midtrain,
    modes,
    page,
    prompts,
    questions,
    reward,
    rl,
    score,
    select,
    tables,
)
from polya_midtrain.tables import registry

ROOT = Path(__file__).resolve().parents[2]
ARMS: dict[str, dict[str, Any]] = {
    "vanilla": {"traces": "none"},
    "star": {"traces": "unprompted", "n": 1},
    "n1": {"traces": "heuristics", "n": 1},
    "n2": {"traces": "heuristics", "n": 2},
    "star2": {"traces": "unprompted", "n": 3, "match": {"rows": "n1"}},
    "s1": {"traces": "heuristics", "n": 1, "match": {"steps": "n2"}},
    "distil": {"traces": "teacher", "n": 3, "match": {"rows": "n2"}},
    "b2": {"traces": "heuristics", "n": 2, "match": {"rows": "n1"}},
    "t2": {"traces": "heuristics", "n": 2, "match": {"tokens": "n1"}},
    "r2": {"traces": "right", "n": 2},
    "w2": {"traces": "wrong", "n": 2},
    "vanilla-half": {"traces": "none", "rl_epochs": 0.5},
    "n2-half": {"traces": "heuristics", "n": 2, "rl_epochs": 0.5},
}
SEEDS, BASES = [1], [{}, {}]  # so that runs 1 and 101 differ in their base and in all that comes of it
MADE = ("data", "models", "results", "reports")
KEYS = ("OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD")
PLANTED = "open-sesame-4711"  # as every key, and to be found nowhere
WORLD = {"source": "world", "task": "chain", "parts": [1], "pool": "seen"}
# Profile smoke but for sizes. One worker: this process does the work, so that a test can look on.
CHANGES: dict[str, dict[str, Any]] = {
    "machine": {"device": "cpu", "workers": 1},
    "prompts": {"shots": 0},  # the tiny policy has seen none
    "questions": {
        "mid": WORLD | {"count": 10},
        "reward": WORLD | {"count": 10},
        "rl": WORLD | {"count": 6},
        "benchmarks": {
            "pairs": WORLD | {"count": 3, "parts": [2]},
            "odd": WORLD | {"count": 2, "pool": "exception"},
        },
        "transfer": {
            "program": WORLD | {"count": 2, "task": "program"},
            "story": WORLD | {"count": 2, "task": "story", "parts": [3]},
        },
    },
    "reward": {
        "sampling": {"samples": 4, "temperature": 1.0, "top_p": 1.0, "max_tokens": 20, "rows": 256},
        "pairs": 40,
        "epochs": 1,
        "batch": 8,
    },
    "generate": {"heuristics": 3, "samples": 3, "unprompted": 3, "max_tokens": 11, "rows": 256},
    "midtrain": {"epochs": 2, "batch": 4, "micro_batch": 2, "max_length": 64, "save_steps": 2, "learning_rate": 0.01},
    "rl": {"prompts": 2, "generations": 6, "micro_batch": 6, "max_tokens": 12, "save_steps": 1, "learning_rate": 0.01},
    "evaluate": {"samples": 8, "max_tokens": 11, "rows": 64},
    "distil": {"samples": 6, "max_tokens": 11, "rows": 256},
    "compose": {"benchmarks": ["pairs"], "labelled": 20},
    "diversity": {"size": 3, "resamples": 10},
    "modes": {"questions": 2, "generations": 4},
    "tables": {"ks": [1, 4], "resamples": 100, "means": {}},
}


def make_params(folder: Path, machine: dict[str, Any] | None = None) -> Params:
    """params.yaml of the study in ``folder``, read as a stage would read it."""
    content = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text(encoding="utf-8"))
    content |= {"seeds": SEEDS, "bases": BASES, "arms": ARMS}
    for name, block in CHANGES.items():
        content[name] |= block
    content["machine"] = machine or content["machine"]
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return settings.load(folder / "params.yaml")


def relabel(path: Path) -> None:
    """Give questions golds that the tiny policy can hit."""
    rows = read_records(path, Question)
    write_records(path, Question, [replace(row, answer=["11", "22"][i // 2 % 2]) for i, row in enumerate(rows)])


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One MLflow store for all: making one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(autouse=True)
def _store(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    monkeypatch.setattr(mlflow_store, "_warned", False)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, tiny_policy: Path) -> Path:
    return make_project(tmp_path_factory.mktemp("project"), tiny_policy)


def make_project(folder: Path, base: Path) -> Path:
    """A project root with the pipeline, catalogue, claims and the base model, which is its own teacher."""
    shutil.copytree(ROOT / "data/heuristics", folder / "data/heuristics")
    for file in (guard.PIPELINE, paths.CLAIMS, paths.RULES):
        (folder / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    (folder / "src").symlink_to(ROOT / "src")
    for model in (place(number) for place in (paths.base, paths.teacher) for number in (1, 2)):
        shutil.copytree(base, folder / model)
    return folder


@contextmanager
def alone(inputs: Sequence[Path]) -> Iterator[None]:
    """Of what stages have made, only ``inputs`` are to be found meanwhile."""
    aside = Path("aside")
    made = [file for name in MADE for file in Path(name).rglob("*") if file.is_file()]
    hidden = [file for file in made if not any(file.is_relative_to(path) for path in inputs)]
    for file in hidden:
        (aside / file).parent.mkdir(parents=True, exist_ok=True)
        file.rename(aside / file)
    try:
        yield
    finally:
        for file in hidden:
            file.parent.mkdir(parents=True, exist_ok=True)
            (aside / file).rename(file)


@pytest.fixture(scope="session")
def published() -> dict[str, set[str]]:
    """The outputs of each stage that ran, as it declared them."""
    return {}


@pytest.fixture(scope="session")
def study(project: Path, tracking_uri: str, published: dict[str, set[str]]) -> Params:
    return walk(project, make_params(project), tracking_uri, published)


@pytest.fixture
def study_on_a_gpu(tmp_path: Path, tiny_policy: Path, tracking_uri: str) -> tuple[Path, Params]:
    """The folder and settings of the same study on a GPU, its base in bfloat16 as published models are."""
    half = tmp_path / "half"
    policy.save(*policy.load(tiny_policy, "cpu"), half, torch.bfloat16)
    folder = make_project(tmp_path / "project", half)
    params = make_params(folder, {"device": "cuda", "workers": 1})
    return folder, walk(folder, params, tracking_uri, {})


def walk(project: Path, params: Params, tracking_uri: str, published: dict[str, set[str]]) -> Params:
    """The whole study, stage by stage in the project's folder; each stage finds what dvc.yaml lists and no more."""

    def watched(run: Callable[..., None], *more: str) -> None:
        made: list[Path] = []
        publish = scratch.publish
        label = "@".join([run.__module__.rpartition(".")[2], *more])
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(project)
            patch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
            for name in KEYS:
                patch.setenv(name, PLANTED)
            patch.setattr(scratch, "publish", lambda src, dst: (made.append(dst), publish(src, dst)))
            sources, inputs, _ = guard.listed(*[*label.split("@"), None][:2], params.model_dump(mode="json"))
            with alone([*sources, *inputs]):
                run(params, *more)
        published[label] = {path.as_posix() for path in made}

    for stage in (code, questions):
        watched(stage.run)
    for name in (paths.MID, paths.RL_QUESTIONS, *(paths.BENCHMARKS / f"{name}.parquet" for name in ("pairs", "odd"))):
        relabel(project / name)
    for stage in (prompts, reward, generate, distil, grade, score, select):
        watched(stage.run)
    for arm in ARMS:
        for stage in (midtrain, rl, evaluate, modes):
            watched(stage.run, arm)
    for stage in (compose, diversity):
        watched(stage.run)
    for table in registry.TABLES:
        watched(tables.run, table)
    for stage in (claims, figures, page):
        watched(stage.run)
    return params


@pytest.fixture(scope="session")
def planted() -> tuple[tuple[str, ...], str]:
    """The keys in the environment of the study, and their value."""
    return KEYS, PLANTED


@pytest.fixture
def here(study: Params, project: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The finished study, to be read: its folder is the working directory."""
    monkeypatch.chdir(project)
    return study


@pytest.fixture
def again(study: Params, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A copy of the finished study, to run stages in."""
    for name in ("data", "models", "results"):
        shutil.copytree(project / name, tmp_path / name)
    shutil.copy(project / guard.PIPELINE, tmp_path)
    monkeypatch.chdir(tmp_path)
    return study
