"""dvc.lock as `make repro` writes it: what DVC's own writer would write, of any settings the same meaning."""

from __future__ import annotations

import io
import subprocess
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import _yaml as theirs
from hypothesis import given
from hypothesis import strategies as st

from polya_midtrain.runtime import repro
from polya_midtrain.runtime.dvc import __main__ as ours

ROOT = Path(__file__).resolve().parents[1]
LOCKS = [ROOT / "dvc.lock", *sorted((ROOT / "reports").glob("*/lock.yaml"))]
FIRST = "stages: {one: {cmd: 'echo 1 > made', outs: [made], params: [lists, text]}}\n"
SETTINGS = "# kept\nlists: [{a: 1e-05, b: 2}, {}]\ntext: \"two\\nlines, 'quoted' \\u00e9 # no comment\"\n"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc.-_0: ", min_size=1), inner, max_size=3),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def quick() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The reader and the writer that take the place of DVC's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs, "parse_yaml_for_update", theirs.parse_yaml_for_update)
        patch.setattr(theirs, "_dump", theirs._dump)
        ours.quicken()
        return theirs.parse_yaml_for_update, theirs._dump


def written(dump: Callable[..., Any], data: Any) -> str:
    stream = io.StringIO()
    dump(data, stream)
    return stream.getvalue()


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.parent.name)
def test_a_lock_is_read_and_written_to_the_byte(path: Path, quick: Any) -> None:
    parse, dump = quick
    text = path.read_text(encoding="utf-8")
    assert written(dump, parse(text, "dvc.lock")) == text


@given(st.dictionaries(st.text("abc", min_size=1), VALUES, max_size=3))
def test_any_setting_means_the_same_to_dvc(quick: Any, found: dict[str, Any]) -> None:
    parse, dump = quick
    lock = {"schema": "2.0", "stages": {"one": OrderedDict(cmd="x", params={"params.yaml": found})}}
    text = written(dump, lock)
    assert theirs.parse_yaml(text, "dvc.lock") == lock
    assert parse(text, "dvc.lock") == lock
    assert written(dump, parse(text, "dvc.lock")) == text


def test_only_locks_are_read_without_their_comments(quick: Any) -> None:
    parse, dump = quick
    text = "# why\nstages:\n  one:\n    cmd: x # so\n"
    assert written(dump, parse(text, "dvc.yaml")) == text


def test_dvc_itself_finds_nothing_to_do_after_it(tmp_path: Path) -> None:
    """A run by `make repro`, then one by DVC, which also writes the lock that it would have written."""
    (tmp_path / "dvc.yaml").write_text(FIRST)
    (tmp_path / "params.yaml").write_text(SETTINGS)

    def run(*command: str) -> str:
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    run("dvc", "init", "-q", "--no-scm")
    run(*repro.DVC, "repro")
    lock = (tmp_path / "dvc.lock").read_bytes()
    assert "Running stage" not in run("dvc", "repro")
    run("dvc", "repro", "-f")
    assert (tmp_path / "dvc.lock").read_bytes() == lock
