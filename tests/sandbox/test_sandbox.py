"""The sandbox itself: its scratch folder, its end, and what is left of it on an older kernel."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from programs import BARE, HAVE, QUICK, SECRET, body, reason

from polya_midtrain.errors import UserError
from polya_midtrain.grading import grade_many, landlock, launcher, pool, sandbox
from polya_midtrain.grading.code import Judge
from polya_midtrain.grading.limits import Limits


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Judge]]:
    """Makes judges in this process whose scratch folders are below ``tmp_path``."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = []

    def make(have: frozenset[str], limits: Limits = QUICK) -> Judge:
        made.append(Judge(limits, have))
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
    helper = pool._Helper("code", QUICK)
    helper.start(pool._Job("code", BARE, [body("import time; open('left', 'w'); time.sleep(100)")]))
    while not any(tmp_path.glob("polya-program-*/left")):
        time.sleep(0.02)
    helper.process.kill()
    deadline = time.monotonic() + 120
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


@pytest.mark.skipif(landlock.version() < landlock.WHOLE, reason="this kernel's Landlock is older")
def test_nothing_is_said_where_nothing_is_weaker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pool, "_WARNED", set())
    pool.close_helpers()
    assert reason(body("pass")) == "right"
    assert capsys.readouterr().err == ""


def test_a_gap_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    emulate(3, tmp_path, monkeypatch)
    for _ in range(2):
        pool.close_helpers()
        assert reason(body("pass")) == "right"
    pool.close_helpers()
    lines = [line for line in capsys.readouterr().err.splitlines() if "Landlock" in line]
    assert len(lines) == 1
    assert lines[0].startswith("polya: warning: sandbox: Landlock has version 3 here (Linux 6.12 or later has 6): that")


def emulate(version: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Helpers as on a kernel with another version of Landlock; 0 for none."""
    patch = f"from polya_midtrain.grading import landlock\nlandlock.version = lambda: {version}\n"
    (folder / "sitecustomize.py").write_text(patch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
    pool.close_helpers()


def test_without_a_protection_no_program_is_run_unless_the_settings_allow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    emulate(0, tmp_path, monkeypatch)
    monkeypatch.setattr(pool, "_WARNED", set())
    item = (body("pass"), BARE, "code")
    with pytest.raises(
        UserError, match=r"^grading: this machine has no Landlock .* set machine.sandbox to weak"
    ) as said:
        grade_many([item], 1)
    assert "\n" not in str(said.value)
    assert pool._HELPERS.all == []
    assert grade_many([("\\boxed{1}", "1", "maths")], 1)[0].correct  # what runs no program is graded
    assert grade_many([item], 1, weak=True)[0].correct
    assert "polya: warning: sandbox: Landlock is missing here" in capsys.readouterr().err
    with pytest.raises(UserError, match="this machine has no Landlock"):
        grade_many([item], 1)  # the helper that may do so does not serve the others
    pool.close_helpers()


@pytest.mark.parametrize("missing", [sandbox.SECCOMP, sandbox.LANDLOCK])
def test_each_protection_is_needed(missing: str) -> None:
    both = frozenset({sandbox.SECCOMP, sandbox.LANDLOCK})
    sandbox.admit(both, weak=False)
    sandbox.admit(frozenset(), weak=True)
    with pytest.raises(UserError, match=f"no {missing} to confine"):
        sandbox.admit(both - {missing}, weak=False)
    with pytest.raises(UserError, match="no seccomp and no Landlock to confine"):
        sandbox.admit(frozenset(), weak=False)


ONE = json.dumps({"prefix": "", "tests": f"assert f(1) == {SECRET + 1}", "entry": "f"})


def test_files_that_come_and_go_while_they_are_counted_harm_nobody(
    here: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "_LOOK_SECONDS", 0.0)  # they are counted all the time
    busy = """
import os
for i in range(20000):
    os.close(os.open(str(i % 7), os.O_CREAT | os.O_WRONLY)); os.unlink(str(i % 7))
"""
    assert here(HAVE, replace(QUICK, cpu_seconds=60)).verdict(body(busy), ONE).correct


def test_a_sleeping_program_is_ended_by_the_clock(here: Callable[..., Judge]) -> None:
    judge = here(HAVE, replace(QUICK, wall_seconds=0.5))
    assert judge.verdict(body("import time; time.sleep(1000)"), BARE).reason == "timeout"


def test_what_a_program_starts_ends_with_it(here: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing keeps it from starting processes, which then leave its session and its parent."""
    monkeypatch.setattr(launcher.Walls, "enter", lambda self: None)
    monkeypatch.setattr(launcher, "restrain", lambda limits: None)
    seconds = str(os.getpid() + 10**6)
    leave = f"""
import os, subprocess
subprocess.Popen(['sleep', '{seconds}'], preexec_fn=os.setsid)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: os.execvp('sleep', ['sleep', '{seconds}'])
    os._exit(0)
"""
    assert here(frozenset()).verdict(body(leave), ONE).correct
    assert not [process for process in Path("/proc").glob("[0-9]*") if seconds in _command(process)]


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def test_the_folder_of_a_killed_grader_is_removed_at_the_next_start(here: Callable[..., Judge], tmp_path: Path) -> None:
    killed, living = here(HAVE), here(HAVE)
    assert [judge.verdict(body("pass"), BARE).correct for judge in (killed, living)] == [True, True]
    left = set(tmp_path.iterdir())
    os.kill(killed.launcher.process, signal.SIGKILL)
    os.waitid(os.P_PID, killed.launcher.process, os.WEXITED | os.WNOWAIT)
    assert set(tmp_path.iterdir()) == left
    assert here(HAVE).verdict(body("pass"), BARE).correct
    assert len(set(tmp_path.iterdir()) & left) == 1
    assert living.verdict(body("open('a', 'w').close()"), BARE).correct


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
