"""dvc.lock after a kill while DVC wrote it: restored from its copy, and never where a person has changed it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from polya_midtrain.errors import UserError
from polya_midtrain.runtime import lock

ENTRY = """  {name}:
    cmd: polya stage {name}
    deps:
    - path: src/{name}.py
      hash: md5
      md5: {digest}
      size: 12
    outs:
    - path: data/{name}
      hash: md5
      md5: {digest}
      size: 34
"""


def written(names: str, digest: str = "ab" * 16) -> str:
    return "schema: '2.0'\nstages:\n" + "".join(ENTRY.format(name=name, digest=digest) for name in names)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_lock_cut_anywhere_is_restored_as_it_was_when_the_stage_began() -> None:
    before, after = written("abcdef"), written("abcdefg")
    whole = {len(written("abcdefg"[:count])) for count in range(1, 8)}  # cut between two stages: as good as any other
    line_ends = {i + 1 for i, letter in enumerate(after) if letter == "\n"}
    for cut in {0, 1, *random.Random(1).sample(range(len(after)), 60), *line_ends} - whole:
        lock.LOCK.write_text(before)
        lock.keep()
        lock.LOCK.write_text(after[:cut])
        assert "restored" in lock.mend()
        assert lock.LOCK.read_text() == before, cut
        assert lock.mend() == ""


def test_a_stage_refuses_to_work_without_the_record() -> None:
    lock.LOCK.write_text(written("abc"))
    lock.keep()
    for text in ("", written("abc")[:-4], written("abc").rpartition("    - path")[0]):
        lock.LOCK.write_text(text)
        with pytest.raises(UserError, match=r"^dvc\.lock: cut short .*; `make repro` restores it and goes on$"):
            lock.keep()
    assert "restored" in lock.mend()
    lock.keep()
    assert lock.outs("b") == {"data/b": "ab" * 16}
    assert lock.outs("x") == {}


def test_the_first_lock_of_a_project_leaves_nothing_to_restore() -> None:
    lock.keep()
    assert lock.outs("a") == {}
    lock.LOCK.write_text("schema: '2.0'\nsta")
    assert "removed" in lock.mend()
    assert not lock.LOCK.exists()
    assert lock.mend() == ""


@pytest.mark.parametrize(
    "text", [written("xy"), written("abc", "cd" * 16), written("ab"), written("b"), "<<<<<<< HEAD\nstages:\n"]
)
def test_what_a_person_has_put_there_stays(text: str) -> None:
    lock.LOCK.write_text(written("abc"))
    lock.keep()
    lock.LOCK.write_text(text)
    assert lock.mend() == ""
    assert lock.LOCK.read_text() == text


def test_a_deleted_lock_stays_deleted() -> None:
    lock.LOCK.write_text(written("abc"))
    lock.keep()
    lock.LOCK.unlink()
    assert lock.mend() == ""
    lock.keep()
    lock.LOCK.write_text("")  # the first stage of the new run is killed, and the old record is not what it began with
    lock.mend()
    assert not lock.LOCK.exists()


@pytest.mark.parametrize(("text", "stays"), [('{"read": {}}', True), ('{"re', False), ("", False)])
def test_what_dvc_cannot_read_of_its_own_locks_is_removed(text: str, stays: bool) -> None:
    lock.RWLOCK.parent.mkdir(parents=True)
    lock.RWLOCK.write_text(text)
    assert lock.mend() == ""
    assert lock.RWLOCK.exists() == stays
