"""Bad input to a stage: one line that names it and the remedy, and nothing is changed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.records import Question, TrainingRow, read_records, write_records
from polya_midtrain.stages import evaluate, generate, grade, midtrain, modes, reward, rl, score
from polya_midtrain.traces import adherence


def one_line(run: Callable[..., None], *arguments: Any) -> str:
    with pytest.raises(UserError) as caught:
        run(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_an_arm_with_nothing_to_learn_from_is_refused(again: Params) -> None:
    write_records(paths.TRAIN / "n2.parquet", TrainingRow, [])
    checkpoint = paths.MIDTRAIN / "n2/seed-1/model.safetensors"
    before = checkpoint.read_bytes()
    message = one_line(midtrain.run, again, "n2")
    assert message.startswith(
        "data/train/n2.parquet: no correct trace was selected, so arm n2 has nothing to learn from;"
    )
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize("run", [midtrain.run, rl.run, evaluate.run, modes.run])
def test_an_unknown_arm_is_refused_by_name(again: Params, run: Callable[[Params, str], None]) -> None:
    assert one_line(run, again, "n3") == f"params.yaml: no arm 'n3'; the arms are {', '.join(again.arms)}"


@pytest.mark.parametrize(
    ("run", "missing"),
    [
        (reward.run, "data/questions/reward.parquet"),
        (reward.run, "models/base/base-1"),
        (generate.run, "data/questions/mid.parquet"),
        (generate.run, "models/base/base-1"),
        (grade.run, "data/traces/generated.parquet"),
        (score.run, "models/reward/base-1"),
    ],
)
def test_a_missing_input_is_named_with_the_way_to_make_it(
    again: Params, run: Callable[[Params], None], missing: str
) -> None:
    path = Path(missing)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    message = one_line(run, again)
    assert message.startswith(f"{missing}: ")
    assert re.match(r"(missing|no checkpoint here); run `dvc repro`", message.removeprefix(f"{missing}: "))


def test_a_reward_model_without_pairs_is_refused(again: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(adherence.LABELLERS, "world", lambda trace: frozenset())  # no trace follows anything
    message = one_line(reward.run, again)
    assert message.startswith("params.yaml: reward: no two traces of a test question tell heuristics apart")


def test_fewer_rl_questions_than_a_step_needs_are_refused(again: Params) -> None:
    write_records(paths.RL_QUESTIONS, Question, read_records(paths.RL_QUESTIONS, Question)[:1])
    assert "rl.prompts" in one_line(rl.run, again, "n2")
