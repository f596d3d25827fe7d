"""The record of a finished run: a project's folder, a kept run (reports/NAME), or what git has committed."""

from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.params import Params, yamlfile
from polya_midtrain.runtime import lock

KEPT_LOCK = "lock.yaml"  # dvc.lock in a kept run


@dataclass(frozen=True)
class Record:
    """``leaves``: the settings by dotted name; ``stages``: the entries of its lock file."""

    folder: Path
    params: Params
    leaves: dict[str, Any]
    stages: dict[str, Any]

    def read(self, name: str) -> dict[str, Any]:
        """What a stage was made from: its command, settings by dotted name, and the md5 of code and data by path."""
        entry = self.stages[name]
        deps = {dep["path"]: dep["md5"] for dep in entry.get("deps", [])}
        return {"cmd": entry["cmd"]} | leaves(lock.settings(entry)) | deps

    def made(self, name: str) -> dict[str, str]:
        """What a stage made, path -> md5, but for its metrics, which hold seconds."""
        outs = self.stages[name].get("outs", [])
        return {out["path"]: out["md5"] for out in outs if paths.METRICS not in Path(out["path"]).parents}

    @property
    def small(self) -> dict[str, str]:
        """The results and tables that git keeps, path -> md5."""
        made = (item for name in self.stages for item in self.made(name).items())
        return {path: md5 for path, md5 in made if path.startswith(("results/", "reports/tables/"))}


def load(folder: Path) -> Record:
    """Read the record in a folder; `UserError` where params.yaml or the lock file is missing or broken."""
    kept, file = folder / KEPT_LOCK, folder / settings.PARAMS_FILE
    params, stages = settings.load(file), lock.stages(kept if kept.exists() else folder / lock.LOCK)
    # Those of another profile's arms stay in a lock file.
    known = {name: entry for name, entry in stages.items() if _has(params, *name.partition("@")[::2])}
    return Record(folder, params, leaves(yamlfile.content(file)), known)


def _has(params: Params, stage: str, item: str) -> bool:
    return not item or stage == "tables" or item in params.arms


def committed(profile: str, scratch: Path) -> Path | None:
    """The folder of the committed run of a profile: git's, brought to ``scratch``, or a kept one's; None for none."""
    folders = [scratch] if from_git(scratch) else []
    folders += [path.parent.parent for path in sorted(paths.TABLES.parent.glob("*/results/counts"))]
    named = (folder for folder in folders if yamlfile.content(folder / settings.PARAMS_FILE)["profile"] == profile)
    return next(named, None)


def from_git(scratch: Path) -> bool:
    """Bring the run that git has, committed or staged to be, to a folder; False where it has none."""
    files = " ".join(map(str, (settings.PARAMS_FILE, lock.LOCK, paths.METRICS.parent, paths.TABLES)))
    command = f"git archive $(git write-tree) -- {files}"
    found = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    if found.returncode == 0:
        with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
            archive.extractall(scratch, filter="data")
    return found.returncode == 0


def leaves(content: Any, place: str = "") -> dict[str, Any]:
    """Nested settings as one level, by dotted name; a list is one value."""
    if not isinstance(content, dict):
        return {place: content}
    below = [leaves(value, f"{place}.{key}" if place else key) for key, value in content.items()]
    return {name: value for found in below for name, value in found.items()}
