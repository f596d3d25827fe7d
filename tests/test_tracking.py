"""Tracking against real MLflow stores: what arrives, that nothing is lost, and that no fault stops a study."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from polya_midtrain import params as settings
from polya_midtrain.params import Params
from polya_midtrain.runtime import mlflow_store, tracking
from polya_midtrain.runtime.workers import Report, run_tasks

ROOT = Path(__file__).resolve().parents[1]
CLOSED = "http://user:secret@127.0.0.1:9"  # nothing listens on the discard port


@pytest.fixture(scope="session")
def params() -> Params:
    return settings.load(ROOT / "profiles/smoke.yaml")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project root of its own, without a store address from the environment; MLflow itself sets one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setattr(mlflow_store, "_warned", False)
    return tmp_path


@pytest.fixture
def store(project: Path, empty_store: Path) -> Path:
    return Path(shutil.copy(empty_store, project / "mlflow.db"))


def runs() -> list[Any]:
    """All runs of the study in this project's store."""
    client = mlflow_store.connect()
    return list(client.search_runs([mlflow_store.experiment(client)]))


def history(run: Any, name: str) -> list[tuple[int, float]]:
    points = mlflow_store.connect().get_metric_history(run.info.run_id, name)
    return sorted((point.step, point.value) for point in points)


def waiting() -> list[Path]:
    return sorted(mlflow_store.OUTBOX.glob("*.json"))


def test_a_run_arrives_whole_and_flat(params: Params, store: Path) -> None:
    Path("data").mkdir()
    Path("data/rows.parquet").write_bytes(b"0123456789")
    with tracking.run(params, stage="midtrain", arm="n4", seed=3, phase="after", inputs_hash="f00") as run:
        run.metrics({"loss": 0.5, "pass@1 (mean)": 0.25})
        run.curve([{"step": step, "reward": step / 1000, "note": "text"} for step in range(1700)])
        run.pointer(Path("data/rows.parquet"))
    assert mlflow_store.post_pending() == 1
    assert not waiting()
    (found,) = runs()
    assert (found.info.run_name, found.info.status) == ("midtrain n4 after seed 3", "FINISHED")
    tags = found.data.tags
    expected = {"study": "polya-midtrain", "profile": params.profile, "stage": "midtrain", "arm": "n4", "seed": "3"}
    assert expected.items() <= tags.items()
    assert (tags["phase"], tags["inputs_hash"]) == ("after", "f00")
    assert (tags["device"], tags["precision"], tags["torch"]) == ("cpu", "float32", version("torch"))
    assert tags["out:data/rows.parquet"] == "md5 781e5e245d69b566979b86e28d23f2c7, 10 bytes"
    assert "mlflow.parentRunId" not in tags
    assert found.data.params["midtrain.learning_rate"] == str(params.midtrain.learning_rate)
    assert found.data.params["arm.n"] == "4"
    assert history(found, "loss") == [(0, 0.5)]
    assert history(found, "pass_1 _mean_") == [(0, 0.25)]
    assert history(found, "reward") == [(step, step / 1000) for step in range(1700)]
    assert "note" not in found.data.metrics


def test_what_is_no_finite_number_is_left_out_and_named(params: Params, store: Path) -> None:
    with tracking.run(params, stage="rl") as run:
        run.metrics({"reward": float("inf"), "loss": 1.0})
        run.curve([{"step": 1, "reward": float("nan")}, {"step": 2, "reward": 0.5}, {"step": 3, "reward": None}])
    assert mlflow_store.post_pending() == 1
    (found,) = runs()
    assert history(found, "reward") == [(2, 0.5)]
    assert found.data.metrics == {"reward": 0.5, "loss": 1.0}
    assert found.data.tags["not_finite"] == "reward 3"


def test_a_stage_that_fails_is_a_failed_run(params: Params, store: Path) -> None:
    with pytest.raises(ValueError, match="no"), tracking.run(params, stage="generate") as run:
        run.metrics({"completions": 3})
        raise ValueError("no")
    with pytest.raises(KeyboardInterrupt), tracking.run(params, stage="grade"):
        raise KeyboardInterrupt
    mlflow_store.post_pending()
    found = {run.data.tags["stage"]: run for run in runs()}
    assert {stage: run.info.status for stage, run in found.items()} == {"generate": "FAILED", "grade": "KILLED"}
    assert found["generate"].data.metrics == {"completions": 3}


