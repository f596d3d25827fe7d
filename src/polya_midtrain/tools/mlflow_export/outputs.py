"""What the pipeline has made: the stages of dvc.lock whose small outputs are here and unchanged."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import yamlfile
from polya_midtrain.runtime import lock
from polya_midtrain.runtime.tracking import dvc_hash

SMALL = ("results", "reports")  # what git keeps; the other outputs may be in DVC's cache alone, or in a remote


@dataclass(frozen=True)
class Made:
    """A stage that has run: its settings, the data and models that it read and wrote as path -> (DVC's md5, bytes).

    ``files``: its small outputs but for its numbers, which are ``numbers``. ``end``: when they came here, in ms.
    """

    name: str  # STAGE or STAGE@ARM, as in dvc.lock
    stage: str
    arm: str | None
    settings: Mapping[str, Any]
    inputs: Mapping[str, tuple[str, int]]
    outs: Mapping[str, tuple[str, int]]
    files: tuple[Path, ...]
    numbers: Mapping[str, float]
    end: int

    @property
    def hash(self) -> str:
        """The md5 of its settings and of what DVC recorded of its outputs: the same for the same run of a study."""
        content = json.dumps([self.name, dict(self.settings), {path: md5 for path, (md5, _) in self.outs.items()}])
        return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()


def read() -> tuple[dict[str, Made], list[str]]:
    """The stages by name, and for each that is left out a line with the reason.

    A stage is left out if one of its small outputs is missing or is not the one that dvc.lock names, or if params.yaml
    has other settings than it ran under: then nothing says of which profile it is.
    """
    now = yamlfile.content(settings.PARAMS_FILE)
    found, left = {}, []
    for name, entry in lock.stages(lock.LOCK).items():
        reason = _fault(entry, now)
        if reason:
            left.append(f"{name}: {reason}")
        else:
            found[name] = _made(name, entry)
    return found, left


def _fault(entry: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Why a stage does not count as made; "" if it does."""
    other = lock.changed(entry, now)
    if other:
        return f"{settings.PARAMS_FILE} has another {other[0]}"
    for out in entry.get("outs", []):
        path = Path(out["path"])
        if path.parts[0] not in SMALL:
            continue
        if not path.exists():
            return f"{path} is missing"
        if dvc_hash(path)[0] != out["md5"]:
            return f"{path} is not what {lock.LOCK} names"
    return ""


def _made(name: str, entry: Mapping[str, Any]) -> Made:
    outs = {out["path"]: (out["md5"], int(out.get("size", 0))) for out in entry.get("outs", [])}
    deps = {dep["path"]: (dep["md5"], int(dep.get("size", 0))) for dep in entry.get("deps", [])}
    metrics = paths.METRICS / f"{name}.json"
    outs.pop(metrics.as_posix(), None)  # it says how many seconds the stage took, which is another every time
    arm = re.search(r" --arm (\S+)", entry["cmd"])
    return Made(
        name,
        name.partition("@")[0] if arm else name,
        arm[1] if arm else None,
        lock.settings(entry),
        {path: held for path, held in deps.items() if not path.startswith("src/")},
        outs,
        tuple(Path(path) for path in outs if Path(path).parts[0] in SMALL),
        _numbers(metrics),
        int(metrics.stat().st_mtime * 1000) if metrics.exists() else 0,
    )


def _numbers(path: Path) -> dict[str, float]:
    try:
        return {name: float(value) for name, value in json.loads(path.read_text(encoding="utf-8")).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not the numbers of a stage; delete the file and run `dvc repro`") from error
