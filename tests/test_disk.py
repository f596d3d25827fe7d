"""A disk that is full: whatever library notices it first, the command ends with one line."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from polya_midtrain import cli, errors
from polya_midtrain.runtime import share
from polya_midtrain.world import tokenizer


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """The working folder is on a disk of its own; the function leaves so many bytes of it free."""
    monkeypatch.chdir(tmp_path)
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    os.chdir(tmp_path)

    def fill(free: int) -> None:
        Path("filler").write_bytes(bytes(os.statvfs(".").f_bavail * os.statvfs(".").f_frsize - free))

    yield fill
    os.chdir("/")
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def write_text() -> None:
    Path("some.json").write_text("1" * 100_000)


def write_folder() -> None:
    import shutil

    shutil.copytree(Path(cli.__file__).parent, "copy")


def write_weights() -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(50_000)}, "model.safetensors")


def write_optimiser() -> None:
    import torch

    torch.save({"a": torch.zeros(50_000)}, "optimizer.pt")


def write_tokenizer() -> None:
    tokenizer.build().backend_tokenizer.save("tokenizer.json")


def write_table() -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"a": [str(number) for number in range(50_000)]}), "rows.parquet")


def write_store() -> None:
    with sqlite3.connect("store.db") as store:
        store.execute("create table rows (a)")
        store.executemany("insert into rows values (?)", [(str(number),) for number in range(20_000)])


WRITERS = [write_text, write_folder, write_weights, write_optimiser, write_tokenizer, write_table, write_store]


@pytest.mark.parametrize("free", [0, 20_000])
@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_is_one_line(
    full: Callable[[int], None],
    write: Callable[[], None],
    free: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if write is write_tokenizer and free:
        pytest.skip("it is smaller than that")
    full(free)
    monkeypatch.setattr(cli, "app", lambda *_, **__: write())
    assert cli.execute(["stage"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("polya: ")
    assert said.endswith("; make room, then run the same command again\n")
    assert said.count("\n") == 1


def test_another_fault_is_none_of_the_disk_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ZeroDivisionError):
        cli.execute(["stage"])


def test_sharing_onto_a_full_disk_says_that_it_is_full(full: Callable[[int], None]) -> None:
    subprocess.run(["dvc", "init", "-q", "--no-scm"], check=True)
    Path("dvc.yaml").write_text(
        "stages:\n  one:\n    cmd: cp given out\n    deps: [given]\n    outs: [{out: {cache: false}}]\n"
    )
    Path("given").write_text("some")
    subprocess.run(["dvc", "repro", "-q"], check=True)
    full(0)
    with pytest.raises(errors.UserError, match="make room, then run the same command again"):
        share.share()
