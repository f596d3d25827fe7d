"""dvc.lock: for each stage of the last run its command, its settings, and the hashes of what it read and wrote.

DVC writes it anew after each stage, in place and for up to a second: a kill meanwhile leaves it cut short, or empty,
and the record of the whole study would be gone. So each stage copies it first, and the next run begins with the copy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from polya_midtrain.errors import UserError
from polya_midtrain.params import yamlfile
from polya_midtrain.runtime import scratch

LOCK = Path("dvc.lock")
COPY = scratch.ROOT / LOCK.name  # as it was when the last stage began
RWLOCK = Path(".dvc/tmp/rwlock")  # who works on which path, by DVC
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


def keep() -> None:
    """Copy dvc.lock, which is whole while a stage runs.

    Raises `UserError` where it has been cut short: this run does without the record, and would do all of it again.
    """
    if not LOCK.exists():
        COPY.unlink(missing_ok=True)
        return
    if _cut():
        raise UserError(f"{LOCK}: cut short when a run was killed; `make repro` restores it and goes on")
    COPY.parent.mkdir(exist_ok=True)
    scratch.write(COPY, LOCK.read_text(encoding="utf-8"))


def outs(name: str) -> dict[str, str]:
    """What dvc.lock says that a stage has made, path -> md5."""
    text = LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
    return {out["path"]: out["md5"] for out in _entry(text, name).get("outs", [])}


def mend() -> str:
    """Undo what a killed DVC has left half written, before the next one starts; the line that says so, or ""."""
    try:
        json.loads(RWLOCK.read_bytes())
    except FileNotFoundError:
        pass
    except ValueError:
        RWLOCK.unlink()
    if not LOCK.exists() or not _cut():
        return ""
    if COPY.exists():
        scratch.write(LOCK, COPY.read_text(encoding="utf-8"))
        return f"{LOCK} was cut short when a run was killed: restored as it was when its last stage began"
    LOCK.unlink()  # of a first stage, whose result is found again
    return f"{LOCK} was cut short when a run was killed in its first stage: removed"


def _cut() -> bool:
    """Whether dvc.lock is the beginning of one: it ends within a line, or its last stage has no outputs yet."""
    text = LOCK.read_text(encoding="utf-8", errors="replace")
    names = re.findall(r"^  (\S+):$", text, re.MULTILINE)
    made = _entry(text, names[-1]).get("outs") if names else None
    return not text.endswith("\n") or (text.startswith("schema:") and not (made and "size" in made[-1]))


def _entry(text: str, name: str) -> dict[str, Any]:
    """The entry of a stage; only that part is read, for all of it may be large."""
    found = re.search(rf"^  {re.escape(name)}:\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    return dict(yamlfile.parse(found[1])) if found else {}
