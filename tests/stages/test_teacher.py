"""Stage teacher: the embedded base trained on, or a model from elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.checkpoints import hub, policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import HubBase, Params, WorldTeacher
from polya_midtrain.stages import teacher

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "c0ffee12" * 5


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_policy: Path) -> Params:
    """A project with a base, and a teacher of a few steps."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_policy, paths.base(1))
    params = settings.load(ROOT / "profiles/smoke.yaml")
    assert isinstance(params.teacher, WorldTeacher)
    small = {"steps": 12, "batch": 8, "learning_rate": 0.01}
    return params.model_copy(update={"bases": [{}], "teacher": params.teacher.model_copy(update=small)})


def weights(path: Path) -> bytes:
    return (path / "model.safetensors").read_bytes()


def test_the_teacher_is_the_base_trained_on_and_repeats_itself(asked: Params) -> None:
    before = weights(paths.base(1))
    teacher.run(asked)
    model, encoder = policy.load(paths.teacher(1), "cpu")
    base, same = policy.load(paths.base(1), "cpu")
    assert model.num_parameters() == base.num_parameters()
    assert encoder.get_vocab() == same.get_vocab()
    first = weights(paths.teacher(1))
    assert weights(paths.base(1)) == before != first
    numbers = json.loads((paths.METRICS / "teacher.json").read_text())
    assert numbers["base_1/loss"] > 0
    teacher.run(asked)
    assert weights(paths.teacher(1)) == first


def test_it_learns_the_documents_it_is_shown(asked: Params) -> None:
    teacher.run(asked)
    few = json.loads((paths.METRICS / "teacher.json").read_text())["base_1/loss"]
    teacher.run(asked.model_copy(update={"teacher": asked.teacher.model_copy(update={"steps": 60})}))
    # The mean of the last 50 steps, so the two means have steps 11 and 12 in common.
    assert json.loads((paths.METRICS / "teacher.json").read_text())["base_1/loss"] < few


def test_a_model_of_the_hub_is_taken_as_it_is(
    asked: Params, monkeypatch: pytest.MonkeyPatch, tiny_policy: Path
) -> None:
    def chat_model(name: str, revision: str, folder: Path) -> None:
        assert (name, revision) == ("some/model", COMMIT)
        shutil.copytree(tiny_policy, folder)

    monkeypatch.setattr(hub, "chat_model", chat_model)
    teacher.run(asked.model_copy(update={"teacher": HubBase(kind="hub", id="some/model", revision=COMMIT)}))
    assert weights(paths.teacher(1)) == weights(tiny_policy)


def test_a_world_teacher_needs_a_world_base(asked: Params) -> None:
    foreign = asked.model_copy(update={"base": HubBase(kind="hub", id="some/model", revision=COMMIT)})
    with pytest.raises(UserError, match=r"^params.yaml: teacher.kind is world but base.kind is not"):
        teacher.run(foreign)
    assert not paths.teacher(1).exists()
