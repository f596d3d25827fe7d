"""What a stage does around its work: what keys its scratch folder, and that a finished result is computed once."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import yaml

from polya_midtrain import params as settings
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.runtime import finished, guard, lock, scratch
from polya_midtrain.runtime import stage as stages
from polya_midtrain.runtime.tracking import dvc_hash

ROOT = Path(__file__).resolve().parents[1]
STAGES = [("rl", "n4"), ("midtrain", "n4"), ("base", None), ("figures", None), ("page", None)]
PLACES = {"model": Path("made/arm"), "counts.json": Path("results/counts.json")}


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A project with the pipeline and its code, in which DVC runs a stage."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "rl@n4")
    found = settings.load()
    for name, arm in (*STAGES, ("rl", "n1")):
        for path in guard.listed(name, arm, found.model_dump(mode="json"))[1]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return found


def run(params: Params, name: str = "rl", arm: str | None = "n4") -> str:
    """A stage that writes two outputs; its key. Every time that it works, the file ``worked`` grows."""
    with stages.stage(params, name, arm=arm, outputs=PLACES) as this:
        with Path("worked").open("a") as stream:
            stream.write("x")
        (this.work / "model").mkdir(exist_ok=True)
        (this.work / "model/weights").write_text("weights")
        (this.work / "checkpoint").write_text("much")
        (this.work / "counts.json").write_text("{}")
        this.numbers["loss"] = 1.0
    return this.key


def key(params: Params, name: str, arm: str | None) -> str:
    with stages.stage(params, name, arm=arm, outputs={}) as this:
        return this.key


def made() -> bool:
    return (
        Path("made/arm/weights").read_text() == "weights"
        and Path("results/counts.json").read_text() == "{}"
        and '"loss": 1.0' in Path("results/metrics/rl@n4.json").read_text()
    )


def named() -> None:
    """What DVC does when the stage has ended."""
    outs = [{"path": place.as_posix(), "md5": dvc_hash(place)[0], "size": 1} for place in PLACES.values()]
    lock.LOCK.write_text(yaml.safe_dump({"schema": "2.0", "stages": {"rl@n4": {"outs": outs}}}))


def remove_outputs() -> None:
    """What DVC does before a stage runs."""
    for name in ("made", "results/counts.json", "results/metrics"):
        scratch.remove(Path(name))


@pytest.mark.parametrize(
    ("edited", "again"),
    [
        ("results/code/rl.json", {"rl"}),
        ("results/code/page.json", {"page"}),
        ("models/midtrain/n4", {"rl"}),
        ("data/train/n4.parquet", {"midtrain"}),
    ],
)
def test_half_done_work_hangs_on_the_code_that_the_stage_reads(
    params: Params, monkeypatch: pytest.MonkeyPatch, edited: str, again: set[str]
) -> None:
    monkeypatch.delenv("DVC_STAGE")
    before = {name: key(params, name, arm) for name, arm in STAGES}
    with Path(edited).open("a") as stream:
        stream.write("\n")
    assert {name for name, arm in STAGES if key(params, name, arm) != before[name]} == again


def test_a_result_that_dvc_had_no_time_to_note_is_found_again(params: Params) -> None:
    run(params)
    remove_outputs()
    with pytest.raises(finished.Again, match=r"^rl@n4: finished by an interrupted run; its result is taken$"):
        run(params)
    assert made()
    assert Path("worked").read_text() == "x"
    # Nothing but the result is kept, and it takes no room of its own.
    assert not list(scratch.ROOT.glob("*/*/checkpoint"))
    assert Path("made/arm/weights").stat().st_nlink == 2


def test_a_result_that_dvc_has_noted_is_computed_when_it_is_asked_for(params: Params) -> None:
    run(params)
    named()
    finished.sweep()
    assert not list(scratch.ROOT.glob(f"*/*/{finished.NOTE}"))
    run(params)
    assert Path("worked").read_text() == "xx"


def test_a_result_stays_while_dvc_names_another(params: Params) -> None:
    run(params)
    named()
    lock.LOCK.write_text(lock.LOCK.read_text().replace("md5: ", "md5: 0"))
    finished.sweep()
    remove_outputs()
    with pytest.raises(finished.Again):
        run(params)


def test_a_result_of_other_code_or_that_was_changed_is_not_taken(params: Params) -> None:
    run(params)
    Path("made/arm/weights").write_text("edited in place")  # the same file as the one kept
    run(params)
    assert Path("made/arm/weights").read_text() == "weights"
    Path("results/code/rl.json").write_text("{}")
    run(params)
    assert Path("worked").read_text() == "xxx"


def test_by_hand_a_stage_always_works(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE")
    run(params)
    run(params)
    assert Path("worked").read_text() == "xx"
    assert not list(scratch.ROOT.glob("*/*/"))


def test_a_kill_at_any_point_after_the_work_costs_no_work(params: Params) -> None:
    for point in range(400):
        shutil.rmtree(scratch.ROOT, ignore_errors=True)
        remove_outputs()
        Path("worked").unlink(missing_ok=True)
        killed = dies(point, params)
        noted = list(scratch.ROOT.glob(f"*/*/{finished.NOTE}"))
        remove_outputs()
        if noted:
            with pytest.raises(finished.Again):
                run(params)
        else:
            run(params)
        assert made()
        assert Path("worked").read_text() == ("x" if noted else "xx"), point
        if not killed:
            break
    assert not killed
    assert point > 10


def dies(point: int, params: Params) -> bool:
    """Run the stage in a child that is killed at its ``point``-th call of the system after the work; whether it was."""
    child = os.fork()
    if child == 0:
        calls = 0

        def hook(event: str, _: tuple[object, ...]) -> None:
            nonlocal calls
            if event.startswith(("os.", "shutil.", "ctypes.", "open")) and Path("worked").exists():
                calls += 1
                if calls == point + 1:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        run(params)
        calls = -sys.maxsize  # what a tracer does at the end is not ours
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def test_a_stage_waits_for_the_processes_of_an_interrupted_run(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "PATIENCE", 0.3)
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        with scratch.locked("rl-n4", wait=True):
            worker = os.fork()  # which outlives the stage
            if worker:
                os.write(told, worker.to_bytes(4, "big"))
                os._exit(0)
            signal.pause()
    os.waitpid(child, 0)
    worker = int.from_bytes(os.read(ready, 4), "big")
    try:
        with pytest.raises(UserError, match=r"^\.scratch/rl-n4\.lock: processes of an earlier run still hold it"):
            run(params)
        run(params, arm="n1")  # another arm is no business of theirs
    finally:
        os.kill(worker, signal.SIGKILL)
    monkeypatch.setattr(stages, "PATIENCE", 60.0)
    run(params)
    assert made()
