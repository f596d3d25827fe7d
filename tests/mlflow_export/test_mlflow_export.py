"""The MLflow store from the pipeline's outputs: what arrives, that nothing comes twice, and what is left out."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from math import comb
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from polya_midtrain import params as settings
from polya_midtrain import paths, start
from polya_midtrain.runtime import lock, mlflow_store, tracking
from polya_midtrain.tools.mlflow_export import command, outputs, store

STAGES, POLICIES = 9, 8  # select, three stages of two arms, a table, the figures; arms x phases x seeds
ADDED = f"{STAGES + POLICIES} runs added and 0 completed from the outputs of {STAGES} stages"


@pytest.fixture(scope="module")
def synced(outputs: Path, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the finished study, without data and models, whose store was made from its outputs."""
    folder = tmp_path_factory.mktemp("synced") / "clone"
    shutil.copytree(outputs, folder)
    shutil.copy(empty_store, folder / "mlflow.db")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert command.sync() == ["0 runs posted", ADDED]
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def there(synced: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with that store."""
    shutil.copy(synced / "mlflow.db", "mlflow.db")
    shutil.copytree(synced / "mlartifacts", "mlartifacts")
    return project


@pytest.fixture(autouse=True)
def project(outputs: Path, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with an empty store."""
    folder = tmp_path / "clone"
    shutil.copytree(outputs, folder)
    shutil.copy(empty_store, folder / "mlflow.db")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(mlflow_store, "_warned", False)
    return folder


@pytest.fixture(autouse=True, scope="module")
def no_address() -> Iterator[None]:
    """The store is the project's own, whatever the environment says; MLflow itself sets the address too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "")
        patch.delenv("MLFLOW_TRACKING_URI")
        yield


def runs(query: str = "") -> list[Any]:
    client = mlflow_store.connect()
    return list(client.search_runs([mlflow_store.experiment(client)], query))


def content(folder: Path) -> dict[str, list[Any]]:
    """Everything in the database and every stored file with its time."""
    with sqlite3.connect(folder / "mlflow.db") as store:
        names = [name for (name,) in store.execute("select name from sqlite_master where type = 'table'")]
        found: dict[str, list[Any]] = {
            name: sorted(map(repr, store.execute(f"select * from {name}"))) for name in names
        }
    files = [path for path in (folder / "mlartifacts").rglob("*") if path.is_file()]
    return found | {"files": sorted((str(path), path.stat().st_mtime_ns) for path in files)}


def test_a_lost_store_is_made_again_and_a_second_time_adds_nothing(there: Path, empty_store: Path) -> None:
    before = content(there)
    assert command.sync()[1] == ADDED.replace(f"{STAGES + POLICIES} runs", "0 runs", 1)
    assert content(there) == before
    shutil.copy(empty_store, "mlflow.db")
    assert command.sync()[1] == ADDED
    assert {name: len(rows) for name, rows in content(there).items() if name != "files"} == {
        name: len(rows) for name, rows in before.items() if name != "files"
    }


def test_a_policy_s_run_has_what_people_compare(there: Path) -> None:
    wanted = "tags.stage = 'evaluate' and tags.phase = 'after' and tags.arm = 'n4' and tags.seed = '2'"
    (run,) = runs(wanted)
    params = settings.load()
    assert (run.info.run_name, run.info.status) == ("n4 after RL, seed 2", "FINISHED")
    assert run.data.tags["profile"] == "smoke"
    assert run.data.tags["weights"] == "models/rl/n4/seed-2"
    made = lock.stages(lock.LOCK)["rl@n4"]["outs"][0]
    assert run.data.tags["out:models/rl/n4"] == f"md5 {made['md5']}, {made['size']} bytes"
    samples = params.evaluate.samples
    for name, value in {"arm.n": 4, "rl.learning_rate": params.rl.learning_rate, "evaluate.samples": samples}.items():
        assert run.data.params[name] == str(value)
    # pass@k by its definition, one benchmark after the other
    rows = [
        row
        for row in json.loads((paths.COUNTS / "n4.json").read_text())["rows"]
        if (row["phase"], row["seed"]) == ("after", 2)
    ]
    for k in (1, 64):
        shares = {
            name: [1 - comb(samples - row["c"], k) / comb(samples, k) for row in rows if row["benchmark"] == name]
            for name in [*params.questions.benchmarks, *params.questions.transfer]
        }
        means = {name: sum(each) / len(each) for name, each in shares.items()}
        over = [means[name] for name in params.tables.means["mean"]]
        assert run.data.metrics[f"pass_at_{k}"] == pytest.approx(sum(over) / len(over))
        assert run.data.metrics[f"pass_at_{k}/story"] == pytest.approx(means["story"])
    client = mlflow_store.connect()
    points = client.get_metric_history(run.info.run_id, "reward")
    curve = json.loads((paths.CURVES / "n4.json").read_text())["seeds"]["2"]
    assert sorted((point.step, point.value) for point in points) == [(one["step"], one["reward"]) for one in curve]
    by_k = client.get_metric_history(run.info.run_id, "pass_at_k")
    assert sorted(point.step for point in by_k) == params.tables.ks
    sets = {one.dataset.name: (one.dataset.digest, one.tags[0].value) for one in run.inputs.dataset_inputs}
    assert {name: context for name, (_, context) in sets.items()} == {
        "data/train/n4.parquet": "training",
        "data/questions/rl.parquet": "training",
        "data/questions/benchmarks": "evaluation",
    }
    deps = {dep["path"]: dep["md5"] for dep in lock.stages(lock.LOCK)["midtrain@n4"]["deps"]}
    assert sets["data/train/n4.parquet"][0] == deps["data/train/n4.parquet"]
    assert not client.list_artifacts(run.info.run_id)  # weights are pointed to, never stored


def test_missing_values_of_a_curve_are_left_out_and_counted(project: Path) -> None:
    path = paths.CURVES / "n4.json"
    content = json.loads(path.read_text())
    content["seeds"]["2"][5] |= {"reward": None, "entropy": float("inf")}
    path.write_text(json.dumps(content))
    held = yaml.safe_load(lock.LOCK.read_text())
    out = next(out for out in held["stages"]["rl@n4"]["outs"] if out["path"] == str(path))
    out["md5"], out["size"] = tracking.dvc_hash(path)
    lock.LOCK.write_text(yaml.safe_dump(held))
    assert command.sync()[1] == ADDED
    (run,) = runs("tags.stage = 'evaluate' and tags.phase = 'after' and tags.arm = 'n4' and tags.seed = '2'")
    points = mlflow_store.connect().get_metric_history(run.info.run_id, "reward")
    assert sorted(point.step for point in points) == [step for step in range(1, 25) if step != 6]
    assert run.data.tags["not_finite"] == "entropy 1, reward 1"


def test_before_rl_there_is_neither_a_curve_nor_a_setting_of_rl(there: Path) -> None:
    (run,) = runs("tags.phase = 'before' and tags.arm = 'n4' and tags.seed = '1'")
    assert "reward" not in run.data.metrics
    assert not [name for name in run.data.params if name.startswith("rl.")]
    assert run.data.tags["weights"] == "models/midtrain/n4/seed-1"


def test_tables_and_figures_are_kept_with_their_stages(there: Path) -> None:
    client = mlflow_store.connect()
    (table,) = runs("tags.stage = 'tables@main'")
    assert {one.path for one in client.list_artifacts(table.info.run_id)} == {"main.csv", "main.md"}
    (figures,) = runs("tags.stage = 'figures'")
    assert [one.path for one in client.list_artifacts(figures.info.run_id, "figures")] == ["figures/passk.svg"]


def test_a_stage_that_ran_here_keeps_its_run(project: Path) -> None:
    made = lock.stages(lock.LOCK)["rl@n4"]["outs"][0]
    with tracking.run(settings.load(), stage="rl", arm="n4", inputs_hash="f00") as run:
        run.metrics({"reward": 0.25}, step=3)
        run.pointer(paths.CURVES / "n4.json")
        run._record.tags["out:models/rl/n4"] = mlflow_store.pointer(made["md5"], made["size"])
    lines = command.sync()
    assert lines[0] == "1 runs posted"
    assert lines[1].startswith(f"{STAGES + POLICIES - 1} runs added and 1 completed")
    (found,) = runs("tags.stage = 'rl' and tags.arm = 'n4'")
    assert found.data.tags["inputs_hash"] == "f00"
    assert found.data.tags["dvc_hash"]
    assert found.data.metrics == {"reward": 0.25}
    assert found.inputs.dataset_inputs[0].dataset.name == "data/questions/rl.parquet"


def test_what_a_crash_cut_short_is_done_again_and_not_twice(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = MlflowClient.log_inputs
    calls: list[None] = []

    def breaks(self: MlflowClient, *arguments: Any) -> None:
        calls.append(None)
        if len(calls) == 3:
            raise ConnectionError("gone")
        whole(self, *arguments)

    monkeypatch.setattr(MlflowClient, "log_inputs", breaks)
    first = int(command.sync()[1].split()[0])
    assert first < STAGES + POLICIES
    assert capfd.readouterr().err.count("polya: warning: MLflow store") == 1
    command.sync()
    assert len(runs()) == STAGES + POLICIES
    assert all(run.data.tags[store.DONE] == "complete" for run in runs())


def test_a_run_that_was_deleted_stays_deleted(there: Path) -> None:
    client = mlflow_store.connect()
    client.delete_run(runs("tags.stage = 'figures'")[0].info.run_id)
    assert command.sync()[1].startswith("0 runs added")


def test_what_is_not_the_pipeline_s_is_left_out_and_named(project: Path) -> None:
    (paths.TABLES / "main.csv").write_text("edited")
    (paths.CURVES / "n4.json").unlink()
    content = yaml.safe_load(settings.PARAMS_FILE.read_text())
    content["select"]["length_tolerance"] = 0.45
    settings.PARAMS_FILE.write_text(yaml.safe_dump(content))
    made, left = outputs.read()
    assert left == [
        "select: params.yaml has another select",
        "rl@n4: results/curves/n4.json is missing",
        "tables@main: reports/tables/main.csv is not what dvc.lock names",
    ]
    assert "midtrain@n4" in made
    lines = command.sync()
    assert lines[-1] == f"3 stages left out, such as {left[0]}"
    assert not runs("tags.arm = 'n4' and tags.phase = 'after'")  # how it was trained is not known
    assert len(runs("tags.arm = 'vanilla' and tags.phase = 'after'")) == 2


def test_a_server_out_of_reach_is_one_warning_and_all_is_added_later(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    assert start.main(["sync"]) == 1
    printed = capfd.readouterr()
    assert printed.err.count("\n") == 1
    assert "secret" not in printed.err
    assert "0 runs added" in printed.out
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert command.sync()[1].startswith(f"{STAGES + POLICIES} runs added")


def test_a_lock_file_that_is_none_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock.LOCK.write_text("<<<<<<< HEAD\n")
    assert start.main(["sync"]) == 2
    assert capsys.readouterr().err.startswith("polya: dvc.lock: not a lock file of DVC; ")
