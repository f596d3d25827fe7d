"""Every stage on a GPU, on the study that the other tests of the stages look at on a CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.params import Params
from polya_midtrain.runtime import mlflow_store
from polya_midtrain.stages.tables import TABLES
from polya_midtrain.tables import read


@pytest.mark.gpu
@pytest.mark.slow
def test_every_stage_runs_on_a_gpu_and_its_record_says_so(study_on_a_gpu: tuple[Path, Params]) -> None:
    folder, params = study_on_a_gpu
    for arm in params.arms:
        counts = json.loads((folder / paths.COUNTS / f"{arm}.json").read_text())["rows"]
        assert sum(row["c"] for row in counts) > 0, "what reads bfloat16 still answers"
        points = json.loads((folder / paths.CURVES / f"{arm}.json").read_text())["seeds"]
        assert set(points) == {"1", "101"}
        assert points["1"] != points["101"], "two runs have other rollouts"
        for seed in params.runs:
            assert policy.stored_dtype(folder / paths.RL / arm / f"seed-{seed}") == torch.bfloat16
    for table in TABLES:
        assert read.read(folder / paths.TABLES / f"{table}.csv")
    mlflow_store.post_pending(wait=True)
    client = mlflow_store.connect()
    found = client.search_runs([mlflow_store.experiment(client)], "tags.stage = 'rl' and tags.device != 'cpu'")
    assert {run.data.tags["cuda"] for run in found} == {torch.version.cuda}
    assert {run.data.tags["device"] for run in found} >= {torch.cuda.get_device_name()}
