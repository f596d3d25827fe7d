"""The sandbox itself: its scratch folder, its end, and what is left of it on an older kernel."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from programs import BARE, HAVE, QUICK, SECRET, body, reason

from polya_midtrain.errors import UserError
from polya_midtrain.grading import pool, sandbox
from polya_midtrain.grading.code import Judge


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[frozenset[str]], Judge]]:
    """Makes judges in this process whose scratch folders are below ``tmp_path``."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = []

    def make(have: frozenset[str]) -> Judge:
        made.append(Judge(QUICK, have))
        return made[-1]

    yield make
    for judge in made:
        judge.close()


def test_the_scratch_folder_is_emptied_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    judge = Judge(QUICK, HAVE)
    leaving = body("import os\nif os.listdir(): return 0\nopen('left', 'w').write('x')")
    gold = json.dumps({"prefix": "", "tests": f"assert f(1) == {SECRET + 1}", "entry": "f"})
    assert [judge.verdict(leaving, gold).reason for _ in range(2)] == ["right", "right"]
    (folder,) = tmp_path.glob("polya-program-*")
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o077 == 0
    judge.close()
    assert list(tmp_path.iterdir()) == []


def test_the_launcher_goes_with_its_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the helper ends: killed in the middle of a program, too."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    helper = pool._Helper("code")
    helper.start(pool._Job("code", BARE, [body("import time; open('left', 'w'); time.sleep(100)")]))
    while not any(tmp_path.glob("polya-program-*/left")):
        time.sleep(0.02)
    helper.process.kill()
    deadline = time.monotonic() + 10
    while any(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(tmp_path.iterdir()) == []
    helper.close()


FALLBACKS = [frozenset(names) for names in ([sandbox.SECCOMP], [sandbox.LANDLOCK], []) if set(names) <= HAVE]


@pytest.mark.parametrize("have", FALLBACKS, ids=["+".join(names) or "neither" for names in FALLBACKS])
def test_a_weaker_sandbox_still_refuses_what_python_can_ask(
    here: Callable[..., Judge], tmp_path: Path, have: frozenset[str]
) -> None:
    judge = here(have)
    outside = tmp_path / "outside"
    assert judge.verdict(body("import math, heapq, random"), BARE).reason == "right"
    for attempt in (
        f"open({str(outside)!r}, 'w')",
        f"import os; os.open({str(outside)!r}, os.O_CREAT | os.O_WRONLY)",
        "import socket; socket.socket()",
        "import os; os.fork()",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.kill(os.getppid(), 9)",
        f"import os; os.mkdir({str(outside)!r})",
        "import ctypes; ctypes.CDLL(None).fork()"
        if sandbox.SECCOMP not in have
        else "import os; os.execv('/x', ['x'])",
    ):
        assert judge.verdict(body(attempt), BARE).reason == "wrong", attempt
    assert not outside.exists()
    assert judge.verdict(body("pass"), BARE).reason == "right"


def test_each_gap_is_named() -> None:
    assert sandbox.gaps(frozenset({sandbox.SECCOMP, sandbox.LANDLOCK})) == []
    for missing in (sandbox.SECCOMP, sandbox.LANDLOCK):
        (gap,) = sandbox.gaps(frozenset({sandbox.SECCOMP, sandbox.LANDLOCK}) - {missing})
        assert gap.startswith(f"{missing} is missing here")
    assert len(sandbox.gaps(frozenset())) == 2


def test_a_gap_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    patch = "from polya_midtrain.grading import landlock\nlandlock.version = lambda: 0\n"
    (tmp_path / "sitecustomize.py").write_text(patch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    for _ in range(2):
        pool.close_helpers()
        assert reason(body("pass")) == "right"
    pool.close_helpers()
    lines = [line for line in capsys.readouterr().err.splitlines() if "Landlock" in line]
    assert len(lines) == 1
    assert lines[0].startswith("polya: warning: sandbox: Landlock is missing here")


def test_a_sandbox_that_gives_wrong_verdicts_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Better no grading than all programs wrong."""
    patch = (
        "from polya_midtrain.grading import landlock\ndef refuse(rules): raise OSError\nlandlock.restrict = refuse\n"
    )
    (tmp_path / "sitecustomize.py").write_text(patch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    pool.close_helpers()
    if sandbox.LANDLOCK in HAVE:
        with pytest.raises(UserError, match=r"did not start; run `python -m polya_midtrain.grading.worker code 5`"):
            reason(body("pass"))
    pool.close_helpers()
