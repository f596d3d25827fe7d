"""Arms on several hosts: each runs its own and shares it through a remote, and one makes the tables of all.

A host is a clone with the same settings, the remote a folder. What is run is `make arm` and `make repro` themselves.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.runtime import share
from polya_midtrain.stages.tables import TABLES

ROOT = Path(__file__).resolve().parents[1]
GIT = shutil.which("git")
WORLD = {"source": "world", "parts": [1], "pool": "seen"}
PAIRS = WORLD | {"count": 3, "parts": [2]}
# Profile smoke with two arms, all as small as it goes. The base only has to be right now and then.
CHANGES: dict[str, Any] = {
    "machine": {"device": "cpu", "workers": 1},
    "questions": {
        "mid": WORLD | {"count": 20},
        "reward": WORLD | {"count": 8},
        "rl": WORLD | {"count": 6},
        "benchmarks": {"pairs": PAIRS},
        "transfer": {"program": WORLD | {"count": 2, "task": "program"}},
    },
    "base": {"hidden": 32, "drill_steps": 120, "steps": 10, "batch": 32, "learning_rate": 0.006},
    "teacher": {"steps": 2, "batch": 8},
    "reward": {"sampling": {"samples": 2, "max_tokens": 20, "rows": 256}, "pairs": 20, "epochs": 1, "batch": 8},
    "generate": {"heuristics": 2, "samples": 16, "unprompted": 2, "max_tokens": 20},
    "distil": {"samples": 2, "max_tokens": 20},
    "midtrain": {"epochs": 1, "batch": 4, "micro_batch": 4},
    "rl": {"prompts": 3, "generations": 4, "micro_batch": 12, "max_tokens": 20},
    "evaluate": {"samples": 6, "max_tokens": 40},
    "compose": {"benchmarks": ["pairs"], "labelled": 10},
    "diversity": {"size": 2, "resamples": 10},
    "modes": {"questions": 2, "generations": 4},
    "tables": {"ks": [1, 4], "resamples": 100},
}
ARMS = {"vanilla": {"traces": "none"}, "n1": {"traces": "heuristics", "n": 1}}
SHARED = {"questions", "base", "teacher", "reward", "generate", "distil", "verify", "score", "select"}
OWN = ("midtrain", "rl", "evaluate", "modes")  # of each arm
LAST = {"compose", "diversity", "figures", "claims", "page", *(f"tables@{name}" for name in TABLES)}


def of(arm: str) -> set[str]:
    return {f"{stage}@{arm}" for stage in OWN}


def run(*command: str, folder: Path, store: Path) -> str:
    """A command in a host's folder, on the code there; what it said."""
    environment = os.environ | {
        "PYTHONPATH": str(folder / "src"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "MLFLOW_TRACKING_URI": f"sqlite:///{store}",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stages(said: str) -> tuple[set[str], set[str]]:
    """The stages that ran, and those that came out of the run cache."""
    restored = re.findall(r"^Stage '(\S+)' is cached - skipping run", said, re.MULTILINE)
    return set(re.findall(r"^Running stage '(\S+)':", said, re.MULTILINE)), set(restored)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository of this code with the settings of the small study and no run."""
    if GIT is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    folder = tmp_path / "origin"
    listed = [GIT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0"):
        if not name.startswith(("tests/", "reports/", "results/", "dvc.lock")) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    content = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text())
    content |= {"profile": "two-hosts", "seeds": [1], "arms": ARMS}
    for name, block in CHANGES.items():
        content[name] |= block
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    person = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for line in (["init", "-q"], ["add", "-A"], [*person, "commit", "-q", "-m", "study"]):
        subprocess.run([GIT, *line], cwd=folder, check=True)
    return folder


@pytest.mark.slow
def test_arms_of_several_hosts_become_tables_that_nobody_computes_again(origin: Path, tmp_path: Path) -> None:
    store, remote = tmp_path / "mlflow.db", tmp_path / "remote"

    def host(name: str) -> Path:
        folder = tmp_path / name
        subprocess.run([str(GIT), "clone", "-q", str(origin), str(folder)], check=True)
        run("dvc", "remote", "add", "-q", "-d", "shared", str(remote), folder=folder, store=store)
        return folder

    def make(folder: Path, *words: str) -> tuple[set[str], set[str]]:
        return stages(run("make", "-o", "setup", *words, folder=folder, store=store))

    first, second, last = host("first"), host("second"), host("last")
    assert make(first, "arm", "ARM=n1") == (SHARED | of("n1"), set())
    assert make(second, "arm", "ARM=vanilla") == (of("vanilla"), SHARED)
    assert make(last, "repro") == (LAST, SHARED | of("n1") | of("vanilla"))
    for arm, folder in (("n1", first), ("vanilla", second)):
        counts = paths.COUNTS / f"{arm}.json"
        assert (last / counts).read_bytes() == (folder / counts).read_bytes()

    # One host that had no other to ask: the first one, without the remote.
    run("dvc", "remote", "remove", "shared", folder=first, store=store)
    assert make(first, "repro") == (LAST | of("vanilla"), set())
    for name in TABLES:
        table = Path(f"reports/tables/{name}.csv")
        assert (last / table).read_bytes() == (first / table).read_bytes()
        assert len((last / table).read_text().splitlines()) > 1

    # Nor does one host alone compute again what it has shared with itself, small results included.
    shutil.rmtree(first / "results/counts")
    (first / "dvc.lock").unlink()
    ran, restored = stages(run("dvc", "repro", "evaluate@vanilla", folder=first, store=store))
    assert (ran, restored) == (set(), SHARED | of("vanilla") - {"modes@vanilla"})
    assert (first / paths.COUNTS / "vanilla.json").exists()


def test_outside_of_a_project_there_is_nothing_to_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^DVC: you are not inside of a DVC repository"):
        share.share()
