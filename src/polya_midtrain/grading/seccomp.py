"""A filter on system calls (Linux seccomp): what is not on the list fails with "operation not permitted".

The list holds what single-threaded computing and reading need, and files, which Landlock confines. Absent are all that
reaches out of the process: sockets, signals, new processes and threads, other processes' memory, limits, owners and
permissions of files, and every privileged call, so that the filter binds root too. Calls that do such things for some
values of an argument only are allowed for the other values. A filter cannot be taken off.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import os
import platform
import struct
from collections.abc import Iterable
from typing import Any

# x86_64 and aarch64 numbers; None where the architecture has no such call.
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "poll": (7, None),
    "lseek": (8, 62),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "readv": (19, 65),
    "writev": (20, 66),
    "access": (21, None),
    "pipe": (22, None),
    "select": (23, None),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "dup": (32, 23),
    "dup2": (33, None),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "exit": (60, 93),
    "uname": (63, 160),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "ftruncate": (77, 46),
    "getcwd": (79, 17),
    "readlink": (89, None),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "getppid": (110, 173),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "time": (201, None),
    "getdents64": (217, 61),
    "restart_syscall": (219, 128),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "newfstatat": (262, 79),
    "readlinkat": (267, 78),
    "faccessat": (269, 48),
    "pselect6": (270, 72),
    "ppoll": (271, 73),
    "dup3": (292, 24),
    "getrandom": (318, 278),
    "statx": (332, 291),
}
_CHANGING = {  # files: only where Landlock confines them
    "rename": (82, None),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "renameat": (264, 38),
}
_JUDGING = {  # what the process that runs the tests needs besides
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "getsockname": (51, 204),
    "socketpair": (53, 199),
    "getsockopt": (55, 209),
    "setitimer": (38, 103),
}
_ALL = 0xFFFFFFFF
_TMPFILE = 0o20000000  # an unnamed file
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | _TMPFILE
_CHANGES = os.O_TRUNC | os.O_ACCMODE | _TMPFILE
_READ, _WRITE, _BOTH = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
# Truncating through a file opened for reading is refused always: old versions of Landlock miss it.
_CHANGED = (_READ, _WRITE, _BOTH, _WRITE | os.O_TRUNC, _BOTH | os.O_TRUNC)
# Allowed in one of some ways, in each of which all parts hold: which argument, which of its lower 32 bits are looked at
# (the kernel ignores the upper ones of these arguments), and what they may be.
_SOMETIMES: dict[str, tuple[Any, ...]] = {
    "fcntl": (  # not to send signals (owner, signal, O_ASYNC), to hold others up (leases, locks) or to fill memory
        *(72, 25),
        ((1, _ALL, (fcntl.F_DUPFD, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_DUPFD_CLOEXEC)),),
        ((1, _ALL, (fcntl.F_SETFL,)), (2, os.O_ASYNC, (0,))),
    ),
    # Wait, wake, and the same with a set of bits; not the locks that lend priority to another process.
    "futex": (202, 98, ((1, _ALL ^ 0x180, (0, 1, 9, 10)),)),
    # What an allocator says; not to poison a page, which harms every process that has it, or to look at the cache.
    "madvise": (28, 233, ((2, _ALL, (0, 1, 2, 3, 4, 8, 14, 15, 16, 17)),)),
    "mmap": (9, 222, ((3, 0x2000 | 0x40000, (0,)),)),  # not locked, not from the pool of huge pages
    "clock_gettime": (228, 113, ((0, _ALL ^ 0xF, (0,)),)),  # other processes' clocks have negative numbers
    "sched_getaffinity": (204, 123, ((0, _ALL, (0,)),)),  # its own
    "pipe2": (293, 59, ((1, _ALL ^ (os.O_CLOEXEC | os.O_NONBLOCK | os.O_DIRECT), (0,)),)),  # no notifications
}
_SOMETIMES_CHANGING = {
    "open": (2, None, ((1, _CHANGES, _CHANGED),)),
    "openat": (257, 56, ((2, _CHANGES, _CHANGED),)),
    "renameat2": (316, 276, ((4, _ALL ^ 0x3, (0,)),)),  # not to leave a device
}
_SOMETIMES_READING = {"open": (2, None, ((1, _WRITING, (0,)),)), "openat": (257, 56, ((2, _WRITING, (0,)),))}
_REFUSED = {  # with an error of their own: programs and the C library know what to do about these
    "ioctl": (16, 29, errno.ENOTTY),
    "clone": (56, 220, errno.EAGAIN),
    "fork": (57, None, errno.EAGAIN),
    "vfork": (58, None, errno.EAGAIN),
    "clone3": (435, 435, errno.ENOSYS),
    "rseq": (334, 293, errno.ENOSYS),
    "openat2": (437, 437, errno.ENOSYS),
    "faccessat2": (439, 439, errno.ENOSYS),
    "close_range": (436, 436, errno.ENOSYS),
}
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, audit number

_LOAD, _AND, _EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06  # ld [k], and k, jeq k, ret k
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2


@functools.cache
def library() -> ctypes.CDLL:
    """The C library. Programs that only Python itself confines must not find it: clear the cache before they run."""
    return ctypes.CDLL(None, use_errno=True)


def available() -> bool:
    """Whether this kernel takes filters and this architecture's numbers are known."""
    if platform.system() != "Linux" or platform.machine() not in _ARCHITECTURES:
        return False
    ctypes.set_errno(0)
    # With no filter given, a kernel that has the mode complains about the address and not about the mode.
    library().prctl(_PR_SET_SECCOMP, _MODE_FILTER, 0, 0, 0)
    return ctypes.get_errno() == errno.EFAULT


