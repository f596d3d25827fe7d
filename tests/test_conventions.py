"""What other tools expect of a repository: checks of a forge, hooks before a commit, a container to develop in."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def test_the_forge_runs_what_every_change_has_to_pass() -> None:
    (job,) = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text())["jobs"].values()
    assert job["steps"][-1] == {"run": ".ci/run"}
    assert job["timeout-minutes"] <= 90
    assert job["container"].startswith("python:3.11")  # root, with apt, as the script wants it


def test_the_hooks_pass_on_what_is_here() -> None:
    (held,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert {hook["id"] for hook in held["hooks"]} == {"ruff-check", "ruff-format", "settings"}
    for hook in held["hooks"]:
        program, *words = shlex.split(hook["entry"])
        files = [] if hook.get("pass_filenames") is False else ["tests/test_conventions.py"]
        command = [Path(program).name, *words, *files]
        assert program == f".venv/bin/{command[0]}"
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout + found.stderr


def test_the_container_to_develop_in_has_what_the_checks_install() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    recipe = (ROOT / ".devcontainer" / container["build"]["dockerfile"]).read_text()
    wanted = re.search(r"no-install-recommends (.*?) >/dev/null", (ROOT / ".ci/run").read_text())
    assert wanted is not None
    assert set(wanted[1].split()) <= set(recipe.split())
    assert {"make", "git"} <= set(recipe.split())
