"""A small process that starts each program in a process of its own.

It is forked off a helper before that has read any question, so that nothing of the tests is in its memory or in that of
its children, and it has the usual modules loaded, so that a program costs a fork and no start of Python. It is
not confined itself: it runs no foreign code, ends the programs, and empties and removes their scratch folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import os
import select
import shutil
import signal
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from polya_midtrain.grading import channel, program
from polya_midtrain.grading.limits import Limits
from polya_midtrain.grading.sandbox import Walls, adopt, restrain

# loaded once, for all programs
_USUAL = """bisect cmath collections.abc copy dataclasses datetime decimal enum fractions functools hashlib heapq
    itertools math numbers operator queue random re statistics string textwrap typing unicodedata"""
_LOOK_SECONDS = 0.05  # how often a running program's scratch folder is looked at
_CHANNEL = 3  # the file descriptor of a program's channel
_NAMED = "polya-program-"  # how the names of scratch folders begin


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
        return bool(channel.receive(self.control.fileno(), 1 << 10))

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
    adopt()
    _remove_abandoned()
    scratch, held = _folder()
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
                os.close(held)
                _leave(_program, channels[0], limits, walls)
            os.close(channels[0])
            late = _watch(line, child, scratch, limits)
            _empty(scratch)
            channel.send(_CHANNEL, late)
    except (BrokenPipeError, ConnectionResetError):
        return  # the helper has ended in the middle of a program
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _program(given: int, limits: Limits, walls: Walls) -> None:
    restrain(limits)
    os.dup2(given, _CHANNEL)  # and the launcher's own is gone
    os.close(given)
    os.set_blocking(_CHANNEL, True)
    walls.enter()
    program.serve(_CHANNEL)


def _watch(line: socket.socket, child: int, scratch: Path, limits: Limits) -> bool:
    """Wait for the helper to be done with a program and end it; whether it had used up its time on the CPU."""
    ready = select.poll()
    ready.register(line, select.POLLIN)
    while not ready.poll(1000 * _LOOK_SECONDS):
        if _too_much(child, scratch, limits):
            os.kill(child, signal.SIGKILL)
            ready.poll()
    line.recv(1)
    os.kill(child, signal.SIGKILL)  # it may have ended, but it is not gone before this process asks for its status
    _, status, usage = os.wait4(child, 0)
    _end_children()
    # One that ignores the signal for too much time is killed a second later.
    ignored = usage.ru_utime + usage.ru_stime > limits.cpu_seconds + 0.5
    return ignored or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU)


def _too_much(child: int, scratch: Path, limits: Limits) -> bool:
    """Whether a program's files are too many or too large: those in its scratch folder, and those that it has removed
    but keeps open or mapped. Files come and go while they are counted."""
    sizes: dict[int, int] = {}
    for folder in (scratch, Path(f"/proc/{child}/fd")):
        with contextlib.suppress(OSError):
            for entry in folder.iterdir():
                with contextlib.suppress(OSError):
                    found = entry.stat()
                    if stat.S_ISREG(found.st_mode) and (folder == scratch or not found.st_nlink):
                        sizes[found.st_ino] = found.st_size
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{child}/maps").read_text(errors="replace").splitlines():
            *_, inode, path = line.split(maxsplit=5)
            if path.startswith(f"{scratch}/") and path.endswith(" (deleted)"):
                sizes.setdefault(int(inode), limits.scratch_bytes)  # its size is not to be seen: the most it can be
    return sum(sizes.values()) > limits.scratch_bytes or len(sizes) > limits.scratch_files


def _end_children() -> None:
    """End what a program has started, where nothing but Python kept it from that, however far it has gone away."""
    with contextlib.suppress(ChildProcessError):  # there are none, which is usual
        while True:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
            for file in Path("/proc").glob("[0-9]*/stat"):
                with contextlib.suppress(OSError):
                    if int(file.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                        os.kill(int(file.parent.name), signal.SIGKILL)
            os.waitpid(-1, 0)


def _folder() -> tuple[Path, int]:
    """A new scratch folder and a lock on it, which is held as long as this process lives."""
    while True:
        folder = Path(os.path.realpath(tempfile.mkdtemp(prefix=_NAMED)))
        with contextlib.suppress(OSError):  # between the two calls another grader may have taken it for abandoned
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.exists():
                return folder, held


def _remove_abandoned() -> None:
    """Remove the scratch folders of graders that were killed together with their launcher: nobody holds their lock."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_NAMED}*"):
        with contextlib.suppress(OSError):
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(held).st_uid == os.geteuid():
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(held)


def _empty(scratch: Path) -> None:
    """Remove all that a program has left."""
    for entry in os.scandir(scratch):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry, ignore_errors=True)
        else:
            Path(entry).unlink(missing_ok=True)
