"""A stage's result from its publication until dvc.lock names it: a kill meanwhile would cost the whole stage.

DVC removes a stage's outputs before it runs the stage. So the result stays in the scratch folder too, as second names
of the same files, beside a note of what it is. A stage of the same inputs that finds it there publishes it again, and
the first stage that starts once dvc.lock names it removes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polya_midtrain.runtime import lock, scratch
from polya_midtrain.runtime.tracking import dvc_hash

NOTE = "finished.json"


class Again(Exception):
    """The result of an interrupted run is published again: there is nothing to compute."""


def wanted() -> bool:
    """Whether DVC runs this stage and will note its result; what is run by hand is run."""
    return "DVC_STAGE" in os.environ


def note(work: Path, label: str, outputs: Mapping[str, Path], numbers: Mapping[str, float]) -> None:
    """Say that a work folder holds a whole result, and leave nothing else in it. ``outputs``: names there -> places."""
    content = {
        "stage": label,
        "outputs": {source: place.as_posix() for source, place in outputs.items()},
        "hashes": {source: dvc_hash(work / source)[0] for source in outputs},
        "numbers": dict(numbers),
    }
    scratch.write(work / NOTE, json.dumps(content))
    for path in work.iterdir():
        if path.name not in (NOTE, *outputs):
            scratch.remove(path)


def publish(work: Path) -> dict[str, float]:
    """Put the result of a work folder in its places and keep it; its numbers."""
    content = _read(work)
    for source, place in content["outputs"].items():
        scratch.twin(work / source, work / f".{source}")
        scratch.publish(work / f".{source}", Path(place))
    return dict(content["numbers"])


def there(work: Path) -> bool:
    """Whether a work folder holds a whole result, and nothing has changed it."""
    if not (work / NOTE).exists():
        return False
    content = _read(work)
    return all(
        (work / source).exists() and dvc_hash(work / source)[0] == md5 for source, md5 in content["hashes"].items()
    )


def sweep() -> None:
    """Keep a copy of dvc.lock, and remove the results that it names."""
    lock.keep()
    for path in scratch.ROOT.glob(f"*/*/{NOTE}"):
        content = _read(path.parent)
        made = lock.outs(content["stage"])
        if all(made.get(place) == content["hashes"][source] for source, place in content["outputs"].items()):
            scratch.discard(path.parent)


def _read(work: Path) -> dict[str, Any]:
    return dict(json.loads((work / NOTE).read_text(encoding="utf-8")))
