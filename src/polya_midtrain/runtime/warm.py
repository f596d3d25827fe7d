"""One import of torch, transformers, trl and mlflow for all stages of a `dvc repro`, instead of one per stage.

Those imports take 6 to 10 s of one core, and a study of twenty arms has some hundred stages: minutes in which the
machine computes nothing. So the first stage of a `dvc repro` that needs them starts a server that has them loaded,
and that stage and the later ones run in processes forked from it. The server loads libraries only, never a module of
this package, so a stage's code is always what lies on the disk. It belongs to the dvc process that runs the stages and
ends with it. Where it cannot work (no Linux, no dvc, any failure to start) a stage loads its libraries itself.

The client, ``polya stage ...``, hands over its arguments, folder, environment and standard streams, passes signals
on, and ends with the stage's exit code. If it is killed the server kills the stage, and so does the server's own end.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from polya_midtrain.runtime import parent

LIGHT = frozenset({"questions", "grade", "select", "tables", "figures", "claims", "page"})  # they start no server
LIBRARIES = (
    "datasets",
    "mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
    "pydantic",
    "rich.progress",
    "scipy.stats",
    "transformers.integrations",
    "transformers.models.llama.modeling_llama",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "trl",
    "trl.trainer.grpo_trainer",
    "trl.trainer.reward_trainer",
    "trl.trainer.sft_trainer",
    "typer",
)
_START = 10.0  # seconds that a server gets to open its socket
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def delegate(arguments: Sequence[str]) -> int | None:
    """Run ``polya ARGUMENTS`` in a process forked from the server; its exit code, or None where there is no server."""
    owner = _owner()
    if owner is None or len(arguments) < 2 or arguments[0] != "stage":
        return None
    connection = _connect(owner)
    if connection is None and arguments[1] not in LIGHT:
        connection = _start(owner)
    if connection is None:
        return None
    with connection:
        request = {"arguments": list(arguments), "folder": str(Path.cwd()), "environment": dict(os.environ)}
        content = json.dumps(request).encode()
        try:
            socket.send_fds(connection, [struct.pack("!I", len(content))], [0, 1, 2])
            connection.sendall(content)
            (pid,) = struct.unpack("!i", _receive(connection, 4))
        except (OSError, EOFError):
            return None  # nothing has run yet
        except KeyboardInterrupt:
            return 130
        for number in _SIGNALS:
            signal.signal(number, lambda received, _: _pass_on(pid, received))
        try:
            (code,) = struct.unpack("!i", _receive(connection, 4))
        except (OSError, EOFError):
            return 1  # the server was killed, and the stage with it
        return int(code)


def _owner() -> int | None:
    """The dvc process that runs this stage; None outside of one, or where processes cannot be watched."""
    if "DVC_STAGE" not in os.environ or not hasattr(os, "pidfd_open"):
        return None
    pid = os.getppid()
    with suppress(OSError, ValueError, IndexError):
        for _ in range(4):  # dvc, perhaps a shell, this process
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if any(word.rsplit(b"/", 1)[-1] == b"dvc" for word in words[:3]):
                return pid
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return None


def _address(owner: int) -> str:
    """An abstract socket: no file, gone with the server. A process id alone would be reused, its start time is not."""
    started = Path(f"/proc/{owner}/stat").read_text().rsplit(")", 1)[1].split()[19]
    return f"\0polya-midtrain-{os.getuid()}-{owner}-{started}"


def _connect(owner: int) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(_address(owner))
        if _user(connection) == os.getuid():  # the name is free for anyone to take
            return connection
    except OSError:
        pass
    connection.close()
    return None


def _start(owner: int) -> socket.socket | None:
    command = [sys.executable, "-m", __name__, str(owner), *LIBRARIES]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    end = time.monotonic() + _START
    while time.monotonic() < end and server.poll() is None:
        connection = _connect(owner)
        if connection is not None:
            return connection
        time.sleep(0.02)
    return None


def _pass_on(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _receive(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = connection.recv(size - len(content))
        if not part:
            raise EOFError
        content += part
    return content


def _user(connection: socket.socket) -> int:
    """The user at the other end."""
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(user)


class Server:
    """Accepts stages until its dvc process ends; each runs in a forked child."""

    def __init__(self, owner: int) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(_address(owner))
        self.listener.listen()
        self.owner = os.pidfd_open(owner)
        self.selector = selectors.DefaultSelector()
        self.children: dict[int, tuple[int, socket.socket]] = {}  # pidfd -> pid, client

    def serve(self) -> None:
        """Until the owner ends."""
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.selector.register(self.owner, selectors.EVENT_READ)
        while True:
            for key, _ in self.selector.select():
                if key.fileobj == self.owner:
                    return  # and the stages with it
                if key.fileobj is self.listener:
                    with suppress(OSError, EOFError, ValueError):
                        self._accept()
                elif key.data is None:
                    self._reap(key.fd)
                elif not _still_there(key.fileobj):
                    self.selector.unregister(key.fileobj)
                    _pass_on(key.data, signal.SIGKILL)

    def _accept(self) -> None:
        client, _ = self.listener.accept()
        if _user(client) != os.getuid():
            client.close()
            return
        client.settimeout(_START)  # one that says nothing holds up no other
        head, streams, _, _ = socket.recv_fds(client, 4, 3)
        request = json.loads(_receive(client, struct.unpack("!I", head)[0]))
        server, pid = os.getpid(), os.fork()
        if pid == 0:
            self.listener.close()
            self.selector.close()
            os.close(self.owner)
            _run(request, streams, server)
        for stream in streams:
            os.close(stream)
        watched = os.pidfd_open(pid)
        self.children[watched] = (pid, client)
        self.selector.register(watched, selectors.EVENT_READ)
        self.selector.register(client, selectors.EVENT_READ, pid)
        client.sendall(struct.pack("!i", pid))  # last: if the client is gone by now, the stage is watched nevertheless

    def _reap(self, watched: int) -> None:
        pid, client = self.children.pop(watched)
        _, status = os.waitpid(pid, 0)
        self.selector.unregister(watched)
        with suppress(KeyError):
            self.selector.unregister(client)
        os.close(watched)
        code = os.waitstatus_to_exitcode(status)
        with suppress(OSError):
            client.sendall(struct.pack("!i", code if code >= 0 else 128 - code))
        client.close()


def _still_there(client: object) -> bool:
    """A client says nothing after its request: what can be read is its end."""
    assert isinstance(client, socket.socket)
    with suppress(OSError):
        return bool(client.recv(1))
    return False


def _run(request: dict[str, object], streams: Sequence[int], server: int) -> NoReturn:
    """A stage in the forked child, with the client's streams, folder and environment."""
    code = 1
    parent.follow(server)
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for stream in streams:
            os.close(stream)
        for number in _SIGNALS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        environment, arguments = request["environment"], request["arguments"]
        assert isinstance(environment, dict)
        assert isinstance(arguments, list)
        os.environ.clear()
        os.environ.update(environment)
        gc.enable()
        os.chdir(str(request["folder"]))
        from polya_midtrain import cli

        code = cli.execute(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    except KeyboardInterrupt:  # before the command line could see to it
        code = 130
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    """``python -m polya_midtrain.runtime.warm PID LIBRARY ...``: the server of dvc process PID."""
    server = Server(int(sys.argv[1]))  # first, so that stages wait for the imports and start no second server
    gc.disable()  # there is nothing to collect yet
    for name in sys.argv[2:]:
        importlib.import_module(name)
    gc.freeze()  # a million objects that stages share and that none of their collections need go through
    server.serve()


if __name__ == "__main__":
    main()
