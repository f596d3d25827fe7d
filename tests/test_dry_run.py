"""The dry run's settings, its stand-ins, its copy of the project, and what it refuses. The walk: `make dry-run`."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from polya_midtrain import params as settings
from polya_midtrain import start
from polya_midtrain.checkpoints import folder, hub
from polya_midtrain.engine import SamplingParams
from polya_midtrain.engine.opening import open_engine
from polya_midtrain.errors import UserError
from polya_midtrain.params import FolderModel, Machine, Params, flat
from polya_midtrain.prompting import heuristics, prompts
from polya_midtrain.question_sets.adapters import ADAPTERS
from polya_midtrain.tools.dry_run import command, small, standins
from polya_midtrain.traces.reward_model import RewardModel

ROOT = Path(__file__).resolve().parents[1]
# What a dry run may change beside `small.SETTINGS` and the models. All else is the profile's.
CHANGED = {"profile", "seeds", "machine", "base", "teacher", "midtrain.max_length", "rl.max_prompt_tokens"}
CHANGED |= {f"reward.{name}" for name in ("pairs", "epochs", "batch", "max_length", "sampling")}
CHANGED |= {f"{block}.{name}" for block, values in small.SETTINGS.items() for name in values}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder that has every file of every set but for minerva's and hmmt25's, all empty."""
    files = [file.path for adapter in ADAPTERS.values() for split in adapter.splits.values() for file in split.files]
    for file in files:
        path = tmp_path / "data" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("minerva", "hmmt25"):
        shutil.rmtree(tmp_path / "data" / name)
    return tmp_path / "data"


def shrunk(name: str, data: Path) -> tuple[Params, Params, list[str]]:
    path = ROOT / f"profiles/{name}.yaml"
    params = settings.load(path)
    return params, *small.shrink(params, path, data)


# Settings


@pytest.mark.parametrize("name", ["paper", "smollm2"])
def test_only_sizes_change_and_nothing_is_left_that_needs_a_service_or_a_gpu(name: str, data: Path) -> None:
    params, dry, _ = shrunk(name, data)
    before, after = flat(params), flat(dry)
    for key in before.keys() | after.keys():
        if before.get(key) != after.get(key):
            limit = key.startswith("questions.") and key.endswith((".limit", ".count"))
            gone = key.startswith(("questions.benchmarks.minerva", "questions.benchmarks.hmmt25", "tables.means.mean"))
            assert limit or gone or any(key == one or key.startswith(f"{one}.") for one in CHANGED), key
    assert (dry.machine.device, dry.machine.engine, dry.machine.processes) == ("cpu", "transformers", 1)
    assert (dry.compose.judge, dry.diversity.embedding.kind) == ("cues", "words")


def test_the_paper_s_arms_heuristics_and_sets_are_all_there(data: Path) -> None:
    params, dry, absent = shrunk("paper", data)
    assert absent == ["minerva", "hmmt25"]
    assert dry.arms == params.arms
    assert dry.generate.heuristics == 64
    assert list(dry.questions.benchmarks) == ["math500", "aime24", "aime25", "amc23", "olympiadbench"]
    assert dry.questions.transfer.keys() == params.questions.transfer.keys()
    assert dry.seeds == [1, 2], "as many as a test needs"
    (data / "aime24/test.jsonl").unlink()
    _, dry, _ = shrunk("paper", data)
    assert dry.compose.benchmarks == ["math500"]
    assert dry.tables.beside == {"known": ["math500", "aime25", "amc23"]}
    assert dry.tables.means["mean"] == ["math500", "aime25", "amc23", "olympiadbench"]


def test_a_set_that_cannot_be_spared_is_named(data: Path) -> None:
    shutil.rmtree(data / "musr")
    (data / "humaneval/HumanEval.jsonl.gz").unlink()
    with pytest.raises(
        UserError, match=r"no such file, and .*paper\.yaml needs one of its questions\.transfer; add it"
    ):
        shrunk("paper", data)
    (data / "gsm8k/train.jsonl").unlink()
    with pytest.raises(UserError, match=r"gsm8k/train\.jsonl: no such file, and questions\.mid of .*paper\.yaml reads"):
        shrunk("paper", data)


# Stand-ins


def test_a_policy_says_one_of_its_answers_and_ends(tmp_path: Path) -> None:
    share = {"So: the answer is \\boxed{7}.": 0.7, "So: the answer is \\boxed{-2}.": 0.2, "    return 0\n": 0.1}
    catalogue = heuristics.load(ROOT / "data/heuristics/polya.yaml")
    texts = [one.response for entry in catalogue.heuristics for one in entry.exemplars]
    tokenizer = standins.bpe(texts, share)
    standins._save(tokenizer, share, tmp_path / "policy")
    standins._save(tokenizer, {}, tmp_path / "reward")
    for name in ("policy", "reward"):
        files = sorted((tmp_path / name).iterdir())
        folder.checked(FolderModel(kind="folder", path=tmp_path / name, sha256=folder.digest(files)), "base")
    hub.same_end(tmp_path / "policy", "base")
    engine = open_engine(tmp_path / "policy", Machine(device="cpu"), 256)
    asked = settings.load(ROOT / "profiles/paper.yaml").prompts
    turns = [prompts.bare("How many é are in x² ≠ 1,234?", asked), prompts.messages("2 + 2?", "", asked, catalogue)]
    ids = [prompts.encode(engine.tokenizer, one) for one in turns]
    assert prompts.DATE in engine.tokenizer.decode(ids[0])
    for group in engine.generate(ids, SamplingParams(n=400, max_tokens=8, seed=1)):
        found = Counter(output.text for output in group)
        assert {output.finish for output in group} == {"stop"}
        assert {text: count / 400 for text, count in found.items()} == pytest.approx(share, abs=0.08)
    for text in share:
        assert len(prompts.encode_response(engine.tokenizer, text)) == 2, "as it was sampled"
    scores = RewardModel.load(tmp_path / "reward", Machine(device="cpu"), 2).scores(
        [(catalogue.heuristics[0], "How many?", "one " * count) for count in (1, 9)]
    )
    assert len(set(scores)) == 2


