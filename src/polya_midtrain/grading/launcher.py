"""A small process that starts each program in a process of its own.

It is forked off a helper before that has read any question, so that nothing of the tests is in its memory or in that of
its children, and it has the usual modules loaded, so that a program costs a fork and no start of Python. It is
not confined itself: it runs no foreign code, ends the programs, and empties and removes their scratch folder.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from polya_midtrain.grading import program
from polya_midtrain.grading.limits import Limits
from polya_midtrain.grading.sandbox import Walls, restrain

# loaded once, for all programs
_USUAL = """bisect cmath collections.abc copy dataclasses datetime decimal enum fractions functools hashlib heapq
    itertools math numbers operator queue random re statistics string textwrap typing unicodedata"""
_LOOK_SECONDS = 0.05  # how often a running program's scratch folder is looked at
_CHANNEL = 3  # the file descriptor of a program's channel


class Launcher:
    """The helper's side: one program at a time."""

    def __init__(self, limits: Limits, have: frozenset[str]) -> None:
        ours, theirs = socket.socketpair()
        self.process = os.fork()
        if self.process == 0:
            _leave(_run, ours, theirs, limits, have)
        theirs.close()
        self.control = ours

    def start(self) -> socket.socket:
        """A non-blocking channel to a new program's process. OSError where the launcher has ended."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        socket.send_fds(self.control, [b"+"], [theirs.fileno()])
        theirs.close()
        return ours

    def stop(self) -> bool:
        """End the program; whether it had used up its time on the CPU."""
        self.control.sendall(b"-")
        return bool(program.receive(self.control.fileno(), 1 << 10))

    def close(self) -> None:
        """End the launcher and with it the scratch folder."""
        self.control.close()
        os.waitpid(self.process, 0)


def _leave(what: Callable[..., None], *arguments: Any) -> NoReturn:
    """Do ``what`` in a forked process, and nothing else that the parent would have done."""
    status = 1
    try:
        what(*arguments)
        status = 0
    finally:
        os._exit(status)


def _run(ours: socket.socket, control: socket.socket, limits: Limits, have: frozenset[str]) -> None:
    """The launcher's life: until the helper closes its end, however that comes about."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.dup2(control.fileno(), _CHANNEL)
    ours.detach()
    control.detach()
    os.closerange(_CHANNEL + 1, os.sysconf("SC_OPEN_MAX"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in _USUAL.split():
        importlib.import_module(name)
    line = socket.socket(fileno=_CHANNEL)
    with contextlib.suppress(OSError):  # where memory runs out, the kernel should end a program
        Path("/proc/self/oom_score_adj").write_text("1000")
    scratch = Path(tempfile.mkdtemp(prefix="polya-program-"))
    try:
        os.environ.clear()
        os.environ.update(TMPDIR=str(scratch), OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        tempfile.tempdir = None  # found once, and now another
        os.chdir(scratch)
        walls = Walls(have, scratch)
        exec(compile(program.definitions("x = 1"), program.MODULE, "exec"), {})  # what is loaded late is loaded now
        gc.collect()
        gc.freeze()
        while True:
            _, channels, _, _ = socket.recv_fds(line, 1, 1)
            if not channels:
                return
            child = os.fork()
            if child == 0:
                _leave(_program, channels[0], limits, walls)
            os.close(channels[0])
            late = _watch(line, child, scratch, limits)
            _empty(scratch)
            program.send(_CHANNEL, late)
    except (BrokenPipeError, ConnectionResetError):
        return  # the helper has ended in the middle of a program
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _program(channel: int, limits: Limits, walls: Walls) -> None:
    restrain(limits)
    os.dup2(channel, _CHANNEL)  # and the launcher's own is gone
    os.close(channel)
    os.set_blocking(_CHANNEL, True)
    walls.enter()
    program.serve(_CHANNEL)


def _watch(line: socket.socket, child: int, scratch: Path, limits: Limits) -> bool:
    """Wait for the helper to be done with a program and end it; whether it had used up its time on the CPU."""
    ready = select.poll()
    ready.register(line, select.POLLIN)
    while not ready.poll(1000 * _LOOK_SECONDS):
        sizes = [entry.stat(follow_symlinks=False).st_size for entry in os.scandir(scratch)]
        if sum(sizes) > limits.scratch_bytes or len(sizes) > limits.scratch_files:
            os.kill(child, signal.SIGKILL)
            ready.poll()
    line.recv(1)
    os.kill(child, signal.SIGKILL)  # it may have ended, but it is not gone before this process asks for its status
    _, status, usage = os.wait4(child, 0)
    # One that ignores the signal for too much time is killed a second later.
    ignored = usage.ru_utime + usage.ru_stime > limits.cpu_seconds + 0.5
    return ignored or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU)


def _empty(scratch: Path) -> None:
    """Remove all that a program has left; it can make plain files only."""
    for entry in os.scandir(scratch):
        Path(entry).unlink(missing_ok=True)
