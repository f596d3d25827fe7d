"""dvc.lock: for each stage of the last run its command, its settings, and the hashes of what it read and wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from polya_midtrain.errors import UserError
from polya_midtrain.runtime import yamlfile

LOCK = Path("dvc.lock")
PARAMS = "params.yaml"


def stages(path: Path) -> dict[str, Any]:
    """The entry of each stage, STAGE[@ARM] -> cmd, deps, params, outs; `UserError` if the file is not one of DVC's."""
    try:
        return dict(yamlfile.parse(path.read_text(encoding="utf-8"))["stages"])
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; give the folder of a finished run") from error
    except (yaml.YAMLError, TypeError, KeyError, ValueError) as error:
        raise UserError(
            f"{path}: not a lock file of DVC; restore it with git, or delete it and run `dvc repro`"
        ) from error


def settings(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under which a stage ran, by their names in dvc.yaml: blocks, or single values (``score.batch``)."""
    return dict(entry.get("params", {}).get(PARAMS, {}))


def changed(entry: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The settings of a stage that the content ``now`` of params.yaml has otherwise, or no more."""
    found = []
    for name, value in settings(entry).items():
        block, _, rest = name.partition(".")
        held = now.get(block)
        if rest:
            held = held.get(rest) if isinstance(held, dict) else None
        if held != value:
            found.append(name)
    return found
