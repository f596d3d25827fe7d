"""Bringing the store to the runs that it should have: what is there already stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from polya_midtrain.runtime import mlflow_store
from polya_midtrain.tools.mlflow_export.runs import Wanted

if TYPE_CHECKING:
    from mlflow import MlflowClient

IDENTITY = ("profile", "stage", "arm", "phase", "seed", "dvc_hash")
DONE = "outputs"  # the tag of a run that has its data sets and files; what a crash cut short is done again
PAGE = 1000


def add(runs: Iterable[Wanted]) -> tuple[int, int]:
    """Add the runs that are not there; how many were made, and how many of a live stage were completed.

    A stage that ran here left a run of its own, with the pointers to its outputs. It is taken, and gets what only the
    pipeline's outputs have: DVC's hash, data sets, and files. A run that somebody deleted in the UI stays deleted.
    Faults of the store are one warning, and the rest is left for the next time.
    """
    made = completed = 0
    try:
        client = mlflow_store.connect()
        there = _runs(client)
        known = {_identity(run.data.tags): run for run in there}
        live: dict[tuple[str, ...], list[Any]] = {}
        for run in there:
            if run.info.status == "FINISHED" and "dvc_hash" not in run.data.tags:
                live.setdefault(_outs(run.data.tags), []).append(run)
        for one in runs:
            tags = one.record.tags
            found = known.get(_identity(tags))
            if found is not None:
                if DONE not in found.data.tags:
                    one.record.run_id = found.info.run_id
                    mlflow_store.post(client, one.record)
                    _complete(client, one)
                continue
            same = [] if "seed" in tags else live.get(_outs(tags), [])
            for run in same:
                one.record.run_id = run.info.run_id
                _complete(client, one)
                completed += 1
            if not same:
                mlflow_store.create(client, one.record)
                mlflow_store.post(client, one.record)
                _complete(client, one)
                made += 1
    except Exception as error:  # sqlite, HTTP and MLflow have their own: none of them may stop a study
        mlflow_store.warn(error)
    return made, completed


def _complete(client: MlflowClient, one: Wanted) -> None:
    """Give a run its data sets and files; doing it again changes nothing."""
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.sources import LocalArtifactDatasetSource
    from mlflow.entities import DatasetInput, InputTag

    assert one.record.run_id is not None
    sets = [
        DatasetInput(
            MetaDataset(LocalArtifactDatasetSource(path), name=path, digest=digest)._to_mlflow_entity(),
            [InputTag("mlflow.data.context", context)],
        )
        for path, digest, context in one.inputs
    ]
    if sets:
        client.log_inputs(one.record.run_id, sets)
    for path in one.files:
        if path.is_dir():
            client.log_artifacts(one.record.run_id, str(path), path.name)
        else:
            client.log_artifact(one.record.run_id, str(path))
    client.set_tag(one.record.run_id, "dvc_hash", one.record.tags["dvc_hash"])
    client.set_tag(one.record.run_id, DONE, "complete")


def _runs(client: MlflowClient) -> list[Any]:
    """All runs of the experiment, deleted ones too."""
    from mlflow.entities import ViewType

    found: list[Any] = []
    token = None
    while True:
        page = client.search_runs([mlflow_store.experiment(client)], "", ViewType.ALL, PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _identity(tags: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(tags.get(name, "") for name in IDENTITY)


def _outs(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Profile, stage, arm, and the pointers to the outputs."""
    outs = sorted(f"{name} {value}" for name, value in tags.items() if name.startswith("out:"))
    return (tags.get("profile", ""), tags.get("stage", ""), tags.get("arm", ""), *outs)
