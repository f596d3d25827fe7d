"""Kills at many moments of a small study, each resumed: the same bytes at the end as of a study that nobody stopped.

The moments come in the order of the pipeline, so that one study meets all of them. Most kill the whole process tree,
as a power cut does; some a single process of it, whose others must then end by themselves.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from polya_midtrain.runtime import finished, warm
from polya_midtrain.training.hooks import WHOLE

pytestmark = pytest.mark.faults

ARMS = {"vanilla": {"traces": "none"}, "n4": {"traces": "heuristics", "n": 2}}
CHANGES: dict[str, Any] = {  # two workers, and a checkpoint after every step
    "seeds": [1, 2],
    "machine": {"device": "cpu", "workers": 2},
    "midtrain": {"epochs": 3, "save_steps": 1},
    "rl": {"epochs": 3, "save_steps": 1},
}
TIMED = ("reports/claims", "reports/index.html")  # they say how long stages took
MADE = ("data", "models", "results", "reports")
Seen = Callable[[Path], object]


@dataclass(frozen=True)
class Moment:
    """When to kill: once ``seen`` holds, and ``later`` seconds after; what: the tree, or one process by its name."""

    name: str
    seen: Seen
    later: float = 0.0
    what: str = "tree"


def said(folder: Path) -> Path:
    """What this run has said so far; it is older than all that this run has made."""
    return folder.parent / "said"


def there(*patterns: str) -> Seen:
    """This run has made such a file or folder."""

    def seen(folder: Path) -> bool:
        begun = said(folder).with_suffix(".begun").stat().st_ctime_ns
        with suppress(FileNotFoundError):  # it is gone again
            return any(path.stat().st_ctime_ns > begun for pattern in patterns for path in folder.glob(pattern))
        return False

    return seen


def in_a_checkpoint(stage: str) -> Seen:
    """A trainer writes its second checkpoint or a later one, or has just done so."""
    return there(f".scratch/{stage}-*/*/trainer-*/checkpoint-[2-9]*")


def at_work(stage: str) -> Seen:
    """The stage has begun."""
    return lambda folder: f"] {stage}" in said(folder).read_text()


def unnamed(stage: str, place: str) -> Seen:
    """A stage's output is in its place, and dvc.lock does not know."""

    def seen(folder: Path) -> bool:
        lock = folder / "dvc.lock"
        return there(place)(folder) and not (lock.exists() and f"  {stage}:\n" in lock.read_text())

    return seen


def half_written(folder: Path) -> str:
    """What the kill has left that is not whole."""
    checkpoints = [path for path in folder.glob(".scratch/*/*/trainer*/checkpoint-*") if not (path / WHOLE).exists()]
    return "half a checkpoint" if checkpoints else "dvc.lock cut" if cut(folder) else ""


def cut(folder: Path) -> bool:
    path = folder / "dvc.lock"
    return path.exists() and not path.read_text().endswith("\n")


def lock_in_writing() -> Seen:
    """dvc.lock is smaller than it was before."""
    largest = 0

    def seen(folder: Path) -> bool:
        nonlocal largest
        try:
            size = (folder / "dvc.lock").stat().st_size
        except FileNotFoundError:
            return False
        largest = max(size, largest)
        return size < largest

    return seen


def moments() -> Iterator[Moment]:
    rng = random.Random(14)
    yield Moment("before any stage", lambda _: True, rng.uniform(0.5, 2))
    yield Moment("base", at_work("base"), rng.uniform(1, 5))
    yield Moment("base, dvc alone", at_work("base"), rng.uniform(1, 5), "dvc")
    yield Moment("base, published", unnamed("base", "models/base"))
    yield Moment("lock", lock_in_writing())
    yield Moment("reward", at_work("reward"), rng.uniform(0, 3))
    yield Moment("generate, a part sampled", there(".scratch/generate/*/*.parquet"))
    yield Moment("generate, published", unnamed("generate", "data/traces/generated.parquet"))
    yield Moment("lock", lock_in_writing())
    yield Moment("midtrain, in a checkpoint", in_a_checkpoint("midtrain"))
    yield Moment("midtrain, in a checkpoint", in_a_checkpoint("midtrain"))
    yield Moment("midtrain, the server alone", there(".scratch/midtrain-*/*/trainer-*/checkpoint-*"), 0, "server")
    yield Moment("midtrain, published", unnamed("midtrain@n4", "models/midtrain/n4"))
    yield Moment("MLflow's database", there("mlflow.db-journal"))
    yield Moment("rl, in a checkpoint", in_a_checkpoint("rl"))
    yield Moment("rl, in a checkpoint", in_a_checkpoint("rl"))
    yield Moment("rl, the client alone", there(".scratch/rl-*/*/trainer-*/checkpoint-*"), 0, "client")
    yield Moment("rl, between its outputs", unnamed("rl@n4", "models/rl/n4"))
    yield Moment("evaluate, a part sampled", there(".scratch/evaluate-*/*/*.parquet"))
    yield Moment("evaluate, make alone", at_work("evaluate"), rng.uniform(0, 2), "repro")
    yield Moment("evaluate, published", unnamed("evaluate@n4", "results/counts/n4.json"))
    yield Moment("MLflow's outbox", there(".scratch/outbox/*.new", ".scratch/outbox/*.json"))
    yield Moment("lock", lock_in_writing())
    yield Moment("modes", at_work("modes"), rng.uniform(0, 2))
    yield Moment("tables", at_work("tables"), rng.uniform(0, 3))
    yield Moment("page, published", unnamed("page", "reports/index.html"))


