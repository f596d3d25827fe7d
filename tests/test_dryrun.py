"""The dry run's settings, its copy of the project, and what it refuses. The walk takes minutes: `make dry-run`."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from polya_midtrain import params as settings
from polya_midtrain import start
from polya_midtrain.dryrun import command, report, shrink, workspace
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params, flat
from polya_midtrain.sources.adapters import ADAPTERS

ROOT = Path(__file__).resolve().parents[1]
URL = "http://127.0.0.1:4000"
# What a dry run may change. All else is the profile's: arms, prompts, sources, splits, rates, temperatures, seeds.
CHANGED = {
    "profile",
    "seeds",
    "base",
    "teacher",
    "machine",
    "reward.id",
    "reward.sampling.samples",
    "reward.sampling.max_tokens",
    "reward.pairs",
    "reward.epochs",
    "reward.batch",
    "reward.max_length",
    "generate.samples",
    "generate.unprompted",
    "generate.max_tokens",
    "distil.max_tokens",
    "midtrain.epochs",
    "midtrain.batch",
    "midtrain.micro_batch",
    "midtrain.max_length",
    "midtrain.save_steps",
    "rl.prompts",
    "rl.generations",
    "rl.epochs",
    "rl.max_prompt_tokens",
    "rl.max_tokens",
    "rl.micro_batch",
    "rl.save_steps",
    "evaluate.samples",
    "evaluate.max_tokens",
    "compose.endpoint.url",
    "compose.endpoint.model",
    "compose.labelled",
    "diversity.embedding.id",
    "diversity.size",
    "diversity.resamples",
    "modes.questions",
    "tables.ks",
    "tables.resamples",
}
LARGER = {"reward.max_length", "midtrain.max_length", "midtrain.micro_batch", "rl.max_prompt_tokens", "rl.micro_batch"}


def profile(name: str) -> tuple[Params, Path]:
    path = ROOT / f"profiles/{name}.yaml"
    return settings.load(path), path


def small(name: str, absent: list[str] | None = None) -> tuple[Params, Params]:
    params, path = profile(name)
    return params, shrink.shrink(params, path, absent or [], URL)


def allowed(name: str) -> bool:
    """Whether a dry run may change the setting of this dotted name."""
    limits = name.startswith("questions.") and name.endswith((".limit", ".count"))
    return limits or any(name == one or name.startswith(f"{one}.") for one in CHANGED)


@pytest.mark.parametrize("name", ["paper", "smollm2", "smollm2-gpu"])
def test_only_sizes_and_the_models_sources_change(name: str) -> None:
    before, after = (flat(params) for params in small(name))
    different = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert [key for key in sorted(different) if not allowed(key)] == []
    for key in different & before.keys() & after.keys():
        old, new = before[key], after[key]
        if isinstance(old, int | float) and key not in LARGER:
            assert new < old, key


@pytest.mark.parametrize("name", ["paper", "smollm2", "smollm2-gpu"])
def test_nothing_is_left_that_needs_the_hub_a_service_or_a_gpu(name: str) -> None:
    params, dry = small(name)
    assert dry.profile == f"dry-run-{name}"
    machine = dry.machine
    assert (machine.device, machine.engine, machine.processes, machine.server) == ("cpu", "transformers", 1, None)
    blocks = {"base": dry.base, "teacher": dry.teacher, "reward": dry.reward, "embedding": dry.diversity.embedding}
    found = {key: str(getattr(block, "id", "")) for key, block in blocks.items() if hasattr(block, "id")}
    assert {"base", "teacher"} <= found.keys()
    assert all(model.startswith("stand-in/") for model in found.values())
    assert not any(block.kind == "package" for block in blocks.values())
    real = {str(value) for key, value in flat(params).items() if key.endswith((".id", ".package", ".url"))}
    assert real.isdisjoint(map(str, flat(dry).values()))
    if params.compose.endpoint is not None:
        assert dry.compose.endpoint is not None
        assert dry.compose.endpoint.url == f"{URL}/v1"
        assert dry.compose.endpoint.model == "cues for gpt-4o-mini"


def test_the_paper_s_arms_heuristics_and_sets_are_all_there() -> None:
    params, dry = small("paper", ["minerva", "hmmt25"])
    assert dry.arms == params.arms
    assert dry.generate.heuristics == 64
    assert list(dry.questions.benchmarks) == ["math500", "aime24", "aime25", "amc23", "olympiadbench"]
    assert dry.questions.transfer.keys() == params.questions.transfer.keys()
    assert dry.seeds == [1, 2]  # as many as a test needs
    assert dry.distil.samples == params.distil.samples


def test_a_profile_of_the_embedded_world_is_refused() -> None:
    with pytest.raises(UserError, match=r"profiles/tiny.yaml: base or teacher is of the embedded world, which needs"):
        small("tiny")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder that has every file of every set but for minerva's and hmmt25's, all empty."""
    for adapter in ADAPTERS.values():
        for split in adapter.splits.values():
            for file in split.files:
                path = tmp_path / "data" / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    for name in ("minerva", "hmmt25"):
        shutil.rmtree(tmp_path / "data" / name)
    return tmp_path / "data"


