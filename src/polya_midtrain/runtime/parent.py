"""No process of a run outlives the one that started it: the kernel ends it (Linux; elsewhere nothing does)."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress

_PDEATHSIG = 1  # prctl: the signal that this process gets when its parent ends


def follow(parent: int) -> None:
    """End with ``parent``, the process that started this one, whatever ends that; at once if it has ended already."""
    with suppress(OSError, AttributeError):  # no Linux
        ctypes.CDLL(None).prctl(_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
