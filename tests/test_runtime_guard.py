"""The guard: an edit during a stage is noticed if, and only if, dvc.yaml says that the stage reads what was edited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polya_midtrain.errors import UserError
from polya_midtrain.runtime import sources
from polya_midtrain.runtime.guard import Guard, shown

PIPELINE = """
stages:
  base:
    cmd: polya stage base
    params: [base]
    deps: [results/code/base.json, "${prompts.catalogue}", data/big.parquet]
  rl:
    foreach: ${arms}
    do:
      cmd: polya stage rl --arm ${key}
      params: ["arms.${key}", rl.learning_rate]
      deps: [results/code/rl.json]
"""
PARAMS = """
base: {steps: 1}
prompts: {catalogue: heuristics.yaml}
arms: {n1: {n: 1}, n2: {n: 2}}
rl: {learning_rate: 0.1, epochs: 1}
"""
FILES = ["src/base.py", "src/world/a.py", "src/rl.py", "heuristics.yaml", "data/big.parquet"]
CODE = {"base": ["base.py", "world/a.py"], "rl": ["rl.py"]}


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(PIPELINE)
    Path("params.yaml").write_text(PARAMS)
    for name in FILES:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("one")
    monkeypatch.setattr(sources, "PACKAGE", Path("src").resolve())
    Path("results/code").mkdir(parents=True)
    for stage, names in CODE.items():
        Path(f"results/code/{stage}.json").write_text(json.dumps({name: sources.sha256(name) for name in names}))


@pytest.mark.parametrize("name", ["src/base.py", "src/world/a.py", "heuristics.yaml"])
def test_an_edited_source_is_named(name: str) -> None:
    guard = Guard("base", None)
    Path(name).write_text("two")
    with pytest.raises(UserError, match=r"changed while stage base ran; .*: run `dvc repro` again$") as caught:
        guard.check()
    assert str(caught.value).startswith((shown(name.removeprefix("src/")), "heuristics.yaml:"))


@pytest.mark.parametrize(("old", "new"), [("n: 2", "n: 3"), ("learning_rate: 0.1", "learning_rate: 0.2")])
def test_an_edited_setting_is_named(old: str, new: str) -> None:
    guard = Guard("rl", "n2")
    Path("params.yaml").write_text(PARAMS.replace(old, new))
    with pytest.raises(UserError, match=r"^params\.yaml: (arms\.n2|rl\.learning_rate): changed while stage rl ran"):
        guard.check()


def test_edits_of_what_a_stage_does_not_read_are_let_be() -> None:
    base, rl = Guard("base", None), Guard("rl", "n2")
    Path("params.yaml").write_text("# a comment\n" + PARAMS.replace("n: 1", "n: 4").replace("epochs: 1", "epochs: 2"))
    Path("src/world/__pycache__").mkdir()
    Path("src/world/__pycache__/a.pyc").write_text("compiled")
    Path("data/big.parquet").write_text("an input is the pipeline's own business")
    base.check()
    rl.check()


def test_an_edit_between_stage_code_and_the_stage_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("src/base.py").write_text("two")
    Guard("base", None)  # by hand: what is there runs
    monkeypatch.setenv("DVC_STAGE", "base")
    with pytest.raises(UserError, match=r"^src/polya_midtrain/base\.py: changed before stage base ran; "):
        Guard("base", None)


def test_a_deleted_source_counts_as_edited() -> None:
    guard = Guard("rl", "n1")
    Path("src/rl.py").unlink()
    with pytest.raises(UserError, match=r"^src/polya_midtrain/rl\.py: changed"):
        guard.check()


def test_a_pipeline_that_is_no_yaml_is_one_line() -> None:
    Path("dvc.yaml").write_text("stages: {rl: {params: [arms.${key}]}}")
    with pytest.raises(UserError, match=r"^dvc\.yaml:1: not valid YAML: did not find expected .*; correct it$"):
        Guard("rl", "n1")


def test_without_a_pipeline_nothing_is_recorded_and_nothing_guarded() -> None:
    Path("dvc.yaml").unlink()
    guard = Guard("rl", "n1")
    Path("src/rl.py").unlink()
    guard.check()
