"""Scratch folders: what keys them, and that a published output is whole after a crash at any point."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polya_midtrain.errors import UserError
from polya_midtrain.runtime import clutter, scratch, tracking

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(path: Path, content: dict[str, str] | str) -> Path:
    """A file of that text, or a folder of such files."""
    if isinstance(content, str):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    else:
        path.mkdir(parents=True)
        for name, text in content.items():
            write(path / name, text)
    return path


def read(path: Path) -> dict[str, str] | str | None:
    if path.is_dir():
        return {file.relative_to(path).as_posix(): file.read_text() for file in path.rglob("*") if file.is_file()}
    return path.read_text() if path.exists() else None


OLD, NEW = {"a": "old", "b/c": "old"}, {"a": "new", "b/d": "new"}
SHAPES = [(NEW, None), (NEW, OLD), ("new", None), ("new", "old"), ("new", OLD), (NEW, "old")]


def test_hash_does_not_depend_on_order() -> None:
    one, two = write(Path("one"), "1"), write(Path("two"), {"x": "1", "y": "2"})
    assert scratch.hash_inputs([one, two], {"a": 1, "b": [2]}) == scratch.hash_inputs([two, one], {"b": [2], "a": 1})


def test_hash_sees_every_change() -> None:
    write(Path("in"), {"x": "1", "y/z": "2"})
    found = {scratch.hash_inputs([Path("in")], {"a": 1})}
    found.add(scratch.hash_inputs([Path("in")], {"a": 2}))
    found.add(scratch.hash_inputs([], {"a": 1}))
    Path("in/x").write_text("3")
    found.add(scratch.hash_inputs([Path("in")], {"a": 1}))
    Path("in/x").rename("in/w")
    found.add(scratch.hash_inputs([Path("in")], {"a": 1}))
    Path("in/y/z").unlink()
    found.add(scratch.hash_inputs([Path("in")], {"a": 1}))
    assert len(found) == 6


def test_hash_leaves_out_compiled_code() -> None:
    write(Path("code"), {"a.py": "pass"})
    before = scratch.hash_inputs([Path("code")], {})
    write(Path("code/__pycache__/a.pyc"), "bytes")
    assert scratch.hash_inputs([Path("code")], {}) == before


@given(st.lists(st.text(alphabet="ab", max_size=3), min_size=2, max_size=2, unique=True))
def test_hash_keeps_file_borders(texts: list[str]) -> None:
    one, two = texts
    folder = Path("borders")
    shutil.rmtree(folder, ignore_errors=True)
    write(folder, {"1": one, "2": two})
    before = scratch.hash_inputs([folder], {})
    write(folder / "1", two)
    write(folder / "2", one)
    assert scratch.hash_inputs([folder], {}) != before


def test_hash_of_a_missing_input_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^gone: missing; run `dvc repro`.*$"):
        scratch.hash_inputs([Path("gone")], {})


def test_workdir_is_found_again_until_it_is_discarded() -> None:
    write(scratch.workdir("rl", "k" * 64) / "checkpoint", "half done")
    assert read(scratch.workdir("rl", "k" * 64)) == {"checkpoint": "half done"}
    assert read(scratch.workdir("rl", "o" * 64)) == {}
    scratch.discard(scratch.workdir("rl", "k" * 64))
    assert read(scratch.workdir("rl", "k" * 64)) == {}


@pytest.mark.parametrize(("new", "old"), SHAPES)
def test_publish_replaces_and_leaves_nothing_behind(
    new: dict[str, str] | str, old: dict[str, str] | str | None
) -> None:
    source, target = write(Path(".scratch/out"), new), Path("models/arm")
    if old is not None:
        write(target, old)
    scratch.publish(source, target)
    assert read(target) == new
    assert not source.exists()
    assert [path.name for path in target.parent.iterdir()] == ["arm"]


def test_publish_where_two_names_cannot_be_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_EXCHANGE", 1 << 30)  # a flag that no kernel knows: refused, as by such a file system
    target = write(Path("models/arm"), OLD)
    scratch.publish(write(Path(".scratch/out"), NEW), target)
    assert read(target) == NEW
    assert [path.name for path in target.parent.iterdir()] == ["arm"]


def test_publish_to_another_file_system() -> None:
    other = Path(f"/dev/shm/polya-test-{os.getpid()}")
    if not other.parent.is_dir() or other.parent.stat().st_dev == Path().stat().st_dev:
        pytest.skip("there is no second file system here")
    try:
        for new, old in SHAPES:
            shutil.rmtree(other, ignore_errors=True)
            source, target = write(Path(".scratch/out"), new), other / "arm"
            if old is not None:
                write(target, old)
            scratch.publish(source, target)
            assert read(target) == new
            assert not source.exists()
            assert [path.name for path in other.iterdir()] == ["arm"]
    finally:
        shutil.rmtree(other, ignore_errors=True)


@pytest.mark.parametrize(("new", "old"), SHAPES)
def test_publish_is_whole_after_a_crash_at_any_point(
    new: dict[str, str] | str, old: dict[str, str] | str | None
) -> None:
    target, seen = Path("models/arm"), set()
    for point in range(200):
        for folder in (Path("models"), Path(".scratch")):
            shutil.rmtree(folder, ignore_errors=True)
        source = write(Path(".scratch/out"), new)
        if old is not None:
            write(target, old)
        finished = not crashes(point, source, target)
        left = read(target)
        assert left in (old, new)
        seen.add(str(left))
        # What is left in the scratch folder is the new work or none of it, so that resuming cannot publish the old.
        if source.exists():
            assert read(source) in (new, None)
        # The next attempt succeeds whatever the crash has left.
        scratch.publish(write(Path(".scratch/again"), new), target)
        assert read(target) == new
        assert [path.name for path in target.parent.iterdir()] == ["arm"]
        if finished:
            break
    assert finished
    assert seen == {str(old), str(new)}


def crashes(point: int, source: Path, target: Path) -> bool:
    """Publish in a child that dies just before its ``point``-th call of the operating system; whether it died."""
    child = os.fork()
    if child == 0:
        calls = 0

        def hook(event: str, _: tuple[object, ...]) -> None:
            nonlocal calls
            if event.startswith(("os.", "shutil.", "ctypes.", "open")):
                calls += 1
                if calls == point + 1:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        scratch.publish(source, target)
        calls = -sys.maxsize  # what a tracer does at the end is not ours
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


CLUTTER = (
    ".run.py.swp",
    "run.py~",
    ".#run.py",
    "#run.py#",
    ".DS_Store",
    "4913",
    "run.py.orig",
    ".ipynb_checkpoints/run-checkpoint.py",
    "__pycache__/run.pyc",
    ".idea/workspace.xml",
)


def test_what_editors_leave_makes_nothing_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    shutil.copy(ROOT / ".dvcignore", ".dvcignore")
    for folder in ("src/part", "out"):
        Path(folder).mkdir(parents=True)
        Path(folder, "run.py").write_text("1")
    Path("dvc.yaml").write_text("stages: {one: {cmd: mkdir out; cp src/part/run.py out, deps: [src], outs: [out]}}")
    with Repo() as repo:
        repo.reproduce()
    before = [scratch.hash_inputs([Path("src")], {}), tracking.dvc_hash(Path("out"))]
    for folder, name in ((folder, name) for folder in ("src/part", "out") for name in CLUTTER):
        path = Path(folder, name)
        path.parent.mkdir(exist_ok=True)
        if name == ".#run.py":
            path.symlink_to("me@host.1234:5678")  # as Emacs locks a file
        else:
            path.write_text("x")
    with Repo() as repo:
        assert repo.status() == {}
    assert [scratch.hash_inputs([Path("src")], {}), tracking.dvc_hash(Path("out"))] == before
    Path("src/part/other.py").touch()
    with Repo() as repo:
        assert repo.status() != {}
    assert set(clutter.NAMES) <= set((ROOT / ".dvcignore").read_text().splitlines())
