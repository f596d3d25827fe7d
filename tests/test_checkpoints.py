"""Models of others: what is said where a package or the hub has not got one."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import httpx
import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from polya_midtrain.checkpoints import hub, packaged
from polya_midtrain.errors import UserError
from polya_midtrain.params import PackageBase

HERE = importlib.metadata.version("pytest")


def package(name: str, version: str, file: str = "model.gguf") -> PackageBase:
    return PackageBase(kind="package", package=name, version=version, file=file)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            package("no-such-package", "1.0"),
            "params.yaml: base needs no-such-package==1.0; "
            "install it with `pip install --no-deps no-such-package==1.0`",
        ),
        (
            package("pytest", "0.1"),
            f"params.yaml: base needs pytest==0.1, {HERE} is installed; `pip install --no-deps pytest==0.1`",
        ),
        (package("pytest", HERE), "params.yaml: base.file: pytest has no file 'model.gguf'"),
    ],
)
def test_a_package_that_is_not_the_right_one_is_one_line(settings: PackageBase, message: str) -> None:
    with pytest.raises(UserError) as caught:
        packaged.locate(settings)
    assert str(caught.value) == message


def test_the_file_of_a_package_is_found_where_it_is_installed() -> None:
    assert (
        packaged.locate(package("pytest", HERE, "METADATA")).read_text(encoding="utf-8").startswith("Metadata-Version")
    )


PAGE = f"{constants.ENDPOINT}/owner/model"
REACH = "cannot reach the hub for owner/model@abc ({}); check the network and HF_HUB_OFFLINE, and run again"
LOST = "cannot download owner/model@abc: what went wrong; check the network and HF_TOKEN, and run again"


class Response:
    """What the hub's errors read of an HTTP response."""

    headers: ClassVar[dict[str, str]] = {}
    request = None
    status_code = 500


@pytest.mark.parametrize("ask", [hub.snapshot, hub.chat_model], ids=["snapshot", "chat_model"])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            GatedRepoError,
            f"owner/model is gated: accept its licence at {PAGE}, then set HF_TOKEN to a token of that account",
        ),
        (
            RepositoryNotFoundError,
            f"the hub has no model 'owner/model' (or HF_TOKEN may not read it); correct id, see {PAGE}",
        ),
        (
            HFValidationError,
            f"the hub has no model 'owner/model' (or HF_TOKEN may not read it); correct id, see {PAGE}",
        ),
        (RevisionNotFoundError, f"owner/model has no revision 'abc'; take a commit of {PAGE}/commits/main"),
        (LocalEntryNotFoundError, REACH.format("LocalEntryNotFoundError")),
        (OfflineModeIsEnabled, REACH.format("OfflineModeIsEnabled")),
        (httpx.ConnectError, REACH.format("ConnectError")),
        (httpx.ReadTimeout, REACH.format("ReadTimeout")),
        (HfHubHTTPError, LOST),
        (OSError, LOST),
        (RuntimeError, LOST),
    ],
)
def test_the_hubs_faults_are_one_line(
    error: type[Exception],
    words: str,
    ask: Callable[[str, str, Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        more = {"response": Response()} if issubclass(error, HfHubHTTPError) else {}
        raise error("what went wrong\nand much more", **more)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(UserError) as caught:
        ask("owner/model", "abc", tmp_path)
    assert str(caught.value) == f"params.yaml: {words}"


def test_without_a_network_the_real_client_ends_in_the_same_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pinned revision takes another way through the client than a branch: it is not looked up first."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for revision in ("main", "0" * 40):
        with pytest.raises(UserError, match=rf"^params.yaml: cannot reach the hub for owner/model@{revision} \("):
            hub.snapshot("owner/model", revision, tmp_path / revision)


class Repository:
    """A hub with one model: what `snapshot_download` does with patterns of names."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files
        self.asked: list[Any] = []

    def __call__(self, name: str, **options: Any) -> None:
        self.asked.append((name, options["revision"], options["local_dir"]))
        chosen = huggingface_hub.utils.filter_repo_objects(
            self.files, allow_patterns=options["allow_patterns"], ignore_patterns=options["ignore_patterns"]
        )
        for file in [*chosen, ".cache/huggingface/download/times"]:
            path = Path(options["local_dir"]) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.files.get(file, ""))


FILES = {
    "config.json": "{}",
    "tokenizer_config.json": json.dumps({"chat_template": "{{ messages }}"}),
    "tokenizer.json": "{}",
    "model-1.safetensors": "",
    "model.safetensors.index.json": "{}",
    "pytorch_model.bin": "",
    "code.py": "",
    "original/params.json": "{}",
    "onnx/model.safetensors": "",
}
WHOLE = {
    "config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "model-1.safetensors",
    "model.safetensors.index.json",
}


def here(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Repository:
    repository = Repository(files)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", repository)
    return repository


def test_the_pinned_revision_is_downloaded_and_nothing_else_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, ask in (("one", hub.snapshot), ("two", hub.chat_model)):
        repository = here(FILES, monkeypatch)
        ask("owner/model", "abc", tmp_path / name)
        assert set(repository.asked) == {("owner/model", "abc", tmp_path / name)}
        found = {path.relative_to(tmp_path / name).as_posix() for path in (tmp_path / name).rglob("*")}
        assert found == WHOLE


@pytest.mark.parametrize("ask", [hub.chat_model, partial(hub.describe, chat=True)])
def test_a_model_without_a_chat_template_is_refused_before_its_weights_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[str, str, Path], None]
) -> None:
    repository = here(FILES | {"tokenizer_config.json": "{}"}, monkeypatch)
    with pytest.raises(UserError) as caught:
        ask("owner/model", "abc", tmp_path)
    assert str(caught.value) == (
        "params.yaml: owner/model@abc: its tokenizer has no chat template; take an instruction-tuned model"
    )
    assert len(repository.asked) == 1
    assert not list(tmp_path.glob("*.safetensors"))
    hub.describe("owner/model", "abc", tmp_path, chat=False)
    here(FILES | {"tokenizer_config.json": "{}", "chat_template.jinja": "{{ messages }}"}, monkeypatch)
    ask("owner/model", "abc", tmp_path)


def test_a_repository_that_holds_no_model_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here({"README.md": ""}, monkeypatch)
    with pytest.raises(UserError, match=r"^params.yaml: owner/model@abc has no config.json, so it is no model of"):
        hub.describe("owner/model", "abc", tmp_path, chat=False)
    here({name: text for name, text in FILES.items() if "safetensors" not in name}, monkeypatch)
    with pytest.raises(UserError, match=r"^params.yaml: owner/model@abc has no weights as safetensors; take a model"):
        hub.chat_model("owner/model", "abc", tmp_path)