def test_a_set_without_a_file_is_left_out_and_one_that_is_needed_is_named(data: Path) -> None:
    params, path = profile("paper")
    assert shrink.absent_sets(params, path, data) == ["minerva", "hmmt25"]
    for file, words in {
        "gsm8k/train.jsonl": f"no such file, and questions.mid of {path} reads it; add it",
        "aime24/test.jsonl": f"no such file, and {path} needs questions.benchmarks.aime24; add it",  # judged
    }.items():
        (data / file).unlink()
        with pytest.raises(UserError) as caught:
            shrink.absent_sets(params, path, data)
        assert str(caught.value) == f"{data / file}: {words}"
        (data / file).touch()
    shutil.rmtree(data / "musr")
    (data / "humaneval/HumanEval.jsonl.gz").unlink()
    with pytest.raises(UserError, match=r"needs questions.transfer.humaneval; add it$"):
        shrink.absent_sets(params, path, data)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what a dry run reads of the project, and the settings that a user has there."""
    root = tmp_path / "project"
    for name in ("profiles", "data/heuristics"):
        shutil.copytree(ROOT / name, root / name)
    (root / workspace.CODE).mkdir(parents=True)
    (root / workspace.CODE / "module.py").write_text("A = 1\n")
    for name in workspace.FILES:
        shutil.copy(ROOT / name, root)
    shutil.copy(ROOT / "profiles/tiny.yaml", root / "params.yaml")
    monkeypatch.chdir(root)
    return root


def test_the_copy_has_what_the_pipeline_reads_and_the_project_stays_as_it_is(project: Path) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    params, _ = small("paper")
    folder = workspace.make("paper", params.prompts.catalogue)
    workspace.write_settings(folder, params)
    assert settings.load(folder / "params.yaml") == params
    (folder / "left.txt").touch()
    assert workspace.make("paper", params.prompts.catalogue) == folder == Path(".scratch/dry-run/paper/project")
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    code = "src/polya_midtrain/module.py"
    assert found == {*workspace.FILES, ".dvc/config", "data/heuristics/polya.yaml", code}
    assert {path: path.read_bytes() for path in before} == before
    after = {path for path in project.rglob("*") if path.is_file()}
    assert {path.relative_to(project).parts[0] for path in after - before.keys()} == {".scratch"}


def test_a_copy_that_cannot_be_emptied_is_not_used(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Path("data/heuristics/polya.yaml")
    workspace.make("paper", catalogue)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(39, "Directory not empty")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(UserError, match=r"dry-run/paper: cannot be emptied \(Directory not empty\); wait for"):
        workspace.make("paper", catalogue)


def test_the_copy_s_stages_see_no_key_no_foreign_store_and_no_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in workspace.DROPPED:
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.chdir(tmp_path)
    found = workspace.environment(Path("run/project"), URL, Path("sets"))
    assert not found.keys() & set(workspace.DROPPED)
    assert found["HF_ENDPOINT"] == URL
    assert found["POLYA_DATA"] == str(tmp_path / "sets")
    assert found["NO_PROXY"] == found["no_proxy"] == "example.org,127.0.0.1"
    inside = [value for name, value in found.items() if name in ("HF_HOME", "DVC_SITE_CACHE_DIR")]
    assert [value.startswith(str(tmp_path / "run")) for value in inside] == [True, True]


@pytest.mark.parametrize(
    ("arguments", "folder", "words"),
    [
        (["paper"], None, "profiles/paper.yaml: a dry run reads its questions from a folder, not from the hub; set"),
        (["paper"], "nowhere", "POLYA_DATA: nowhere: no such folder; set it to the folder of the public sets"),
        (["paper"], "profiles", "profiles/gsm8k/train.jsonl: no such file, and questions.mid of profiles/paper.yaml"),
        (["tiny"], "profiles", "profiles/tiny.yaml: base or teacher is of the embedded world, which needs no hub; for"),
        (
            ["nope"],
            None,
            "no profile 'nope' in profiles/; the profiles are paper, smoke, smollm2, smollm2-gpu, study, tiny",
        ),
    ],
)
def test_what_cannot_be_walked_is_one_line_and_nothing_is_written(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    folder: str | None,
    words: str,
) -> None:
    monkeypatch.delenv("POLYA_DATA", raising=False)
    if folder is not None:
        monkeypatch.setenv("POLYA_DATA", folder)
    assert start.main(["dry-run", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"polya: {words}")
    assert captured.err.count("\n") == 1
    assert not workspace.ROOT.exists()


def test_a_command_of_the_copy_that_fails_is_said_with_where_to_look(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": {"questions": {}, "base": {}}}))
    failing = [sys.executable, "-c", "raise SystemExit(3)"]
    with pytest.raises(UserError) as caught:
        command.run(failing, tmp_path, dict(os.environ))
    assert "ended with code 3, for the reason above" in str(caught.value)
    assert str(caught.value).endswith(str(tmp_path))
    assert sorted(report.done(tmp_path)) == ["base", "questions"]
    command.run([sys.executable, "-c", "import os; open(os.environ['X'], 'w')"], tmp_path, {**os.environ, "X": "here"})
    assert (tmp_path / "here").exists()


def test_the_report_has_every_stage_its_time_and_what_was_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    params, dry = small("paper", ["minerva"])
    seconds = {"questions": 3, "rl@n1": 4, "rl@n2": 5, "page": 1}
    for name, number in seconds.items():
        put(folder / f"results/metrics/{name}.json", {"seconds": number})
    put(folder / "dvc.lock", {"stages": {key: {} for key in seconds}})
    shutil.copy(ROOT / "dvc.yaml", folder)
    rows = {"vanilla": 0, "n1": 3, "n64": 200}
    put(folder / "results/counts/training_sets.json", {arm: {"arm": arm, "rows": n} for arm, n in rows.items()})
    for arm in dry.arms:
        row = {"benchmark": "aime24", "n": 5, "c": 2, "no_answer": 1}
        put(folder / f"results/counts/{arm}.json", {"rows": [row, row]})
    text = report.write(folder, params, dry, ["minerva"], 754.0)
    assert (tmp_path / report.FILE).read_text() == text
    assert text.startswith("# Dry run of profile paper: passed in 12:34\n")
    lines = text.splitlines()
    start = lines.index("| questions | 1 | 3 |")
    assert lines[start : start + 3] == ["| questions | 1 | 3 |", "| rl | 2 | 9 |", "| page | 1 | 1 |"]
    assert "| aime24 | 240 | 96 | 48 |" in lines
    for words in (
        "base meta-llama/Llama-3.2-3B-Instruct, teacher Qwen/QwQ-32B",
        "judge gpt-4o-mini",
        "vLLM, training in 4 processes, the GPU",
        "lacks their files: minerva",
        "3 rows (n1) to 200 (n64)",
    ):
        assert words in text


def put(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
