"""Stage code: which files each stage uses, and their hashes, so that an edit re-runs what uses it and nothing else.

The lists are read off the imports (runtime/sources.py): dvc.yaml names one file a stage instead of all its sources.
"""

from __future__ import annotations

import json

from polya_midtrain import paths
from polya_midtrain.params import Params
from polya_midtrain.runtime import guard, sources
from polya_midtrain.runtime.stage import stage


def run(params: Params) -> None:
    """Write results/code/STAGE.json, of stage tables results/code/tables@TABLE.json: file of the package -> SHA-256."""
    with stage(params, "code", outputs={"code": paths.CODE}) as this:
        folder = this.work / "code"
        folder.mkdir(exist_ok=True)
        for label in guard.with_code():
            content = sources.hashes(*label.split("@"))
            (folder / f"{label}.json").write_text(json.dumps(content, indent=0) + "\n", encoding="utf-8")
        this.numbers["stages"] = len(list(folder.iterdir()))
