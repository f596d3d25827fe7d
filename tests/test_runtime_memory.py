"""Freed memory stays with the process: fewer pages are mapped anew."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

# Blocks of 1 MiB, touched and freed in turn, as a training step does with its tensors; prints the page faults.
PROGRAM = """
import ctypes, resource, sys
from polya_midtrain.runtime import memory
if sys.argv[1] == "kept":
    assert memory.keep_freed()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200):
    block = libc.malloc(1 << 20)
    ctypes.memset(block, 1, 1 << 20)
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library has no mallopt")
def test_a_block_is_mapped_once_and_not_at_every_turn() -> None:
    faults = {
        how: int(
            subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True).stdout
        )
        for how in ("kept", "given back")
    }
    assert faults["kept"] < 2 * 256 + 100  # the 256 pages of one block, not 200 times as many
    assert faults["kept"] < faults["given back"]