def test_a_light_stage_does_not_load_mlflow(project: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from polya_midtrain import params
        from polya_midtrain.runtime import mlflow_store, tracking
        with tracking.run(params.load(Path(sys.argv[1])), stage="generate") as run:
            run.metrics({"completions": 1})
        assert mlflow_store.OUTBOX.exists() and "mlflow" not in sys.modules
        """
    )
    subprocess.run([sys.executable, "-c", script, str(ROOT / "profiles/smoke.yaml")], check=True)
    assert len(waiting()) == 1


def test_a_setting_of_any_length_arrives_whole(store: Path, params: Params) -> None:
    long = "".join(f"{number} " for number in range(4000))
    record = mlflow_store.Record("x", {}, {"prompts.system": long, "seeds": "[1]", "suffix": ""}, 1, status="FINISHED")
    mlflow_store.keep(record)
    assert mlflow_store.post_pending() == 1
    found = runs()[0].data.params
    parts = [found[name] for name in ("prompts.system", "prompts.system.2", "prompts.system.3", "prompts.system.4")]
    assert "".join(parts) == long
    assert found.keys() == {"prompts.system", *(f"prompts.system.{part}" for part in (2, 3, 4)), "seeds", "suffix"}


def test_an_empty_outbox_costs_nothing(project: Path) -> None:
    assert mlflow_store.post_pending() == 0
    assert list(project.iterdir()) == []


def test_processes_that_post_at_once_post_each_run_once(params: Params, store: Path) -> None:
    for index in range(6):
        with tracking.run(params, stage="generate", seed=index):
            pass
    posted = run_tasks(lambda task, report: mlflow_store.post_pending(wait=True), range(3), 3)
    assert sum(posted) == 6
    assert sorted(run.data.tags["seed"] for run in runs()) == list("012345")


def test_two_trainings_at_once_make_the_store_and_log_into_it(params: Params, project: Path) -> None:
    def train(seed: int, report: Report) -> None:
        with tracking.trainer_run(params, stage="rl", arm="n4", seed=seed, inputs_hash="f00") as run:
            for step in range(30):
                run.metrics({"reward": seed + step / 100}, step=step)

    run_tasks(train, [1, 2], 2)
    assert not waiting()
    found = {run.data.tags["seed"]: run for run in runs()}
    assert found.keys() == {"1", "2"}
    for seed, run in found.items():
        assert run.info.status == "FINISHED"
        assert history(run, "reward") == [(step, int(seed) + step / 100) for step in range(30)]


@pytest.mark.slow
def test_a_trainers_curves_arrive_through_transformers_own_callback(params: Params, store: Path) -> None:
    import torch
    import transformers

    class Line(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slope = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": ((self.slope * x - labels) ** 2).mean()}

    rows = [{"x": [float(value)], "labels": [3.0 * value]} for value in range(16)]

    def train(seed: int, report: Report) -> list[dict[str, float]]:
        with tracking.trainer_run(params, stage="rl", arm="n4", seed=seed, inputs_hash="f00") as run:
            arguments = transformers.TrainingArguments(
                output_dir=f"out-{seed}",
                seed=seed,
                report_to="none",
                logging_steps=1,
                max_steps=6,
                learning_rate=0.1,
                disable_tqdm=True,
                use_cpu=True,
            )
            trainer = transformers.Trainer(Line(), arguments, train_dataset=rows, callbacks=run.callbacks)
            trainer.train()
            run.metrics({"final": 1.0})
        return list(trainer.state.log_history)

    logs = run_tasks(train, [1, 2, 3], 2)  # one process trains two seeds, one after the other
    found = {run.data.tags["seed"]: run for run in runs()}
    assert found.keys() == {"1", "2", "3"}
    for seed, log in zip(["1", "2", "3"], logs, strict=True):
        run = found[seed]
        assert run.info.status == "FINISHED"
        assert "mlflow.parentRunId" not in run.data.tags
        losses = [(point["step"], point["loss"]) for point in log if "loss" in point]
        assert len(losses) == 6
        assert history(run, "loss") == losses
        assert history(run, "final") == [(0, 1.0)]
        assert run.data.params["learning_rate"] == "0.1", "the trainer's own settings, which trl fills in, are logged"
        assert run.data.params["rl.learning_rate"] == str(params.rl.learning_rate)


def test_work_that_goes_on_after_a_crash_goes_on_in_its_run(params: Params, store: Path) -> None:
    def attempt(last: bool, inputs_hash: str = "f00") -> None:
        with tracking.trainer_run(params, stage="rl", arm="n4", seed=1, inputs_hash=inputs_hash) as run:
            if not last:
                os.kill(os.getpid(), signal.SIGKILL)
            run.metrics({"reward": 1.0}, step=7)

    for last, inputs_hash in [(False, "f00"), (False, "other"), (True, "f00")]:
        child = os.fork()
        if child == 0:
            try:
                attempt(last, inputs_hash)
            finally:
                os._exit(0)  # a copy of the test suite must not go on
        os.waitpid(child, 0)
    found = {run.data.tags["inputs_hash"]: run for run in runs()}
    assert len(runs()) == 2
    assert found["other"].info.status == "RUNNING"
    assert found["f00"].info.status == "FINISHED"
    assert history(found["f00"], "reward") == [(7, 1.0)]


@pytest.mark.parametrize("broken", ["server", "file"])
def test_a_broken_store_is_one_warning_and_nothing_is_lost(
    params: Params, empty_store: Path, broken: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if broken == "server":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", CLOSED)
    else:
        Path("mlflow.db").write_text("this is no database")
    for seed in (1, 2):
        with tracking.trainer_run(params, stage="rl", arm="n4", seed=seed, inputs_hash="f00") as run:
            assert run.callbacks == []
            run.metrics({"reward": seed}, step=1)
    assert mlflow_store.post_pending() == 0
    printed = capfd.readouterr().err
    assert printed.count("\n") == 1
    assert printed.startswith("polya: warning: MLflow store ")
    assert "the study goes on" in printed
    assert "secret" not in printed
    assert len(waiting()) == 2

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, "mended.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path('mended.db').resolve()}")
    assert mlflow_store.post_pending() == 2
    assert {run.data.tags["seed"]: run.data.metrics for run in runs()} == {"1": {"reward": 1}, "2": {"reward": 2}}


def test_a_store_that_breaks_during_training_is_one_warning_and_the_run_is_completed_later(
    params: Params, store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def train(seed: int, report: Report) -> None:
        with tracking.trainer_run(params, stage="rl", arm="n4", seed=seed, inputs_hash="f00") as run:
            run.metrics({"reward": seed}, step=1)
            store.rename("gone.db")
            store.write_text("this is no database")

    child = os.fork()  # the active run of MLflow's is one a process
    if child == 0:
        try:
            train(1, lambda *_: None)
            os._exit(0)
        finally:
            os._exit(1)  # a copy of the test suite must not go on
    assert os.waitpid(child, 0)[1] == 0
    assert capfd.readouterr().err.count("polya: warning") == 1
    Path("gone.db").replace(store)
    assert [run.info.status for run in runs()] == ["RUNNING"]
    assert mlflow_store.post_pending() == 1
    (run,) = runs()
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"reward": 1})


def test_a_record_that_cannot_be_read_does_not_hold_up_the_others(
    params: Params, store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mlflow_store.OUTBOX.mkdir(parents=True)
    broken = ["{", "[]", '{"name": "x"}', "[" * 100_000, "\udcff"]
    for number, text in enumerate(broken):
        (mlflow_store.OUTBOX / f"{number}.json").write_bytes(text.encode(errors="surrogateescape"))
    with tracking.run(params, stage="generate"):
        pass
    assert mlflow_store.post_pending() == 1
    said = capfd.readouterr().err.splitlines()
    remedy = "not a tracked run; delete the file, `polya sync` makes the run from the outputs"
    assert said == [f"polya: warning: .scratch/outbox/{number}.json: {remedy}" for number in range(len(broken))]
    assert not mlflow_store.faulty()
    assert len(runs()) == 1


def test_an_outbox_that_takes_nothing_stops_no_study(
    params: Params, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path(".scratch").mkdir()
    mlflow_store.OUTBOX.touch()
    with tracking.run(params, stage="generate"):
        pass
    said = capfd.readouterr().err
    assert said.startswith("polya: warning: .scratch/outbox: run 'generate' cannot be kept (")
    assert said.count("\n") == 1


# One name with what an address would read: MLflow keeps a database open for the process under its relative address.
@pytest.mark.parametrize("name", ["a #b é'&=;", "a?b #c%2e%3Fd 50%"])
def test_a_store_lies_in_its_folder_whatever_that_is_called(
    params: Params, empty_store: Path, project: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project / name
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    monkeypatch.chdir(folder)
    with tracking.trainer_run(params, stage="rl", arm="n4", seed=1, inputs_hash="f00") as run:
        run.metrics({"reward": 0.5})
    (found,) = runs()
    assert found.data.metrics == {"reward": 0.5}
    Path("table.csv").write_text("1")
    client = mlflow_store.connect()
    client.log_artifact(found.info.run_id, "table.csv")
    assert [one.path for one in client.list_artifacts(found.info.run_id)] == ["table.csv"]
    assert {path.name for path in project.iterdir()} == {name}
    assert {path.name for path in folder.iterdir()} == {".scratch", "mlartifacts", "mlflow.db", "table.csv"}


@pytest.mark.parametrize("broken", ["no database", "a part of one", "a folder"])
def test_a_broken_database_is_named_with_the_remedy(
    params: Params, store: Path, broken: str, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = store.read_bytes()
    store.unlink()
    if broken == "a folder":
        store.mkdir()
    else:
        store.write_bytes(b"this is none" if broken == "no database" else whole[:70_000])
    with tracking.run(params, stage="generate"):
        pass
    assert mlflow_store.post_pending() == 0
    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith(f"polya: warning: MLflow store sqlite:///{store}: ")
    assert said.endswith("(if it is broken, move mlflow.db away: `polya sync` makes it again)")
    assert mlflow_store.faulty()


def test_pointers_are_the_hashes_that_dvc_records(project: Path) -> None:
    Path("tree/b").mkdir(parents=True)
    for name, text in {"one.txt": "1", "tree/z": "2", "tree/b/a": "3", "tree/B": "", "tree/é.json": "{}"}.items():
        Path(name).write_text(text)
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "-q", "--no-scm"], check=True)
    subprocess.run([*dvc, "add", "-q", "one.txt", "tree"], check=True)
    for name in ("one.txt", "tree"):
        recorded = yaml.safe_load(Path(f"{name}.dvc").read_text())["outs"][0]
        assert tracking.dvc_hash(Path(name)) == (recorded["md5"], recorded["size"])


def test_a_record_survives_the_outbox_unchanged(params: Params, project: Path) -> None:
    with tracking.run(params, stage="generate", inputs_hash="f00") as run:
        run.metrics({"a": 1e-30, "b": float("inf")}, step=2)
    (path,) = waiting()
    record = mlflow_store.Record(**json.loads(path.read_text()))
    assert [(name, value, step) for name, value, _, step in record.metrics] == [("a", 1e-30, 2), ("b", float("inf"), 2)]
    assert record.status == "FINISHED"
    assert record.start <= record.end


def test_the_commit_is_that_of_the_projects_own_repository(project: Path) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
        return subprocess.run(["git", *who, *words], capture_output=True, text=True, check=True).stdout.strip()

    inner = project / "inner"
    inner.mkdir()
    (inner / "dvc.yaml").write_text("stages: {}")
    assert tracking.head(inner) == ""
    git("init", "-q", "-b", "main")
    (project / "other").touch()
    git("add", "other")
    git("commit", "-q", "-m", "no study")
    assert tracking.head(inner) == "", "the repository around it holds other things"
    git("add", "inner")
    git("commit", "-q", "-m", "a study")
    assert tracking.head(inner) == git("rev-parse", "HEAD")
