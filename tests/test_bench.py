"""`make bench`: the study that it measures has all that the pipeline needs."""

from __future__ import annotations

import runpy
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
COPIED = runpy.run_path(str(ROOT / "bench/overhead_ratio.py"))["COPIED"]
MADE = ("data/", "models/", "results/", "reports/")


def test_the_measured_study_has_every_file_that_a_stage_depends_on() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    deps = {dep for entry in stages for dep in entry.get("do", entry)["deps"]}
    by_hand = {dep for dep in deps if not dep.startswith((*MADE, "${"))}
    assert by_hand > {"claims.yaml"}
    missing = [dep for dep in by_hand if not any(dep == name or dep.startswith(f"{name}/") for name in COPIED)]
    assert missing == []
    catalogue = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text(encoding="utf-8"))["prompts"]["catalogue"]
    assert catalogue.startswith("data/heuristics/")
    assert "data/heuristics" in COPIED
