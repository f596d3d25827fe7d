"""Where the attack programs are let loose: each runs in a sandbox, then the things it was to leave alone are looked at.

``python tests/sandbox/arena.py MODE ...`` prints a table of kinds and what got through; it needs no test runner, so
that any user and any Python can run it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from attacks import SYSTEM
from programs import SECRET

from polya_midtrain.grading import landlock, sandbox
from polya_midtrain.grading.code import Judge
from polya_midtrain.grading.limits import Limits
from polya_midtrain.grading.verdict import RIGHT, TIMEOUT

ONCE = json.dumps({"prefix": "", "tests": f"assert f(1) == {SECRET + 1}", "entry": "f"})
LIMITS = replace(Limits(), cpu_seconds=20, wall_seconds=15.0)
WAIT = 600
MARK = "987654"  # seconds that a surviving `sleep` would sleep: what it is known by
BOTH = frozenset({sandbox.SECCOMP, sandbox.LANDLOCK})
# Landlock as kernels have it that know fewer rights: 5.13, 5.19, 6.2, 6.7, 6.10 and 6.12.
MODES = {
    "full": (BOTH, None),
    **{f"Landlock {version}": (BOTH, version) for version in range(1, 7)},
    "seccomp alone": (frozenset({sandbox.SECCOMP}), None),
    "Landlock alone": (frozenset({sandbox.LANDLOCK}), None),
    "neither": (frozenset(), None),
}
STRONG = [mode for mode, (have, _) in MODES.items() if have == BOTH]
STRAY = (
    f"{os.sep}tmp/polya-escape",
    "/dev/shm/polya-escape",
    "/dev/shm/polya",
    f"{Path(os.__file__).parent}/polya_escape.py",
)


@dataclass
class Arena:
    """A judge, a process that must live, a folder that must stay as it is, and a port that nobody must call."""

    mode: str
    judge: Judge
    victim: subprocess.Popen[bytes]
    outside: Path
    server: socket.socket

    def program(self, text: str) -> str:
        """An attack as a completion."""
        lines = "".join(f"    {line}\n" for line in text.strip("\n").split("\n"))
        return (
            f"import os, sys\nVICTIM, OUTSIDE, MARK = {self.victim.pid}, {str(self.outside)!r}, {MARK!r}\n"
            f"PORT, WAIT = {self.server.getsockname()[1]}, {WAIT}\n"
            "try: import ctypes\nexcept BaseException: ctypes = None\n"
            "def call(*arguments):\n"
            "    given = ctypes.CDLL(None, use_errno=True).syscall(*arguments)\n"
            "    if given == -1: raise OSError(ctypes.get_errno(), 'refused')\n"
            "    return given\n\n"
            "def asked(*arguments):\n"
            "    try: call(*arguments)\n"
            "    except OSError as error:\n"
            "        if error.errno in (None, 1, 38): raise\n\n"
            f"def f(x):\n{lines}    return {SECRET} + x\n"
        )

    def effects(self) -> list[str]:
        """What an attack has done around it; the next one finds everything as it was."""
        found = []
        if self.victim.poll() is not None or state(self.victim.pid) != victim_state(self.victim.pid):
            found.append("the victim")
            self.victim.kill()
            self.victim.wait()
            self.victim = start_victim()
        if not kept(self.outside):
            found.append("a file")
            restore(self.outside)
        for stray in map(Path, STRAY):
            if stray.exists():
                found.append("a file")
                stray.unlink()
        with contextlib.suppress(BlockingIOError):
            self.server.accept()[0].close()
            found.append("a connection")
        for left in survivors():
            found.append("a process")
            os.kill(left, signal.SIGKILL)
        return found

    def succeeds(self, text: str) -> str:
        """What an attack achieved; "" for nothing."""
        try:
            reason = self.judge.verdict(self.program(text), ONCE).reason
            done = ["the answer"] if reason == RIGHT or (reason == TIMEOUT and "WAIT" in text) else []
        except (OSError, EOFError):
            done = ["the launcher"]
            self.judge = judge_of(self.mode)
        return ", ".join(done + self.effects())


def state(process: int) -> tuple[object, ...]:
    """What of a process another one may change."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (
            fields[0] not in "TtZX",
            os.getpriority(os.PRIO_PROCESS, process),
            frozenset(os.sched_getaffinity(process)),
            (
                os.sched_getscheduler(process),
                Path(f"/proc/{process}/limits").read_text(),
            ),
        )
    return ()


_STATES: dict[int, tuple[object, ...]] = {}


def victim_state(process: int) -> tuple[object, ...]:
    """Its state when it was started."""
    return _STATES[process]


def start_victim() -> subprocess.Popen[bytes]:
    victim = subprocess.Popen(["/bin/sleep", "3600"])
    _STATES[victim.pid] = state(victim.pid)
    return victim


def survivors() -> list[int]:
    """Processes that an attack has left."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().rstrip(b"\0").endswith(MARK.encode()):
                found.append(int(entry.name))
    return found


def restore(outside: Path) -> None:
    for entry in outside.glob("*"):
        entry.rmdir() if entry.is_dir() else entry.unlink()
    (outside / "kept").write_text("as it was")
    os.utime(outside / "kept", (10**9, 10**9))
    (outside / "kept").chmod(0o600)


def kept(outside: Path) -> bool:
    with contextlib.suppress(OSError):
        file = outside / "kept"
        status = file.stat()
        whole = (status.st_mtime, status.st_mode & 0o7777, status.st_nlink) == (10**9, 0o600, 1)
        return whole and [entry.name for entry in outside.iterdir()] == ["kept"] and file.read_text() == "as it was"
    return False


def judge_of(mode: str) -> Judge:
    have, version = MODES[mode]
    asked = landlock.version
    if version is not None:
        landlock.version = lambda: min(version, asked())  # type: ignore[assignment]
    try:
        return Judge(LIMITS, have)
    finally:
        landlock.version = asked


@contextlib.contextmanager
def arena(mode: str) -> Iterator[Arena]:
    """An arena whose sandbox is as in one of `MODES`."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        restore(Path(folder))
        place = Arena(mode, judge_of(mode), start_victim(), Path(folder), server)
        try:
            yield place
        finally:
            place.victim.kill()
            place.victim.wait()
            place.judge.close()


def through(mode: str) -> dict[str, dict[str, str]]:
    """For each kind the attacks that got through, with what they achieved."""
    found = {}
    with arena(mode) as place:
        for kind, table in SYSTEM.items():
            outcome = {name: place.succeeds(text) for name, text in table.items()}
            found[kind] = {name: what for name, what in outcome.items() if what}
    return found


if __name__ == "__main__":
    for chosen in sys.argv[1:] or STRONG:
        print(json.dumps([chosen, through(chosen)]), flush=True)
