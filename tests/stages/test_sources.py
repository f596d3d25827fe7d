"""Stages questions and base on their other sources: public sets from a folder, and a policy trained from scratch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params, Questions, WorldBase
from polya_midtrain.records import Question, read_records
from polya_midtrain.stages import base, questions
from polya_midtrain.world import tokenizer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def smoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Profile smoke, in an empty project folder."""
    monkeypatch.chdir(tmp_path)
    return settings.load(ROOT / "profiles/smoke.yaml")


def gsm8k(folder: Path, split: str, texts: list[str]) -> None:
    """A set in the published form; question i has the answer i."""
    path = folder / f"gsm8k/{split}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"question": text, "answer": f"so #### {i}"}) for i, text in enumerate(texts)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


TRAIN = [f"How many are {i} and {i}?" for i in range(20)] + ["", "How many are 3 and 3?", "多少?", "long " * 40]
TEST = [f"What is {i} less 1?" for i in range(6)]


def file_params(smoke: Params, **sets: dict[str, Any]) -> Params:
    block: dict[str, Any] = {
        name: {"source": "gsm8k", "split": "train", "max_chars": 100} | changes for name, changes in sets.items()
    }
    benchmarks = {"gsm8k": {"source": "gsm8k", "split": "test"}}
    transfer = {"story": {"source": "world", "task": "story", "parts": [1], "pool": "seen", "count": 2}}
    chosen = Questions.model_validate({"seed": 7, "benchmarks": benchmarks, "transfer": transfer} | block)
    return smoke.model_copy(update={"bases": [{}], "questions": chosen})


SLICES = {"mid": {"limit": 10}, "reward": {"start": 10, "limit": 4}, "rl": {"start": 14}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "public"
    gsm8k(path, "train", TRAIN)
    gsm8k(path, "test", TEST)
    monkeypatch.setenv("POLYA_DATA", str(path))
    return path


def stored(name: str) -> list[Question]:
    return read_records(paths.QUESTIONS / f"{name}.parquet", Question)


def test_slices_of_a_public_set_are_disjoint_filtered_and_counted(smoke: Params, folder: Path) -> None:
    questions.run(file_params(smoke, **SLICES))
    sets = {name: stored(name) for name in questions.TRAINING}
    texts = [row.question for rows in sets.values() for row in rows]
    # Question 3 is there twice with two answers: neither can be trusted.
    assert sorted(texts) == sorted(text for text in TRAIN[:20] if text != TRAIN[3])
    assert [len(rows) for rows in sets.values()] == [10, 4, 5]
    assert all(TRAIN[int(row.answer)] == row.question for rows in sets.values() for row in rows)
    assert [row.question for row in stored("benchmarks/gsm8k")] != TEST  # shuffled, so that a limit takes no prefix
    assert sorted(row.question for row in stored("benchmarks/gsm8k")) == TEST
    summary = json.loads((paths.QUESTIONS / "summary.json").read_text())
    dropped = {name: count for name, count in summary["mid"]["dropped"].items() if count}
    assert dropped == {"empty": 1, "conflicting answers": 2, "not Latin": 1, "too long": 1}
    assert summary["mid"]["read"][0]["file"] == "gsm8k/train.jsonl"
    first = {name: paths.QUESTIONS.joinpath(f"{name}.parquet").read_bytes() for name in questions.TRAINING}
    questions.run(file_params(smoke, **SLICES))
    assert {name: paths.QUESTIONS.joinpath(f"{name}.parquet").read_bytes() for name in questions.TRAINING} == first


def test_training_questions_that_a_benchmark_or_an_earlier_set_holds_are_removed(
    smoke: Params, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gsm8k(folder, "test", [*TEST, TRAIN[5].upper(), TRAIN[6]])
    questions.run(file_params(smoke, mid={"limit": 12}, reward={"start": 8, "limit": 8}, rl={}))
    sets = {name: {row.question for row in stored(name)} for name in questions.TRAINING}
    assert not set.union(*sets.values()) & {TRAIN[5], TRAIN[6]}
    assert sum(map(len, sets.values())) == len(set.union(*sets.values())) == 17
    summary = json.loads((paths.QUESTIONS / "summary.json").read_text())
    assert summary["rl"]["contaminated"]["gsm8k/exact"] == 2
    pairs = ["gsm8k/train/5: gsm8k/exact gsm8k/test/6", "gsm8k/train/6: gsm8k/exact gsm8k/test/7"]
    assert sorted(summary["rl"]["contaminated_by"]) == pairs
    said = capsys.readouterr().out.splitlines()
    assert {line for line in said if "rl" in line} == {f"questions.rl: left out {pair}" for pair in pairs}
    lost = summary["rl"]["contaminated"]
    assert lost["earlier set mid"] == len(sets["mid"])
    assert lost["earlier set reward"] == len(sets["reward"])
    assert summary["rl"]["removed"] == sum(lost.values())
    assert summary["benchmarks/gsm8k"]["contaminated"] == {}
    numbers = json.loads((paths.METRICS / "questions.json").read_text())
    assert numbers["rl_removed_gsm8k_exact"] == 2
    assert numbers["rl_removed"] == summary["rl"]["removed"]
    assert numbers["mid_dropped_conflicting_answers"] == 2
    assert "benchmarks_gsm8k_removed" not in numbers


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rl": {"start": 19}}, "questions.rl: start 19 is past the 19 questions of gsm8k/train; lower it"),
        ({"rl": {"limit": 10}}, "questions.rl: every question overlaps a benchmark or an earlier set; take another"),
    ],
)
def test_a_slice_with_nothing_in_it_is_one_line(
    smoke: Params, folder: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        questions.run(file_params(smoke, **SLICES | changes))
    assert str(caught.value).startswith(f"params.yaml: {words}")
    assert not paths.QUESTIONS.exists()


def tiny_base(smoke: Params, **changes: Any) -> Params:
    small = {"hidden": 16, "heads": 2, "layers": 1, "drill_steps": 4, "steps": 8, "batch": 8, "learning_rate": 0.01}
    assert isinstance(smoke.base, WorldBase)
    return smoke.model_copy(update={"bases": [{}], "base": smoke.base.model_copy(update=small | changes)})


def test_the_embedded_policy_is_trained_from_scratch_and_repeats_itself(smoke: Params) -> None:
    base.run(tiny_base(smoke))
    model, encoder = policy.load(paths.base(1), "cpu")
    assert encoder.get_vocab() == tokenizer.build().get_vocab()
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (16, 1)
    assert model.generation_config.eos_token_id in (encoder.eos_token_id, [encoder.eos_token_id])
    numbers = json.loads((paths.METRICS / "base.json").read_text())
    assert numbers["base_1/parameters"] == model.num_parameters()
    assert 0 < numbers["base_1/loss"] < math.log(len(encoder))  # what guessing costs
    weights = (paths.base(1) / "model.safetensors").read_bytes()
    base.run(tiny_base(smoke))
    assert (paths.base(1) / "model.safetensors").read_bytes() == weights
    base.run(tiny_base(smoke, seed=2))
    assert (paths.base(1) / "model.safetensors").read_bytes() != weights
