"""The code and the settings that a stage reads, as dvc.yaml lists them, and that they stay the same while it runs.

DVC hashes them after a stage has run: an edit meanwhile would be recorded as what made its outputs. So a stage notes
them at its start, and fails at its end if they changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import PARAMS_FILE, yamlfile
from polya_midtrain.runtime import sources
from polya_midtrain.runtime.scratch import hash_inputs

PIPELINE = Path("dvc.yaml")


class Guard:
    """The sources and settings of a stage as they are now. ``item``: the arm or table of an expanded stage.

    Raises `UserError` where DVC runs the stage and its code is no longer what stage code has noted.
    """

    def __init__(self, stage: str, item: str | None) -> None:
        self.stage, self.item = stage, item
        self.before = reads(stage, item)
        if "DVC_STAGE" in os.environ:
            self._compare({shown(name): value for name, value in code(stage, item).items()}, self.before, "before")

    def check(self) -> None:
        """Raise `UserError` if one of them is no longer what it was."""
        self._compare(self.before, reads(self.stage, self.item), "while")

    def _compare(self, known: Mapping[str, Any], now: Mapping[str, Any], when: str) -> None:
        for what, value in known.items():
            if now.get(what) != value:
                raise UserError(
                    f"{what}: changed {when} stage {self.stage} ran; its outputs, made by the older version, are not "
                    "recorded: run `dvc repro` again"
                )


def reads(stage: str, item: str | None) -> dict[str, Any]:
    """What a stage reads, but for what other stages make: the values of settings, the hashes of sources.

    ``item``: the arm or table of an expanded stage. Empty outside of a project.
    """
    inputs, _, settings = listed(stage, item, yamlfile.content(PARAMS_FILE) if PIPELINE.exists() else {})
    found = {f"{PARAMS_FILE}: {name}": value for name, value in settings.items()}
    found |= {str(path): hash_inputs([path], {}) for path in inputs if path.exists()}
    return found | {shown(name): sources.sha256(name) for name in code(stage, item)}


def code(stage: str, item: str | None) -> dict[str, str]:
    """The files of the package that a stage uses, with their hashes, as stage code has noted them."""
    _, made, _ = listed(stage, item, {})
    found: dict[str, str] = {}
    for path in made:
        if path.parent == paths.CODE and path.exists():
            found |= json.loads(path.read_text(encoding="utf-8"))
    return found


def shown(name: str) -> str:
    """A file of the package as a message names it."""
    return f"src/polya_midtrain/{name}"


def with_code() -> list[str]:
    """The stages of dvc.yaml that depend on their code, expanded ones of modules of their own as STAGE@ITEM."""
    stages = yamlfile.content(PIPELINE)["stages"]
    found = []
    for name, entry in stages.items():
        each = entry.get("foreach")
        labels = [f"{name}@{item}" for item in each] if isinstance(each, dict) else [name]
        found += [label for label in labels if label != paths.CODE.name]
    return found


def listed(stage: str, item: str | None, settings: Mapping[str, Any]) -> tuple[list[Path], list[Path], dict[str, Any]]:
    """What dvc.yaml lists for a stage: inputs that people write, what other stages make, settings with their values.

    ``settings``: all of params.yaml. Nothing is listed outside of a project.
    """
    if not PIPELINE.exists():
        return [], [], {}
    entry = yamlfile.content(PIPELINE)["stages"].get(stage, {})
    each = entry.get("foreach")
    items = each if isinstance(each, dict) else {}
    entry = entry.get("do", entry)

    def filled(text: str) -> str:
        return text.replace("${key}", item or "").replace("${item}", items.get(item) or "")

    inputs: list[Path] = []
    made: list[Path] = []
    for dep in map(filled, entry.get("deps", [])):
        path = Path(str(_at(settings, dep[2:-1])) if dep.startswith("${") else dep)
        (inputs if dep.startswith("${") or len(path.parts) == 1 else made).append(path)
    return inputs, made, {name: _at(settings, name) for name in map(filled, entry.get("params", []))}


def _at(settings: Any, name: str) -> Any:
    """The value under a dotted name, None where there is none."""
    for part in name.split("."):
        settings = settings.get(part) if isinstance(settings, Mapping) else None
    return settings
