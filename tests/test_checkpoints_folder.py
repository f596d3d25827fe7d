"""A model of one's own in a folder: as base, teacher or reward, and in the plan and the dry run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.checkpoints import folder, policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import FolderModel, Params
from polya_midtrain.stages import base, reward, teacher
from polya_midtrain.tools import check
from polya_midtrain.tools.plan import needs

ROOT = Path(__file__).resolve().parents[1]
OTHER = "a" * 64


def model(path: Path, sha256: str = OTHER) -> FolderModel:
    return FolderModel(kind="folder", path=path, sha256=sha256)


def found(path: Path) -> str:
    """The digest that the error names, as a user would copy it."""
    with pytest.raises(UserError, match=r"if it is meant, set base\.sha256 to ([0-9a-f]{64})$") as caught:
        folder.checked(model(path), "base")
    return str(caught.value)[-64:]


@pytest.fixture
def mine(tmp_path: Path, tiny_policy: Path, monkeypatch: pytest.MonkeyPatch) -> FolderModel:
    """A folder that also holds what is no part of a model."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_policy, "mine")
    Path("mine/optimizer.pt").write_bytes(b"x" * 100)
    Path("mine/onnx").mkdir()
    return model(Path("mine"), found(Path("mine")))


def with_model(mine: FolderModel) -> Params:
    params = settings.load(ROOT / "profiles/smoke.yaml")
    return params.model_copy(update={"base": mine, "teacher": mine, "reward": mine})


def test_the_folder_becomes_the_base_and_the_teacher(mine: FolderModel, tiny_policy: Path) -> None:
    params = with_model(mine)
    base.run(params)
    teacher.run(params)
    for made in (paths.base(1), paths.teacher(1)):
        assert sorted(file.name for file in made.iterdir()) == sorted(file.name for file in tiny_policy.iterdir())
        assert (made / "model.safetensors").read_bytes() == (tiny_policy / "model.safetensors").read_bytes()
        policy.load(made, "cpu")


def test_and_the_reward_model(mine: FolderModel) -> None:
    params = with_model(mine)
    for path in (paths.REWARD_QUESTIONS, paths.REWARD_PROMPTS, params.prompts.catalogue):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    paths.base(1).mkdir(parents=True)
    reward.run(params)
    assert (paths.reward(1) / "config.json").is_file()


def test_a_link_to_weights_elsewhere_is_followed(mine: FolderModel) -> None:
    """As in the cache of the hub's client, whose snapshots are links."""
    Path("linked").mkdir()
    for file in sorted(Path("mine").glob("*.*")):
        (Path("linked") / file.name).symlink_to(file.resolve())
    folder.copy(model(Path("linked"), mine.sha256), "base", Path("copied"))
    assert not (Path("copied") / "model.safetensors").is_symlink()
    assert not (Path("copied") / "optimizer.pt").exists()


def test_other_weights_or_another_name_are_another_model(mine: FolderModel) -> None:
    weights = Path("mine/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    changed = found(Path("mine"))
    assert changed != mine.sha256
    weights.rename("mine/other.safetensors")
    assert found(Path("mine")) not in {changed, mine.sha256}


def _without(name: str) -> Callable[[], None]:
    return lambda: Path("mine", name).unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda: shutil.rmtree("mine"), ": no such folder; correct path, which counts from the project's root"),
        (_without("config.json"), " has no config.json or no weights as safetensors; save the model with"),
        (_without("model.safetensors"), " has no config.json or no weights as safetensors; save the model with"),
        (_without("chat_template.jinja"), ": its tokenizer has no chat template; save the tokenizer of"),
    ],
)
def test_what_is_no_model_is_one_line(mine: FolderModel, spoil: Callable[[], None], words: str) -> None:
    spoil()
    with pytest.raises(UserError, match=rf"^params\.yaml: teacher\.path: mine{re.escape(words)}") as caught:
        folder.copy(mine, "teacher", Path("copied"))
    assert "\n" not in str(caught.value)
    assert not Path("copied").exists()


def test_a_digest_has_64_digits() -> None:
    with pytest.raises(ValidationError, match="sha256"):
        model(Path("mine"), "abc")


def test_check_looks_at_the_folder(mine: FolderModel) -> None:
    text = (ROOT / "profiles/tiny.yaml").read_text(encoding="utf-8")
    shutil.copytree(ROOT / "data/heuristics", "data/heuristics")
    start, end = text.index("\nbase:"), text.index("\nteacher:")
    block = f"\nbase: {{kind: folder, path: mine, sha256: {OTHER}}}\n"
    Path("own.yaml").write_text(text[:start] + block + text[end:], encoding="utf-8")
    with pytest.raises(UserError, match=rf"set base\.sha256 to {mine.sha256}"):
        check.files([Path("own.yaml")])
    Path("own.yaml").write_text(text[:start] + block.replace(OTHER, mine.sha256) + text[end:], encoding="utf-8")
    check.files([Path("own.yaml")])