def processes(folder: Path) -> dict[int, list[str]]:
    """The processes that work in a folder, by id: their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(folder):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue  # it has ended
    return found


def kill(folder: Path, what: str) -> None:
    names = {
        "dvc": lambda words: "repro" in words and any(word.endswith("/dvc") for word in words),
        "server": lambda words: warm.__name__ in words,
        "client": lambda words: "stage" in words,
        "repro": lambda words: "repro" in words and not any(word.endswith(("/dvc", "make")) for word in words),
    }
    if what == "tree":
        while there := processes(folder):
            for process in there:
                end(process)
        return
    chosen = sorted(process for process, words in processes(folder).items() if names[what](words))
    assert chosen, f"no {what} to kill"
    end(chosen[0])  # of the server and the stages forked from it the server, which is the eldest
    while processes(folder):  # they end by themselves
        time.sleep(0.05)


def end(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def run_until(folder: Path, environment: dict[str, str], moment: Moment | None) -> tuple[int | None, str]:
    """`make repro`, killed at a moment if it comes: the exit code, None if killed, and what was said."""
    said(folder).with_suffix(".begun").touch()
    time.sleep(0.02)  # a tick of the file system's clock
    with said(folder).open("w") as stream:
        process = subprocess.Popen(
            ["make", "repro"], cwd=folder, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )
        killed = False
        while process.poll() is None:
            if moment is not None and moment.seen(folder):
                time.sleep(moment.later)
                killed = process.poll() is None
                kill(folder, moment.what)
                process.wait()
                break
            time.sleep(0.0005 if moment else 0.1)
    return (None if killed else process.returncode), said(folder).read_text()


def contents(folder: Path) -> dict[str, bytes]:
    """What a study has made, without the seconds that it took."""
    found = {}
    for path in (path for name in MADE for path in (folder / name).rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name.startswith(TIMED):
            continue
        content = path.read_bytes()
        if name.startswith("results/metrics/"):
            numbers = json.loads(content)
            content = json.dumps({key: value for key, value in numbers.items() if key != "seconds"}).encode()
        found[name] = content
    return found


def named(folder: Path) -> dict[str, Any]:
    path = folder / "dvc.lock"
    return dict(yaml.safe_load(path.read_text())["stages"]) if path.exists() else {}


def test_a_study_that_is_killed_again_and_again_ends_as_one_that_was_not(
    small_study: Callable[..., Path], environment: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    origin = small_study(ARMS, **CHANGES)
    folders = {name: tmp_path / name / "study" for name in ("calm", "killed")}
    for folder in folders.values():
        shutil.copytree(origin, folder)
    calm, study = folders.values()
    variables = {folder: environment(folder) for folder in folders.values()}
    for folder in folders.values():
        variables[folder].pop("MLFLOW_TRACKING_URI")  # each its own, in its folder
    begun = time.monotonic()
    second_refused(calm, variables[calm])
    alone = time.monotonic() - begun
    before: dict[str, Any] = {}
    print(f"\nan undisturbed study: {alone:.0f} s")
    print(f"{'killed at':32}{'left':20}{'the next run began with':24}and took from scratch")
    kills, line = 0, ""
    for moment in [*moments(), None]:
        code, words = run_until(study, variables[study], moment)
        if line:
            print(line + resumption(words, before), flush=True)
        if code is not None:
            assert code == 0, words
            break  # the last one, or a machine so busy that the moment passed unseen
        assert moment
        kills += 1
        line = f"{moment.name:32}{half_written(study):20}"
        before = resumed(study, before)
    assert kills >= 20, f"only {kills} of the moments were seen"
    expected, found = contents(calm), contents(study)
    assert {name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)} == set()
    assert not list(study.glob(".scratch/*/*/*/checkpoint-*")), "half-done work is left"
    kept = list(study.glob(f".scratch/*/*/{finished.NOTE}"))
    assert len(kept) <= 1, "results are kept that dvc.lock names"


def second_refused(folder: Path, environment: dict[str, str]) -> None:
    """A whole run, beside which a second one is started: that says why not in one line, and the first ends well."""
    first = subprocess.Popen(
        ["make", "repro"], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while not (folder / "models/base").exists():
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.1)
    for command in (["make", "repro"], ["make", "repro", "PROFILE=smoke"], ["polya", "profile", "smoke"]):
        second = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert second.returncode == 2
        lines = [line for line in (second.stdout + second.stderr).splitlines() if not line.startswith("make: ***")]
        assert lines == [
            "polya: another `make repro` or `make arm` is at work in this folder; wait for its end, or stop it"
        ]
    words = first.communicate()[0]
    assert first.returncode == 0, words


def resumed(folder: Path, before: dict[str, Any]) -> dict[str, Any]:
    """The record after a kill; where it was cut short, what the next run begins with is its copy."""
    try:
        found = named(folder)
    except (yaml.YAMLError, TypeError, KeyError):
        found = {}
    return found if len(found) >= len(before) else before


def resumption(words: str, before: dict[str, Any]) -> str:
    """What the run after a kill did first, for the table. Nothing is done again that dvc.lock named."""
    ran = re.findall(r"^\[\d+/\d+.*\] (\S+)$", words, re.MULTILINE)
    taken = re.findall(r"^(\S+): finished by an interrupted run", words, re.MULTILINE)
    again = set(ran) & before.keys() - set(taken)
    assert not again, f"done again though dvc.lock named it: {again}\n{words}"
    mended = " (dvc.lock restored)" if "was cut short" in words else ""
    return f"{ran[0] if ran else '-':24}{','.join(taken) or '-'}{mended}"
