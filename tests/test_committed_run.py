"""The committed run is one of the committed code and settings: in a fresh clone no stage is `modified`.

What is looked at is the last commit, cloned; nothing of the working tree, in which a user may have run something else.
After a change of code or settings `make repro` renews dvc.lock and the results, which belong into the same commit.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo

from polya_midtrain.params import yamlfile
from polya_midtrain.runtime import lock
from polya_midtrain.runtime.tracking import dvc_hash

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = ("data/", "models/")  # what stages make there is not kept by git


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    folder = tmp_path_factory.mktemp("clone") / "project"
    subprocess.run([git, "clone", "-q", str(ROOT), str(folder)], check=True)
    return folder


def of_pipeline(stage: Any) -> dict[str, Any]:
    """A stage of dvc.yaml, as DVC expands it, in the form of dvc.lock without its hashes."""
    files = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
    return {
        "cmd": stage.cmd,
        "deps": {dep.def_path for dep in files},
        "outs": {out.def_path for out in stage.outs},
        "params": {name for dep in stage.deps if isinstance(dep, ParamsDependency) for name in dep.params},
    }


def of_lock(entry: dict[str, Any]) -> dict[str, Any]:
    paths = {kind: {item["path"] for item in entry.get(kind, [])} for kind in ("deps", "outs")}
    return {"cmd": entry["cmd"], **paths, "params": set(lock.settings(entry))}


def test_no_stage_of_a_fresh_clone_is_modified(clone: Path) -> None:
    entries = lock.stages(clone / lock.LOCK)
    params = yamlfile.parse((clone / lock.PARAMS).read_text(encoding="utf-8"))

    @cache
    def digest(path: str) -> str:
        return dvc_hash(clone / path)[0] if (clone / path).exists() else "missing"

    modified = []
    stages = {stage.name: of_pipeline(stage) for stage in Repo(str(clone)).index.stages}
    for name in stages.keys() | entries.keys():
        if name not in stages or name not in entries or stages[name] != of_lock(entries[name]):
            modified.append(f"{name}: not the stage of dvc.yaml")
            continue
        modified += [f"{name}: {setting}" for setting in lock.changed(entries[name], params)]
        for item in [*entries[name]["deps"], *entries[name]["outs"]]:
            path = item["path"]
            kept = not path.startswith(ELSEWHERE) or (clone / path).exists()  # catalogues are in data/, and kept
            if kept and digest(path) != item["md5"]:
                modified.append(f"{name}: {path}")
    assert sorted(modified) == []
