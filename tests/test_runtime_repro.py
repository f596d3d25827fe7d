"""What `make repro` does around `dvc repro`; with programs in its place and polya's that only say how they were called.

The real ones are in tests/studies and tests/faults.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polya_midtrain import start
from polya_midtrain.runtime import lock, parent, repro

SAYS = '#!/bin/sh\necho "$(basename "$0") $*" >> said\n'
FAILS = SAYS + 'test "$1" != repro || exit 3\n'
WAITS = SAYS + 'test "$1" != repro || while ! test -e go; do sleep 0.05; done\n'
REMOTE = SAYS + 'test "$1" != config || echo store\n'
ELSEWHERE = """
from polya_midtrain.runtime import repro
from polya_midtrain.start import main

repro.DVC = ("dvc",)
raise SystemExit(main())
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(repro, "DVC", ("dvc",))
    program("polya", SAYS)


def program(name: str, text: str) -> None:
    Path(name).write_text(text)
    Path(name).chmod(0o755)


def said() -> list[str]:
    return Path("said").read_text().splitlines() if Path("said").exists() else []


@pytest.mark.parametrize(
    ("dvc", "status", "called"),
    [(SAYS, 0, "dvc repro a b"), (REMOTE, 0, "dvc repro --pull a b"), (FAILS, 3, "dvc repro a b")],
)
def test_a_run_is_posted_and_shared_whatever_its_end(dvc: str, status: int, called: str) -> None:
    program("dvc", dvc)
    assert start.main(["repro", "a", "b"]) == status
    assert said()[:2] == ["dvc config core.remote", called]
    assert sorted(said()[2:]) == ["polya share", "polya sync"]


def test_what_cannot_be_shared_is_no_success() -> None:
    program("dvc", SAYS)
    program("polya", SAYS + 'test "$1" != share || exit 2\n')
    assert start.main(["repro"]) == 2
    program("polya", SAYS + 'test "$1" != sync || exit 2\n')  # a store that cannot be used fails no run
    assert start.main(["repro"]) == 0


def test_a_lock_that_a_kill_cut_short_is_restored_before_dvc_starts(capsys: pytest.CaptureFixture[str]) -> None:
    program("dvc", SAYS + 'test "$1" != repro || cat dvc.lock >> said\n')
    lock.LOCK.write_text("schema: '2.0'\nstages:\n  base:\n    outs:\n    - path: a\n      size: 1\n")
    lock.keep()
    lock.LOCK.write_text("")
    assert start.main(["repro"]) == 0
    assert "    - path: a" in said()
    assert "restored as it was when its last stage began" in capsys.readouterr().out


def test_a_second_run_says_in_one_line_that_another_is_at_work(capsys: pytest.CaptureFixture[str]) -> None:
    program("dvc", WAITS)
    command = [sys.executable, "-c", ELSEWHERE, "repro"]
    first = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        wait_for("dvc repro")
        for arguments in (["repro"], ["profile", "smoke"]):
            Path("profiles").mkdir(exist_ok=True)
            Path("profiles/smoke.yaml").write_bytes((Path(__file__).parents[1] / "profiles/smoke.yaml").read_bytes())
            assert start.main(arguments) == 2
            assert capsys.readouterr().err == f"polya: {repro.BUSY}\n"
        assert not Path("params.yaml").exists()
    finally:
        Path("go").touch()
    assert first.wait() == 0


def test_a_run_whose_head_is_killed_ends(tmp_path: Path) -> None:
    program("dvc", SAYS + 'test "$1" != repro || { echo $$ > pid; exec sleep 600; }\n')
    command = [sys.executable, "-c", ELSEWHERE, "repro"]
    first = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    wait_for("dvc repro")
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        time.sleep(0.01)
    first.kill()
    first.wait()
    watched = int((tmp_path / "pid").read_text())
    while Path(f"/proc/{watched}").exists() and " Z " not in Path(f"/proc/{watched}/stat").read_text():
        time.sleep(0.01)


def test_who_follows_a_process_that_is_gone_ends_at_once() -> None:
    child = os.fork()
    if child == 0:
        parent.follow(os.getppid() + 1)  # not the parent
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def wait_for(line: str) -> None:
    while line not in said():
        time.sleep(0.01)
