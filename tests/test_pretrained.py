"""Models of others: what is said where a package or the hub has not got one."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any, ClassVar

import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from polya_midtrain.errors import UserError
from polya_midtrain.params import PackageBase
from polya_midtrain.pretrained import hub, packaged

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


class Response:
    """What the hub's errors read of an HTTP response."""

    headers: ClassVar[dict[str, str]] = {}
    request = None
    status_code = 500


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (GatedRepoError, "owner/model is gated: accept its licence on its page of the hub, then set HF_TOKEN"),
        (RepositoryNotFoundError, "the hub has no model 'owner/model' (or HF_TOKEN may not read it); correct id"),
        (HfHubHTTPError, "cannot download owner/model@abc: what went wrong; check the network and run again"),
        (OSError, "cannot download owner/model@abc: what went wrong; check the network and run again"),
    ],
)
def test_the_hubs_faults_are_one_line(
    error: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        more = {} if error is OSError else {"response": Response()}
        raise error("what went wrong\nand much more", **more)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(UserError) as caught:
        hub.snapshot("owner/model", "abc", tmp_path)
    assert str(caught.value) == f"params.yaml: {words}"


def test_the_pinned_revision_is_what_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: asked.append((a, k)))
    hub.snapshot("owner/model", "abc", tmp_path)
    ((name,), options) = asked[0]
    assert (name, options["revision"], options["local_dir"]) == ("owner/model", "abc", tmp_path)
    assert not any("bin" in pattern or pattern.endswith(".py") for pattern in options["allow_patterns"])
