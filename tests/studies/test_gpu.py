"""Profile smoke by `dvc repro` on a GPU, as a user runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from polya_midtrain.stages.tables import TABLES
from polya_midtrain.tables import read
from polya_midtrain.tables.row import MEAN, PASS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.gpu
@pytest.mark.slow
def test_profile_smoke_runs_on_a_gpu(repository: Callable[..., Path], run: Callable[..., str]) -> None:
    content = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text())
    content["machine"] |= {"device": "cuda", "workers": 0}
    study = repository("smoke", False, yaml.safe_dump(content, sort_keys=False))
    run("dvc", "repro", folder=study)

    def vanilla(table: str) -> float:
        rows = read.read(study / f"reports/tables/{table}.csv")
        pooled = "+".join(map(str, content["seeds"]))
        (value,) = (
            row.value
            for row in rows
            if (row.arm, row.benchmark, row.metric, row.k, row.seeds) == ("vanilla", MEAN, PASS, 1, pooled)
        )
        return value

    assert all((study / f"reports/tables/{table}.md").is_file() for table in TABLES)
    assert vanilla("main") > vanilla("midtrain"), "GRPO learns"
