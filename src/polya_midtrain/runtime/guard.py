"""The code and the settings that a stage reads, as dvc.yaml lists them, and that they stay the same while it runs.

DVC hashes them after a stage has run: an edit meanwhile would be recorded as what made its outputs. So a stage notes
them at its start, and fails at its end if they changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polya_midtrain.errors import UserError
from polya_midtrain.params import PARAMS_FILE
from polya_midtrain.runtime import yamlfile
from polya_midtrain.runtime.scratch import hash_inputs

PIPELINE = Path("dvc.yaml")


class Guard:
    """The sources and settings of a stage as they are now. ``item``: the arm or table of an expanded stage."""

    def __init__(self, stage: str, item: str | None) -> None:
        self.stage, self.item = stage, item
        self.before = reads(stage, item)

    def check(self) -> None:
        """Raise `UserError` if one of them is no longer what it was."""
        now = reads(self.stage, self.item)
        for what, value in self.before.items():
            if now.get(what) != value:
                raise UserError(
                    f"{what}: changed while stage {self.stage} ran; its outputs, made by the older version, are not "
                    "recorded: run `dvc repro` again"
                )


def reads(stage: str, item: str | None) -> dict[str, Any]:
    """What dvc.yaml lists, but for what other stages make: the values of settings, the hashes of sources.

    ``item``: the arm or table of an expanded stage. Empty outside of a project.
    """
    if not PIPELINE.exists():
        return {}
    entry = yamlfile.content(PIPELINE)["stages"].get(stage, {})
    entry = entry.get("do", entry)
    settings = yamlfile.content(PARAMS_FILE)
    found: dict[str, Any] = {}
    for name in (_expand(name, item) for name in entry.get("params", [])):
        found[f"{PARAMS_FILE}: {name}"] = _at(settings, name)
    for dep in (_expand(dep, item) for dep in entry.get("deps", [])):
        path = Path(str(_at(settings, dep[2:-1])) if dep.startswith("${") else dep)
        if dep.startswith(("${", "src/")) and path.exists():
            found[str(path)] = hash_inputs([path], {})
    return found


def _expand(text: str, item: str | None) -> str:
    return text.replace("${key}", item or "").replace("${item}", item or "")


def _at(settings: Any, name: str) -> Any:
    """The value under a dotted name, None where there is none."""
    for part in name.split("."):
        settings = settings.get(part) if isinstance(settings, dict) else None
    return settings
