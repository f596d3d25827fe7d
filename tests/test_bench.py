"""`make bench`: the study that it measures has all that the pipeline needs; the rows of `make bench-gpu` run."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml

from polya_midtrain.runtime import tracking

ROOT = Path(__file__).resolve().parents[1]
COPIED = runpy.run_path(str(ROOT / "bench/overhead_ratio.py"))["COPIED"]
MADE = ("data/", "models/", "results/", "reports/")


def test_the_measured_study_has_every_file_that_a_stage_depends_on() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    deps = {dep for entry in stages for dep in entry.get("do", entry)["deps"]}
    by_hand = {dep for dep in deps if not dep.startswith((*MADE, "${"))} - {"params.yaml"}  # a profile, there
    assert by_hand > {"claims.yaml"}
    missing = [dep for dep in by_hand if not any(dep == name or dep.startswith(f"{name}/") for name in COPIED)]
    assert missing == []
    catalogue = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text(encoding="utf-8"))["prompts"]["catalogue"]
    assert catalogue.startswith("data/heuristics/")
    assert "data/heuristics" in COPIED


MEASURED = sorted((ROOT / "reports/gpu").glob("*.json"))


@pytest.fixture(scope="module")
def rows() -> Iterator[ModuleType]:
    """The rows of `make bench-gpu`, which lie beside the command as a script finds them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "bench"))
        import gpu_rows

        yield gpu_rows
        del sys.modules["gpu_rows"]


@pytest.fixture(scope="module")
def figures(rows: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """What each row says that needs no vLLM, on a CPU and a stand-in; of GRPO with vLLM's rollouts those without."""
    bench = rows.Bench(rows.TINY, "cpu", tmp_path_factory.mktemp("bench"))
    found = {name: row(bench) for name, row in rows.ROWS.items() if not name.endswith("vllm")}
    seeds = {"again": 1, "other seed": 2}
    assert not list(bench.folder.glob("trainer-*/checkpoint-*")), "38 GB of a model of 3B"
    return found | {name: rows.policy_gradient(bench, False, True, seed=seed) for name, seed in seeds.items()}


def test_every_row_that_needs_no_vllm_runs_on_a_cpu(rows: ModuleType, figures: dict[str, dict[str, float]]) -> None:
    assert len(figures) == 8
    for row in figures.values():
        assert row
        assert all(tracking.finite(value) and value >= 0 for value in row.values())
    sampling, ours = figures["sampling"], figures["grpo"]
    for form in rows.FORMATS:
        assert (sampling[f"same_again_{form}"], sampling[f"seeds_differ_{form}"]) == (1, 1)
    assert ours["first_rollouts"] == figures["again"]["first_rollouts"]
    assert ours["first_rollouts"] != figures["other seed"]["first_rollouts"]


@pytest.mark.parametrize("path", MEASURED, ids=[path.stem for path in MEASURED])
def test_what_was_measured_has_rows_and_figures_of_the_bench(
    path: Path, rows: ModuleType, figures: dict[str, dict[str, float]]
) -> None:
    told = json.loads(path.read_text(encoding="utf-8"))
    assert told["machine"].keys() >= {"device", "driver", "cuda", "torch", "vllm"}
    assert re.fullmatch(r"[0-9a-f]{40}", told["commit"])
    assert list(told["rows"]) == list(rows.ROWS)
    of_vllm = figures["grpo"].keys() | {"importance_ratio", "capped"}
    for name, row in told["rows"].items():
        if "fault" not in row and name != "sampling-vllm":
            measured, known = (  # without the lengths of rows, which are others here
                {re.sub(r"_\d+$", "", figure) for figure in some} for some in (row, figures.get(name, of_vllm))
            )
            assert measured <= known, name


def test_there_is_a_measurement() -> None:
    assert MEASURED


def test_a_row_that_fails_is_a_line_and_a_host_without_a_gpu_too(
    rows: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import gpu

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert re.fullmatch(r"bench-gpu: .* torch sees no GPU; .*\n", capsys.readouterr().err)
    assert "invalid choice: 'nonesuch'" in gpu.in_a_process("nonesuch", tiny=True)["fault"]