def test_the_stand_ins_of_a_profile_know_its_golds(public_sets: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("POLYA_DATA", str(public_sets))
    _, dry, _ = shrunk("smollm2", public_sets)
    made = standins.make(dry, tmp_path)
    assert {made.base.kind, made.teacher.kind} == {"folder"}
    assert made.reward == dry.reward, "it is trained"
    words = (tmp_path / "stand-ins/base/tokenizer.json").read_text()
    asked = standins.questions.build({"mid": dry.questions.mid}, dry.questions.seed)[0]["mid"]
    assert all(f"the answer is \\\\boxed{{{one.answer}}}." in words for one in asked)


# The copy


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what a dry run reads of the project, and the settings that a user has there."""
    root = tmp_path / "project"
    for name in ("profiles", "data/heuristics"):
        shutil.copytree(ROOT / name, root / name)
    (root / command.CODE).mkdir(parents=True)
    (root / command.CODE / "module.py").write_text("A = 1\n")
    for name in command.FILES:
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    shutil.copy(ROOT / "profiles/tiny.yaml", root / "params.yaml")
    monkeypatch.chdir(root)
    return root


def test_the_copy_has_what_the_pipeline_reads_and_the_project_stays_as_it_is(project: Path) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    params = settings.load(Path("profiles/paper.yaml"))
    copy = command._copy("paper", params)
    (copy / "left.txt").touch()
    assert command._copy("paper", params) == copy == Path(".scratch/dry-run/paper")
    found = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    assert found == {*command.FILES, ".dvc/config", "data/heuristics/polya.yaml", "src/polya_midtrain/module.py"}
    assert {path: path.read_bytes() for path in before} == before


def test_the_copy_s_stages_see_no_key_no_hub_and_no_foreign_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*command.DROPPED, "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.setenv(name, "theirs")
    found = command._environment(Path("run"), Path("sets"))
    assert "theirs" not in found.values()
    assert found["HF_HUB_OFFLINE"] == "1"
    assert found["POLYA_DATA"] == str(Path("sets").resolve())


@pytest.mark.parametrize(
    ("profile", "folder", "words"),
    [
        ("paper", None, "profiles/paper.yaml: a dry run reads its questions from a folder, not from the hub; set"),
        ("paper", "nowhere", "profiles/paper.yaml: a dry run reads its questions from a folder, not from the hub; set"),
        ("paper", "profiles", "profiles/gsm8k/train.jsonl: no such file, and questions.mid of profiles/paper.yaml"),
        ("tiny", "profiles", "profiles/tiny.yaml: base or teacher is of the embedded world, which needs no hub; for"),
        (
            "nope",
            None,
            "no profile 'nope' in profiles/; the profiles are discovers, ",
        ),
    ],
)
def test_what_cannot_be_walked_is_one_line_and_nothing_is_written(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    profile: str,
    folder: str | None,
    words: str,
) -> None:
    monkeypatch.delenv("POLYA_DATA", raising=False)
    if folder is not None:
        monkeypatch.setenv("POLYA_DATA", folder)
    assert start.main(["dry-run", profile]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"polya: {words}")
    assert captured.err.count("\n") == 1
    assert not command.ROOT.exists()


def test_a_command_of_the_copy_that_fails_is_said_with_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ended with code 3, for the reason above; see ") as caught:
        command.run([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, dict(os.environ))
    assert str(caught.value).endswith(str(tmp_path))
    command.run([sys.executable, "-c", "import os; open(os.environ['X'], 'w')"], tmp_path, {**os.environ, "X": "here"})
    assert (tmp_path / "here").exists()


def test_the_report_has_every_stage_its_time_and_what_was_left_out(tmp_path: Path) -> None:
    (tmp_path / "results/metrics").mkdir(parents=True)
    for name, seconds in {"questions": 3, "rl@n1": 4, "rl@n2": 5}.items():
        (tmp_path / f"results/metrics/{name}.json").write_text(f'{{"seconds": {seconds}}}')
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": {"questions": {}, "rl@n1": {}, "rl@n2": {}}}))
    text = command.report(tmp_path, settings.load(ROOT / "profiles/paper.yaml"), ["minerva"], 754.0)
    lines = text.splitlines()
    assert lines[0] == "Dry run of profile paper: 3 stages passed in 12:34"
    assert [line.split() for line in lines[1:3]] == [["questions", "x", "1", "0:03"], ["rl", "x", "2", "0:09"]]
    assert "Left out, because POLYA_DATA lacks their files: minerva." in lines