def test_the_plan_reads_its_shape(mine: FolderModel) -> None:
    sizes, _ = needs.models(with_model(mine))
    weights, _ = policy.load(Path("mine"), "cpu")
    assert sizes["base"].parameters == weights.num_parameters()
    assert sizes["base"].checkpoint == pytest.approx(Path("mine/model.safetensors").stat().st_size, rel=0.1)
    whole = json.loads(Path("mine/config.json").read_text())
    for strange in ('{"model_type": "gpt2"}', "{}", "[1]", json.dumps(whole | {"num_local_experts": 8})):
        Path("mine/config.json").write_text(strange)
        sizes, notes = needs.models(with_model(mine))
        assert "base" not in sizes
        assert "not known: the size of base (its config.json is not of Llama's layout)" in notes
    Path("mine/config.json").unlink()
    assert needs.models(with_model(mine))[1][0].startswith(
        "not known: the size of base (mine/config.json: no such file"
    )


def ending(generation: Any, config: Any, token: str) -> None:
    """Give the model of folder mine these ends; None takes a file's or its entry away."""
    for name, ends in (("generation_config.json", generation), ("config.json", config)):
        path = Path("mine", name)
        content = json.loads(path.read_text())
        path.write_text(json.dumps({k: v for k, v in content.items() if k != "eos_token_id"} | ends))
    encoder = policy.load_tokenizer(Path("mine"))
    encoder.eos_token = token
    encoder.save_pretrained("mine")


@pytest.mark.parametrize("several", [True, False])
def test_a_tokenizer_s_end_is_one_of_the_model_s(mine: FolderModel, several: bool) -> None:
    """As Llama 3.2's is, whose answers end with one of three tokens."""
    encoder = policy.load_tokenizer(Path("mine"))
    end, other = encoder.eos_token_id, encoder.convert_tokens_to_ids("jar")
    ending({"eos_token_id": [other, end]} if several else {}, {"eos_token_id": other}, encoder.eos_token)
    base.run(with_model(model(Path("mine"), found(Path("mine")))))
    assert policy.load_tokenizer(paths.base(1)).eos_token_id == end


@pytest.mark.parametrize("file", ["generation_config.json", "config.json"])
def test_a_model_that_ends_otherwise_than_its_tokenizer_is_refused(mine: FolderModel, file: str) -> None:
    encoder = policy.load_tokenizer(Path("mine"))
    end = encoder.eos_token_id
    ending({"eos_token_id": end}, {"eos_token_id": end}, "jar")
    if file == "config.json":
        Path("mine/generation_config.json").unlink()
    ends = f"{encoder.eos_token} ({file})"
    said = rf"its answers end with {re.escape(ends)}, and its tokenizer with jar; set eos"
    theirs = with_model(model(Path("mine"), found(Path("mine"))))
    with pytest.raises(UserError, match=rf"^params\.yaml: base: {said}"):
        base.run(theirs)
    assert not paths.base(1).exists()
    teacher.run(theirs)  # which is sampled only
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    shutil.copytree(ROOT / "data/heuristics", "data/heuristics")
    start, end = text.index("\nbase:"), text.index("\nteacher:")
    block = f"\nbase: {{kind: folder, path: mine, sha256: {theirs.base.sha256}}}\n"  # type: ignore[union-attr]
    Path("own.yaml").write_text(text[:start] + block + text[end:], encoding="utf-8")
    with pytest.raises(UserError, match=rf"^own\.yaml: base\.path: mine: {said}"):
        check.files([Path("own.yaml")])


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "generation_config.json"])
def test_a_torn_or_zeroed_file_is_one_line(mine: FolderModel, name: str) -> None:
    whole = Path("mine", name).read_bytes()
    for broken in (whole[: len(whole) // 2], bytes(len(whole)), b""):
        Path("mine", name).write_bytes(broken)
        with pytest.raises(UserError, match=r"^mine: not a checkpoint that can be read \(.+\); copy it again$"):
            folder.checked(mine, "base")
        if name != "generation_config.json":
            with pytest.raises(UserError, match=r"^mine: not a checkpoint that can be read \(.+\); delete it and run"):
                policy.load(Path("mine"), "cpu")
