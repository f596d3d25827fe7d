"""The code and the settings that a stage reads, as dvc.yaml lists them, and that they stay the same while it runs.

DVC hashes them after a stage has run: an edit meanwhile would be recorded as what made its outputs. So a stage notes
them at its start, and fails at its end if they changed.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """What a stage reads, but for what other stages make: the values of settings, the hashes of sources.

    ``item``: the arm or table of an expanded stage. Empty outside of a project.
    """
    sources, _, settings = listed(stage, item, yamlfile.content(PARAMS_FILE) if PIPELINE.exists() else {})
    values = {f"{PARAMS_FILE}: {name}": value for name, value in settings.items()}
    return values | {str(path): hash_inputs([path], {}) for path in sources}


def listed(stage: str, item: str | None, settings: Mapping[str, Any]) -> tuple[list[Path], list[Path], dict[str, Any]]:
    """What dvc.yaml lists for a stage: sources, what other stages make, and settings with their values.

    ``settings``: all of params.yaml. A source that is not here is left out; nothing is listed outside of a project.
    """
    if not PIPELINE.exists():
        return [], [], {}
    entry = yamlfile.content(PIPELINE)["stages"].get(stage, {})
    each = entry.get("foreach")
    items = each if isinstance(each, dict) else {}
    entry = entry.get("do", entry)

    def filled(text: str) -> str:
        return text.replace("${key}", item or "").replace("${item}", items.get(item) or "")

    sources, made = [], []
    for dep in map(filled, entry.get("deps", [])):
        if dep.startswith(("${", "src/")):
            sources.append(Path(str(_at(settings, dep[2:-1])) if dep.startswith("${") else dep))
        else:
            made.append(Path(dep))
    values = {name: _at(settings, name) for name in map(filled, entry.get("params", []))}
    return [path for path in sources if path.exists()], made, values


def _at(settings: Any, name: str) -> Any:
    """The value under a dotted name, None where there is none."""
    for part in name.split("."):
        settings = settings.get(part) if isinstance(settings, Mapping) else None
    return settings
