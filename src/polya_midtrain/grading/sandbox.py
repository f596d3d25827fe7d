"""Locking a process in, from the inside and for good, before it runs code that nobody has read.

Two features of Linux do it, without privileges and for root alike: a filter on system calls (`seccomp`: no network, no
other processes, nothing privileged) and Landlock (files: the Python library to read, the scratch folder to change).
Limits on memory and time come on top. Where a kernel lacks one of the two, no program is run unless the settings allow
it; `gaps` names what that leaves open.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from polya_midtrain.errors import UserError
from polya_midtrain.grading import landlock, seccomp
from polya_midtrain.grading.limits import Limits

SECCOMP, LANDLOCK = "seccomp", "Landlock"
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

_SYSTEM = (
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/usr/share/zoneinfo",
    "/dev/urandom",
    "/dev/zero",
)
# What the stand-in for seccomp refuses, by audit event; all events of a module where the name ends in a full stop.
_REFUSED = (
    "socket.",
    "subprocess.",
    "ctypes.",
    "shutil.",
    "pty.",
    "resource.",
    "signal.pthread_kill",
    "fcntl.",
    "_thread.start_new_thread",
    "_thread.start_joinable_thread",
    "os.fork",
    "os.forkpty",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "os.kill",
    "os.killpg",
    "os.chdir",
    "os.fchdir",
    "os.chmod",
    "os.chown",
    "os.chflags",
    "os.link",
    "os.symlink",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.truncate",
    "os.utime",
    "os.setxattr",
    "os.removexattr",
)
_MODULES = (
    *("_posixsubprocess", "_socket", "_ctypes", "_multiprocessing", "_posixshmem", "_sqlite3", "cffi", "_cffi_backend"),
    *("posix", "_signal", "_thread"),  # no second copy of these
)
# What raises no event is taken out of all modules.
_UNSEEN = (
    *("fork_exec", "start_new_thread", "start_new", "_start_new_thread", "start_joinable_thread", "setsid", "umask"),
    *("mkfifo", "mknod", "memfd_create", "splice", "sendfile", "copy_file_range", "posix_fallocate", "listxattr"),
    *("pidfd_open", "pidfd_send_signal", "sched_setaffinity", "sched_setscheduler", "setpriority", "nice"),
    *("setuid", "setgid", "setgroups", "getxattr"),
)


def protections() -> frozenset[str]:
    """Which of `SECCOMP` and `LANDLOCK` this machine has."""
    return frozenset(
        name for name, found in ((SECCOMP, seccomp.available()), (LANDLOCK, landlock.version() > 0)) if found
    )


def gaps(have: frozenset[str]) -> list[str]:
    """What is weaker than usual: where one of the two is missing, or Landlock is old; one sentence each."""
    found = []
    if SECCOMP not in have:
        found.append(
            f"{SECCOMP} is missing here: graded programs are kept from the network, other processes and files by an "
            "audit hook inside Python, which one that is written to break out may defeat; grade in a virtual machine"
        )
    if LANDLOCK not in have:
        found.append(
            f"{LANDLOCK} is missing here (Linux 5.13 or later has it): graded programs can write no file, not even in "
            "their scratch folder, but they can read what this user can read"
        )
    elif (version := landlock.version()) < landlock.WHOLE:
        found.append(
            f"{LANDLOCK} has version {version} here (Linux 6.12 or later has {landlock.WHOLE}): that graded programs "
            f"send no signal and reach no socket rests on {SECCOMP} alone"
        )
    return found


def admit(have: frozenset[str], weak: bool) -> None:
    """Refuse to run programs where a protection is missing; ``weak``: the settings allow it."""
    missing = [name for name in (SECCOMP, LANDLOCK) if name not in have]
    if missing and not weak:
        raise UserError(
            f"grading: this machine has no {' and no '.join(missing)} to confine graded programs with, so none is run; "
            "grade on Linux 5.13 or later (a container's profile must allow both), or set machine.sandbox to weak in "
            "params.yaml, and every table will say so"
        )


class Walls:
    """What `enter` puts up, prepared beforehand: a program should cost milliseconds.

    ``scratch`` is the only folder that may be changed; None for none. ``judging``: for the process that runs tests.
    """

    def __init__(self, have: frozenset[str], scratch: Path | None, judging: bool = False) -> None:
        self.judging = judging
        self.filter = seccomp.build(LANDLOCK in have, judging) if SECCOMP in have else None
        self.rules = landlock.ruleset(_rights(scratch)) if LANDLOCK in have else None

    def enter(self) -> None:
        """Put this process behind the walls; there is no way back."""
        if self.rules is not None:
            landlock.restrict(self.rules)
            os.close(self.rules)
        if self.filter is not None:
            seccomp.install(self.filter)
        elif not self.judging:
            seccomp.library.cache_clear()
            for module in [module for module in sys.modules.values() if isinstance(module, ModuleType)]:
                for name in _UNSEEN:
                    vars(module).pop(name, None)
            sys.addaudithook(_hook(writable=self.rules is not None))


def adopt() -> None:
    """Make what this process's children leave behind when they end its own children."""
    if sys.platform == "linux":
        seccomp.library().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def restrain(limits: Limits) -> None:
    """Resource limits on this process, which ends with its parent."""
    if sys.platform == "linux":
        seccomp.library().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for kind, value, hard in (
        (resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1),  # first a signal, then the end
        (resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.scratch_bytes, limits.scratch_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files, limits.open_files),
        (resource.RLIMIT_NPROC, 0, 0),  # does not bind root; the filter does
        (resource.RLIMIT_CORE, 0, 0),
    ):
        _, most = resource.getrlimit(kind)
        hard = hard if most == resource.RLIM_INFINITY else min(hard, most)
        resource.setrlimit(kind, (min(value, hard), hard))


def _rights(scratch: Path | None) -> list[tuple[Path, int]]:
    """The Python library, what it is linked with, and the scratch folder; not /proc, homes or the working folder."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    python = [sysconfig.get_path(name) for name in names] + [f"{sys.base_prefix}/lib", f"{sys.base_prefix}/lib64"]
    readable: Sequence[str | None] = [*python, *_SYSTEM]
    found = [(Path(path), landlock.READ) for path in readable if path]
    return [*found, (Path(os.devnull), landlock.CHANGE), *([(scratch, landlock.CHANGE)] if scratch else [])]


def _hook(writable: bool) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that refuses what seccomp would, as far as Python sees it; ``writable``: Landlock sees to files."""
    writing = 0 if writable else os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    refused, modules = _REFUSED, _MODULES

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        denied = any(event.startswith(name) if name.endswith(".") else event == name for name in refused)
        if event == "import":
            denied = arguments[0] in modules
        elif event == "open":
            denied = not isinstance(arguments[2], int) or bool(arguments[2] & writing)
        if denied:
            raise PermissionError(f"{event} is not allowed in a graded program")

    return hook
