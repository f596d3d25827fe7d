"""The committed run is one of the committed code and settings: a fresh clone has nothing to make again.

What is looked at is the last commit, cloned; nothing of the working tree, in which a user may have run something else.
After a change of code or settings `make repro` renews dvc.lock and the results, which belong into the same commit.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = ("data/", "models/")  # which git does not keep


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    folder = tmp_path_factory.mktemp("clone") / "project"
    subprocess.run([git, "clone", "-q", str(ROOT), str(folder)], check=True)
    return folder


def dvc(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_stage_of_a_fresh_clone_is_modified(clone: Path) -> None:
    found = []
    for stage, changes in json.loads(dvc(clone, "status", "--json")).items():
        for change in changes:
            if isinstance(change, str):  # of the command
                found.append(f"{stage}: {change}")
                continue
            for kind, paths in change.items():
                found += [
                    f"{stage}: {kind}: {path} {how}"
                    for path, how in paths.items()
                    if how != "deleted" or not path.startswith(ELSEWHERE)
                ]
    assert found == []


def test_what_a_reader_makes_again_retrains_nothing(clone: Path) -> None:
    said = dvc(clone, "repro", "--dry", "--allow-missing", "tables", "figures", "claims", "page")
    assert re.findall(r"Running stage '(\S+)'", said) == []
