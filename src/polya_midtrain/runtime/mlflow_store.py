"""Where tracked runs go: an outbox of small JSON files, and from there the MLflow store.

Loading mlflow and opening its store takes 2.5 s of a core, which is more than most stages need for their work. So a
stage leaves its run in ``.scratch/outbox``, and `post_pending` posts what waits there when a process has the store
open anyway (training does, for its live curves), after the last stage, and before the UI is opened. A store that is
broken or out of reach costs one warning: the study goes on and the runs wait.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from polya_midtrain.errors import shown
from polya_midtrain.runtime import environment
from polya_midtrain.runtime.scratch import ROOT, locked

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "polya-midtrain"
OUTBOX = ROOT / "outbox"
ARTIFACTS = Path("mlartifacts")
DATABASE = Path("mlflow.db")

_METRICS, _SETTINGS = 800, 100  # of each kind in one batch: MLflow takes 1000 in all, 100 params and 100 tags
_LONGEST = 6000  # characters of a setting that MLflow takes
_ABOUT = {
    "mlflow.experimentKind": "custom_model_development",  # the UI then opens with the runs, not with chat traces
    "mlflow.note.content": "Policies, to be compared by pass@k and by the curves of their RL: "
    "`tags.stage = 'evaluate' and tags.phase = 'after'`",
}
_warned = False


@dataclass
class Record:
    """One run as MLflow will show it. Metrics are (name, value, time in ms, step)."""

    name: str
    tags: dict[str, str]
    params: dict[str, str]
    start: int
    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    status: str = "RUNNING"
    end: int = 0
    run_id: str | None = None  # set once the run exists in the store
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


def keep(record: Record) -> None:
    """Leave a finished run in the outbox; where that cannot be done it is lost, and said."""
    path = OUTBOX / f"{record.start}-{record.id}.json"
    draft = path.with_suffix(".new")
    try:
        OUTBOX.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(asdict(record)), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        _say(f"{OUTBOX}: run {record.name!r} cannot be kept ({error.strerror}); make it a folder with room in it")


def post_pending(wait: bool = False) -> int:
    """Post the runs in the outbox, oldest first; how many were posted.

    With ``wait`` another process that posts is waited for, without it is left to do the work.
    """
    if not any(OUTBOX.glob("*.json")):
        return 0  # and mlflow is not even imported
    posted = 0
    with locked("outbox", wait) as ours:
        if not ours:
            return 0
        try:
            client = connect()
            experiment(client)
        except Exception as error:  # sqlite, HTTP and MLflow have their own: none of them may stop a study
            warn(error)
            return 0
        for path in sorted(OUTBOX.glob("*.json")):
            try:
                record = TypeAdapter(Record).validate_json(path.read_bytes())
            except (ValueError, OSError):
                _say(f"{path}: not a tracked run; delete the file, `polya sync` makes the run from the outputs")
                continue
            try:
                if record.run_id is None:
                    create(client, record)
                    keep(record)  # a crash from here on does not make a second run of it
                post(client, record)
            except Exception as error:
                warn(error)
                continue
            path.unlink()
            posted += 1
    return posted


def tracking_uri() -> str:
    """The store: MLFLOW_TRACKING_URI, or else mlflow.db in the working directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _own_database()


def _own_database() -> str:
    """Its whole path, unless that holds what means something else in an address, which MLflow and SQLAlchemy read
    differently."""
    path = DATABASE if re.search(r"[?%]", str(DATABASE.resolve())) else DATABASE.resolve()
    return f"sqlite:///{path}"


def connect() -> MlflowClient:
    """Open the store; the first process makes the database (2 s) while others wait."""
    environment.set_defaults()
    # Where another library has loaded mlflow already, it does not look there again.
    logging.getLogger("mlflow").setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
    with locked("store", wait=True):
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=tracking_uri())


def experiment(client: MlflowClient) -> str:
    """The id of the study's experiment, which is made if need be."""
    with locked("store", wait=True):
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        local = tracking_uri().startswith("sqlite:")
        return str(client.create_experiment(EXPERIMENT, ARTIFACTS.resolve().as_uri() if local else None, _ABOUT))


def create(client: MlflowClient, record: Record) -> None:
    """Make a run in the store for ``record``."""
    record.run_id = client.create_run(experiment(client), record.start, record.tags, record.name).info.run_id


def resume(client: MlflowClient, record: Record) -> None:
    """Take over the run that an interrupted attempt at the same work left open, or make one."""
    same = [name for name in ("stage", "arm", "phase", "seed", "inputs_hash") if name in record.tags]
    if "inputs_hash" in same:
        wanted = [f"tags.`{name}` = '{record.tags[name]}'" for name in same]
        query = " and ".join([*wanted, "attributes.status = 'RUNNING'"])
        found = client.search_runs([experiment(client)], query, max_results=1)
        if found:
            record.run_id = found[0].info.run_id
            return
    create(client, record)


def post(client: MlflowClient, record: Record) -> None:
    """Write what ``record`` holds to its run; writing it again changes nothing."""
    from mlflow.entities import Metric, Param, RunTag

    assert record.run_id is not None
    params = _parts([Param(name, value) for pair in record.params.items() for name, value in _whole(*pair)], _SETTINGS)
    # SQLite would take the largest number for an infinite one.
    missing = Counter(name for name, value, _, _ in record.metrics if not math.isfinite(value))
    counted = {"not_finite": ", ".join(f"{name} {missing[name]}" for name in sorted(missing))} if missing else {}
    tags = _parts([RunTag(name, value) for name, value in (record.tags | counted).items()], _SETTINGS)
    finite = [Metric(*one) for one in record.metrics if math.isfinite(one[1])]
    metrics = _parts(finite, _METRICS)
    for some in zip_longest(metrics, params, tags, fillvalue=()):
        client.log_batch(record.run_id, *some)
    if record.status != "RUNNING":
        client.set_terminated(record.run_id, record.status, record.end)


def pointer(md5: str, size: int) -> str:
    """How a tag points to a file or folder that DVC keeps."""
    return f"md5 {md5}, {size} bytes"


def warn(error: Exception) -> None:
    """Say once per process that the store cannot be used, in one line."""
    global _warned
    if not _warned:
        _warned = True
        what = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        remedy = "post them with `polya sync`"
        if tracking_uri() == _own_database() and DATABASE.exists():
            remedy = f"if it is broken, move {DATABASE} away: `polya sync` makes it again"
        _say(f"MLflow store {tracking_uri()}: {what}; the study goes on, its runs wait in {OUTBOX} ({remedy})")


def faulty() -> bool:
    """Whether this process could not use the store."""
    return _warned


def _say(warning: str) -> None:
    print(f"polya: warning: {shown(warning)}", file=sys.stderr)


def _whole(name: str, value: str) -> Iterator[tuple[str, str]]:
    """A setting; one that is too long as several, NAME, NAME.2, NAME.3, whose values make up the whole."""
    for number, start in enumerate(range(0, max(len(value), 1), _LONGEST), 1):
        yield name if number == 1 else f"{name}.{number}", value[start : start + _LONGEST]


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
