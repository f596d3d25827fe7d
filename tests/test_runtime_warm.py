"""The server that loads the libraries once for all stages of a `dvc repro`."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polya_midtrain.runtime import warm

SOURCE = Path(warm.__file__).parents[2]
# A process named dvc that runs what it is given, as dvc runs a stage, and then goes on living until it is told to end.
DVC = """
import os, subprocess, sys
environment = os.environ | {"DVC_STAGE": "some"}
for line in sys.stdin:
    process = subprocess.Popen(line, shell=True, env=environment)
    print("started", process.pid, flush=True)
    print("ended", process.wait(), flush=True)
"""
# The command line of the project with a server that loads little and stages that do what the test says.
CLIENT = """
import sys
from polya_midtrain.runtime import warm
warm.LIBRARIES = ("json",)
warm._START = 600.0
code = warm.delegate(["stage", *sys.argv[1:]])
print("no server" if code is None else f"code {code}", flush=True)
sys.exit(code or 0)
"""


class Dvc:
    """A stand-in for a running `dvc repro`."""

    def __init__(self, folder: Path) -> None:
        script = folder / "dvc"
        script.write_text(DVC)
        (folder / "client.py").write_text(CLIENT)
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, script],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
            stdin=subprocess.PIPE,
            stdout=(folder / "out").open("w"),
            stderr=(folder / "err").open("w"),
            text=True,
        )

    def say(self, command: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()

    def stage(self, name: str) -> None:
        self.say(f"{shlex.quote(sys.executable)} client.py {name}")  # the folder may have a blank in its name

    def out(self) -> str:
        return (self.folder / "out").read_text()

    def err(self) -> str:
        return (self.folder / "err").read_text()

    def servers(self) -> list[int]:
        found = subprocess.run(
            ["pgrep", "-f", f"{warm.__name__} {self.process.pid} "], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in found.stdout.split()]


def until(condition: Callable[[], object], seconds: float = 600.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def dvc(tmp_path: Path) -> Iterator[Dvc]:
    running = Dvc(tmp_path)
    yield running
    running.process.kill()
    running.process.wait()
    until(lambda: not running.servers())  # it ends with its dvc, whatever happened


def test_a_stage_runs_in_the_server_with_the_callers_streams_and_code(dvc: Dvc) -> None:
    dvc.stage("nonesuch")
    until(lambda: "ended" in dvc.out())
    assert "polya: no stage 'nonesuch'" in dvc.err()  # what the stage itself says, on the caller's stream
    assert "code 2" in dvc.out()
    dvc.stage("nonesuch")
    until(lambda: dvc.out().count("ended 2") == 2)
    assert len(dvc.servers()) == 1


def test_a_light_stage_starts_no_server(dvc: Dvc) -> None:
    dvc.stage("tables")
    until(lambda: "ended" in dvc.out())
    assert "no server" in dvc.out()
    assert dvc.servers() == []


def test_outside_of_dvc_nothing_is_delegated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert warm.delegate(["stage", "rl", "--arm", "n4"]) is None
    monkeypatch.setenv("DVC_STAGE", "rl")  # set, but no process above is dvc
    assert warm.delegate(["stage", "rl", "--arm", "n4"]) is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_stage(dvc: Dvc, tmp_path: Path, number: signal.Signals) -> None:
    # The stage is `base` of a project whose settings come through a named pipe: it waits there for a writer.
    os.mkfifo(tmp_path / "params.yaml")
    dvc.stage("base")
    until(lambda: "started" in dvc.out())
    until(lambda: len(dvc.servers()) == 2)  # the server and the stage that it forked
    client = children(int(dvc.out().split()[1]))
    os.kill(client, number)
    until(lambda: "ended" in dvc.out())
    assert f"code {128 + number}" in dvc.out(), dvc.err()
    assert len(dvc.servers()) == 1


def test_a_killed_caller_takes_its_stage_along(dvc: Dvc, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "params.yaml")
    dvc.stage("base")
    until(lambda: len(dvc.servers()) == 2)
    os.kill(children(int(dvc.out().split()[1])), signal.SIGKILL)
    until(lambda: len(dvc.servers()) == 1)


def test_a_caller_that_is_killed_before_it_hears_of_its_stage_takes_it_along(dvc: Dvc, tmp_path: Path) -> None:
    dvc.stage("nonesuch")
    until(lambda: "ended" in dvc.out())
    os.mkfifo(tmp_path / "params.yaml")
    request = {"arguments": ["stage", "base"], "folder": str(tmp_path), "environment": dict(os.environ)}
    content = json.dumps(request).encode()
    (server,) = dvc.servers()
    os.kill(server, signal.SIGSTOP)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.connect(warm._address(dvc.process.pid))
        socket.send_fds(caller, [struct.pack("!I", len(content))], [0, 1, 2])
        caller.sendall(content)
    os.kill(server, signal.SIGCONT)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:  # answered when the first has been dealt with
        other.connect(warm._address(dvc.process.pid))
        socket.send_fds(other, [struct.pack("!I", len(content))], [0, 1, 2])
        other.sendall(content)
        assert len(other.recv(4)) == 4
    until(lambda: dvc.servers() == [server])


def test_a_killed_server_takes_its_stage_along(dvc: Dvc, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "params.yaml")
    dvc.stage("base")
    until(lambda: len(dvc.servers()) == 2)
    os.kill(min(dvc.servers()), signal.SIGKILL)
    until(lambda: "ended 1" in dvc.out())
    until(lambda: not dvc.servers())


def test_a_killed_server_is_an_error_and_no_success(dvc: Dvc, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "params.yaml")
    dvc.stage("base")
    until(lambda: len(dvc.servers()) == 2)
    for pid in dvc.servers():
        os.kill(pid, signal.SIGKILL)
    until(lambda: "ended 1" in dvc.out())


def children(shell: int) -> int:
    """The client: the shell's child, or the shell itself where that has replaced itself by its command."""
    found = subprocess.run(["pgrep", "-P", str(shell)], capture_output=True, text=True, check=False).stdout.split()
    return int(found[0]) if found else shell
