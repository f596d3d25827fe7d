"""A study that takes a minute, in a repository of its own, and the project's commands in it as a user types them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MADE_BY_A_RUN = ("reports/", "results/", "dvc.lock")
WORLD = {"source": "world", "task": "chain", "parts": [1], "pool": "seen"}
PAIRS = WORLD | {"count": 3, "parts": [2]}
# Profile smoke, all as small as it goes. The base only has to be right now and then.
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
    "reward": {
        "sampling": {"samples": 2, "temperature": 1.0, "top_p": 1.0, "max_tokens": 20, "rows": 256},
        "pairs": 20,
        "epochs": 1,
        "batch": 8,
    },
    "generate": {"heuristics": 2, "samples": 16, "unprompted": 2, "max_tokens": 20},
    "distil": {"samples": 2, "max_tokens": 20},
    "midtrain": {"epochs": 1, "batch": 4, "micro_batch": 4},
    "rl": {"prompts": 3, "generations": 4, "micro_batch": 12, "max_tokens": 20},
    "evaluate": {"samples": 6, "max_tokens": 40},
    "compose": {"benchmarks": ["pairs"], "labelled": 10},
    "diversity": {"size": 2, "resamples": 10},
    "modes": {"questions": 2, "generations": 4},
    "tables": {"ks": [1, 4], "resamples": 100, "means": {}},
}


@pytest.fixture
def repository(tmp_path: Path, repository_files: dict[str, Path]) -> Callable[..., Path]:
    """Makes a repository of this code as it is here: ``repository(name, made)``, with the committed run if ``made``."""

    def make(name: str, made: bool, params: str | None = None) -> Path:
        folder = tmp_path / name
        for inside, path in repository_files.items():
            if not inside.startswith("tests/") and (made or not inside.startswith(MADE_BY_A_RUN)):
                (folder / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, folder / inside)
        if params is not None:
            (folder / "params.yaml").write_text(params)
        person = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        for line in (["init", "-q"], ["add", "-A"], [*person, "commit", "-q", "-m", "study"]):
            subprocess.run(["git", *line], cwd=folder, check=True)
        return folder

    return make


@pytest.fixture
def small_study(repository: Callable[..., Path]) -> Callable[..., Path]:
    """Makes a repository with the settings of the small study for some arms, or others, and no run."""

    def make(arms: dict[str, Any], **changes: Any) -> Path:
        content = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text())
        content |= {"profile": "small", "seeds": [1], "bases": [{}], "arms": arms}
        for name, block in CHANGES.items():
            content[name] |= block | changes.pop(name, {})
        content |= changes
        return repository("origin", False, yaml.safe_dump(content, sort_keys=False))

    return make


@pytest.fixture
def environment(tmp_path: Path) -> Callable[[Path], dict[str, str]]:
    """The environment in which a folder's commands run the code there and install nothing."""
    programs = tmp_path / "bin"
    programs.mkdir()
    # `make setup` would install the folder's code in place of this one's.
    make, python = shlex.quote(str(shutil.which("make"))), shlex.quote(sys.executable)
    main = "from polya_midtrain.start import main; raise SystemExit(main())"
    (programs / "make").write_text(f'#!/bin/sh\nexec {make} -o setup "$@"\n')
    (programs / "polya").write_text(f'#!/bin/sh\nexec {python} -c "{main}" "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)

    def of(folder: Path) -> dict[str, str]:
        found = os.environ | {
            "PYTHONPATH": str(folder / "src"),
            "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_PAGER": "cat",
            "DVC_PAGER": "cat",
        }
        found.pop("COVERAGE_PROCESS_CONFIG", None)  # the folder's copy of the code is not what coverage measures
        for name in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS"):
            found.pop(name, None)  # of `make test`: a user's own make is beneath no other, and says no folders
        return found

    return of


@pytest.fixture
def run(environment: Callable[[Path], dict[str, str]]) -> Callable[..., str]:
    """Runs a command in a folder, on the code there; returns what it said. ``codes``: how it may end."""

    def execute(*command: str, folder: Path, codes: Sequence[int] = (0,)) -> str:
        done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
        assert done.returncode in codes, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    return execute
