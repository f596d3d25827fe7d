"""`make bench`: the study that it measures has all that the pipeline needs."""

from __future__ import annotations

import ast
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
MADE = ("data/", "models/", "results/", "reports/")


def copied() -> tuple[str, ...]:
    tree = ast.parse((ROOT / "bench/overhead_ratio.py").read_text(encoding="utf-8"))
    (found,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "COPIED"
    )
    return tuple(ast.literal_eval(found))


def test_the_measured_study_has_every_file_that_a_stage_depends_on() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    deps = {dep for entry in stages for dep in entry.get("do", entry)["deps"]}
    by_hand = {dep for dep in deps if not dep.startswith((*MADE, "${"))}
    assert by_hand > {"claims.yaml"}
    missing = [dep for dep in by_hand if not any(dep == name or dep.startswith(f"{name}/") for name in copied())]
    assert missing == []
    catalogue = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text(encoding="utf-8"))["prompts"]["catalogue"]
    assert catalogue.startswith("data/heuristics/")
    assert "data/heuristics" in copied()
