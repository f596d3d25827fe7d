"""Tracking: every stage, and every training seed, is one flat tagged run in MLflow.

    with tracking.run(params, stage="generate", inputs_hash=key) as run:
        run.metrics({"completions": 512})
        run.pointer(Path("data/traces/generated.parquet"))

    with tracking.trainer_run(params, stage="rl", arm="n4", seed=1, inputs_hash=key) as run:
        trainer = GRPOTrainer(..., args=GRPOConfig(report_to="none", ...), callbacks=run.callbacks)

Runs are never nested: the tags study, profile, stage, arm, phase, seed, git_commit and inputs_hash relate them. Weights
stay in DVC; a run points to them. How and when a run reaches the store is `mlflow_store`'s business.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import numbers
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from pydantic import BaseModel

from polya_midtrain.params import Params, flat
from polya_midtrain.runtime import machine, mlflow_store
from polya_midtrain.runtime.clutter import is_clutter
from polya_midtrain.runtime.mlflow_store import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from transformers import TrainerCallback

_FOREIGN = re.compile(r"[^0-9A-Za-z_\-. :/]")  # what MLflow refuses in a name


class Run:
    """What a stage says about its work."""

    def __init__(self, record: Record, client: MlflowClient | None = None) -> None:
        self._record, self._client = record, client

    def metrics(self, values: Mapping[str, float | None], step: int | None = None) -> None:
        """Log numbers, final ones or those of a step; None and what is not finite is counted as missing."""
        stamp = _now()
        for name, value in values.items():
            self._record.metrics.append((metric_name(name), _number(value), stamp, step or 0))

    def curve(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Log a curve: each point holds ``step`` and that step's numbers; a text is left out."""
        for point in points:
            numbers = {name: value for name, value in point.items() if name != "step" and not isinstance(value, str)}
            self.metrics(numbers, step=int(point["step"]))

    def pointer(self, path: Path, name: Path | None = None) -> None:
        """Point to a DVC output, as the hash that dvc.lock has for it and its size in bytes.

        ``name``: the output's place, if ``path`` is where it lies until it is published.
        """
        digest, size = dvc_hash(path)
        self._record.tags[f"out:{(name or path).as_posix()}"] = mlflow_store.pointer(digest, size)

    @property
    def callbacks(self) -> list[TrainerCallback]:
        """The trainer callbacks that log live: transformers' own for MLflow, or none if the store cannot be used.

        Give them to a trainer as ``callbacks=`` and set ``report_to="none"``: with "mlflow" in report_to trl would also
        log the duration of every call that it profiles, one database transaction each.
        """
        if self._client is None:
            return []
        from transformers.integrations import MLflowCallback

        return [MLflowCallback()]


@contextmanager
def run(
    params: Params,
    *,
    stage: str,
    arm: str | None = None,
    seed: int | None = None,
    phase: str | None = None,
    inputs_hash: str = "",
) -> Iterator[Run]:
    """A stage's run, from the block's start to its end; an exception marks it as failed. Costs a millisecond."""
    record = _record(params, stage, arm, seed, phase, inputs_hash)
    with _closing(record):
        yield Run(record)


@contextmanager
def trainer_run(
    params: Params,
    *,
    stage: str,
    arm: str | None = None,
    seed: int | None = None,
    phase: str | None = None,
    inputs_hash: str = "",
) -> Iterator[Run]:
    """A run whose curves appear while a trainer works (see `Run.callbacks`); for one training at a time a process.

    Work that goes on after a crash continues the run that the crash left open. Takes a second where trl is loaded.
    """
    record = _record(params, stage, arm, seed, phase, inputs_hash)
    client = _open(record)
    with _closing(record, live=client is not None):
        yield Run(record, client)


def metric_name(name: str) -> str:
    """A name that MLflow takes."""
    return _FOREIGN.sub("_", name)


