"""What `polya sync` does."""

from __future__ import annotations

import subprocess

from polya_midtrain import params as settings
from polya_midtrain.runtime import lock, mlflow_store, scratch, tracking
from polya_midtrain.tools.mlflow_export import outputs, runs, store


def sync() -> list[str]:
    """Post the runs that wait, then add what the pipeline's outputs tell and the store lacks; lines that say so."""
    posted = mlflow_store.post_pending(wait=True)
    left = len(list(mlflow_store.OUTBOX.glob("*.json")))
    lines = [f"{posted} runs posted" + (f", {left} still wait" if left else "")]
    if lock.LOCK.is_file():
        made, missing = outputs.read()
        with scratch.locked("outbox", wait=True):
            added, completed = store.add(runs.wanted(made, settings.load(), commit()))
        lines.append(f"{added} runs added and {completed} completed from the outputs of {len(made)} stages")
        if missing:
            lines.append(f"{len(missing)} stages left out, such as {missing[0]}")
    return lines


def commit() -> str:
    """The commit of the pipeline's outputs: the last one of dvc.lock, or the one checked out if that has changed."""
    asked = (["diff", "--quiet", "HEAD", "--", str(lock.LOCK)], ["log", "-1", "--format=%H", "--", str(lock.LOCK)])
    try:
        unchanged, last = (
            subprocess.run(["git", *command], capture_output=True, text=True, timeout=30, check=False)
            for command in asked
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return last.stdout.strip() if unchanged.returncode == last.returncode == 0 else tracking.commit()