def build(writable: bool, judging: bool = False) -> bytes:
    """A filter for this architecture. Without ``writable`` no file can be opened for writing, made or removed;
    ``judging`` adds what the process that runs the tests needs."""
    column, audit = _ARCHITECTURES[platform.machine()]
    listed = _CALLS | (_CHANGING if writable else {}) | (_JUDGING if judging else {})
    parts = [_step(_LOAD, _ARCHITECTURE), _step(_EQUAL, audit, 1, 0), _step(_RETURN, _KILL), _step(_LOAD, _NUMBER)]
    for call in listed.values():
        if (number := call[column]) is not None:
            parts += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ALLOW)]
    for *numbers, code in _REFUSED.values():
        if (number := numbers[column]) is not None:
            parts += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ERRNO | code)]
    for on_x86, on_arm, *ways in (_SOMETIMES | (_SOMETIMES_CHANGING if writable else _SOMETIMES_READING)).values():
        if (number := (on_x86, on_arm)[column]) is not None:
            parts += [step for way in ways for step in _way(number, way)]
    return b"".join([*parts, _step(_RETURN, _ERRNO | errno.EPERM)])


def install(program: bytes) -> None:
    """Put this process and all that it starts under a filter, for good; OSError where the kernel refuses."""
    instructions = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions)))
    if library().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or library().prctl(
        _PR_SET_SECCOMP, _MODE_FILTER, ctypes.c_void_p(ctypes.addressof(head)), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "the filter on system calls cannot be installed")


def _way(number: int, way: Iterable[tuple[int, int, tuple[int, ...]]]) -> list[bytes]:
    """Allow a call where all parts hold, else go on to the next step."""
    block = [_step(_RETURN, _ALLOW)]
    for argument, bits, values in reversed([*way]):
        last = len(values) - 1
        tests = [_step(_EQUAL, v, last - i, 0 if i < last else len(block)) for i, v in enumerate(values)]
        block = [_step(_LOAD, _ARGUMENTS + 8 * argument), _step(_AND, bits), *tests, *block]
    return [_step(_LOAD, _NUMBER), _step(_EQUAL, number, 0, len(block)), *block]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One struct sock_filter."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
