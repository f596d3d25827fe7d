"""Confining a process to some folders (Linux Landlock, kernel 5.13 or later; needs no privileges)."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterable
from pathlib import Path

from polya_midtrain.grading.seccomp import library

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every architecture
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_FILE, _MAKE_REG, _TRUNCATE = (1 << bit for bit in (1, 2, 3, 5, 8, 14))
READ = _READ_FILE | _READ_DIR
CHANGE = READ | _WRITE_FILE | _REMOVE_FILE | _MAKE_REG | _TRUNCATE  # plain files, no folders in the folder
WHOLE = 6  # the first version that also sees to signals and sockets
_OF_FILES = _READ_FILE | _WRITE_FILE | _TRUNCATE  # the rights that mean something for what is no folder


def version() -> int:
    """The kernel's version of Landlock; 0 where there is none."""
    if platform.system() != "Linux":
        return 0
    return max(0, _syscall(_CREATE, None, 0, 1))


def ruleset(rights: Iterable[tuple[Path, int]]) -> int:
    """A file descriptor of rules: on each path (what does not exist is left out) `READ` or `CHANGE`, elsewhere nothing.

    Where the kernel's version knows them, TCP and signals to others are refused as well. OSError without Landlock.
    """
    known = version()
    handled = (1 << (13 + (known >= 2) + (known >= 3))) - 1 | (1 << 15 if known >= 5 else 0)
    fields = [handled, *([3] if known >= 4 else []), *([3] if known >= 6 else [])]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    rules = _syscall(_CREATE, attributes, len(attributes), 0)
    if rules < 0:
        raise OSError(ctypes.get_errno(), "no Landlock rules can be made")
    for path, wanted in rights:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        allowed = wanted & handled & (~0 if path.is_dir() else _OF_FILES)
        failed = _syscall(_ADD, rules, _PATH_BENEATH, struct.pack("=Qi", allowed, place), 0)
        os.close(place)
        if failed:
            raise OSError(ctypes.get_errno(), "a Landlock rule cannot be added", str(path))
    return rules


def restrict(rules: int) -> None:
    """Put this process and all that it starts under ``rules``, for good; OSError where the kernel refuses."""
    if library().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _syscall(_RESTRICT, rules, 0):
        raise OSError(ctypes.get_errno(), "Landlock rules cannot be applied")


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    typed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return int(library().syscall(ctypes.c_long(number), *typed))
