"""Freed memory stays with the process.

glibc hands a large freed tensor back to the kernel at once, and the next one of its size is mapped and zeroed anew,
page by page: in GRPO on the embedded model 3.2 s of system time in 36 s, against 1.1 s so (64 steps, November 2026).
Other C libraries have no `mallopt`, and nothing changes there.
"""

from __future__ import annotations

import ctypes

# From <malloc.h>: from how much on the heap's free end is given back, and from how much on a block is mapped apart.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER, GIB = (1 << 31) - 1, 1 << 30


def keep_freed() -> bool:
    """Set the allocator of this process and of those it forks; whether there is one that can be set."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, GIB) and mallopt(M_TRIM_THRESHOLD, NEVER))
