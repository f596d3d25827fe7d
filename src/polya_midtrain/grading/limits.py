"""What a graded program may use: the one place where these numbers stand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on one program. Time on the CPU decides first, so that a busy machine gives the verdicts of a quiet one;
    the wall clock ends a program that sleeps. A program is one process with one thread; that is no setting.
    """

    cpu_seconds: int = 3  # the published HumanEval harness allows 3 s of wall time
    wall_seconds: float = 15.0  # for all calls of one program together
    memory_bytes: int = 512 << 20  # address space
    scratch_bytes: int = 16 << 20  # all files of the scratch folder together
    scratch_files: int = 64
    open_files: int = 32
    reply_bytes: int = 4 << 20  # one returned value, as text
    program_chars: int = 1 << 16  # a longer program is not run
    weak: bool = False  # whether programs are run where a protection of `sandbox` is missing