def dvc_hash(path: Path) -> tuple[str, int]:
    """DVC's md5 of a file or folder, and its bytes: a folder's is the md5 of the list of its files with ``.dir``."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "md5").hexdigest(), path.stat().st_size
    entries, size = [], 0
    for file in path.rglob("*"):
        if file.is_file() and not is_clutter(file.relative_to(path)):
            digest, bytes_ = dvc_hash(file)
            entries.append({"md5": digest, "relpath": file.relative_to(path).as_posix()})
            size += bytes_
    listing = json.dumps(sorted(entries, key=lambda entry: entry["relpath"]), sort_keys=True)
    return hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest() + ".dir", size


def _record(
    params: Params, stage: str, arm: str | None, seed: int | None, phase: str | None, inputs_hash: str
) -> Record:
    tags = {
        "study": mlflow_store.EXPERIMENT,
        "profile": params.profile,
        "stage": stage,
        "arm": arm,
        "phase": phase,
        "seed": None if seed is None else str(seed),
        "git_commit": commit(),
        "inputs_hash": inputs_hash,
        **machine.tags(params.machine.device),
    }
    blocks = {stage: getattr(params, stage, None), "arm": params.arm(arm) if arm else None}
    settings = {
        f"{prefix}.{name}": str(value)
        for prefix, block in blocks.items()
        if isinstance(block, BaseModel)
        for name, value in flat(block).items()
    }
    name = " ".join(filter(None, [stage, arm, phase, f"seed {seed}" if seed is not None else ""]))
    return Record(name, {key: value for key, value in tags.items() if value}, settings, _now())


@contextmanager
def _closing(record: Record, live: bool = False) -> Iterator[None]:
    """Mark how the block ended and hand the record on: to its run if that is open, or else to the outbox."""
    outcome = "FAILED"
    try:
        yield
        outcome = "FINISHED"
    except KeyboardInterrupt:
        outcome = "KILLED"
        raise
    finally:
        record.status, record.end = outcome, _now()
        if live:
            _drain(outcome)
        if record.run_id is None or not _delivered(record):
            mlflow_store.keep(record)


def _open(record: Record) -> MlflowClient | None:
    """Make the run in the store and MLflow's active one, so that the callback logs there; None if that fails."""
    try:
        client = mlflow_store.connect()
        import mlflow

        # The callback would leave our run for one of its own if these were set.
        os.environ.pop("MLFLOW_RUN_ID", None)
        os.environ["MLFLOW_NESTED_RUN"] = "FALSE"
        mlflow.set_tracking_uri(mlflow_store.tracking_uri())
        mlflow_store.resume(client, record)
        mlflow_store.post(client, record)
        mlflow.start_run(run_id=record.run_id)
    except Exception as error:
        mlflow_store.warn(error)
        return None
    mlflow_store.post_pending()
    return client


def _drain(outcome: str) -> None:
    """Wait for the callback's numbers, which a thread writes (a forked process would end without it)."""
    import mlflow

    with suppress(Exception):  # a store that is gone by now fails in `_delivered` too, which says so
        mlflow.flush_async_logging()
    with suppress(Exception):
        mlflow.end_run(outcome)


def _delivered(record: Record) -> bool:
    try:
        mlflow_store.post(mlflow_store.connect(), record)
    except Exception as error:
        mlflow_store.warn(error)
        return False
    return True


@functools.cache
def commit() -> str:
    """The checked-out commit, or "" outside of a git repository of the project's own (`head`)."""
    return head(Path())


def head(folder: Path) -> str:
    """The commit that a project's folder is at; "" where it is in no repository, or in one that does not hold it."""
    command = ["git", "-C", str(folder), "rev-parse", "HEAD", "HEAD:./"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.split()[0] if found.returncode == 0 else ""


def finite(value: object) -> TypeGuard[float]:
    """Whether a value is a number that can be drawn and averaged."""
    return not isinstance(value, bool) and isinstance(value, numbers.Real) and math.isfinite(value)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _now() -> int:
    return int(time.time() * 1000)
