"""Processes of a stage: one a core, or on a GPU as many as fit side by side, each with its part of the memory.

A small model leaves a GPU idle between its kernels, which one process hardly launches as fast as they run. Processes
are forked, and none can open a GPU whose parent has: what the parent asks of a GPU a process of its own answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from polya_midtrain.checkpoints import shapes
from polya_midtrain.checkpoints.policy import device_of
from polya_midtrain.params import Machine
from polya_midtrain.runtime import cores, workers

T = TypeVar("T")
R = TypeVar("R")


def processes(machine: Machine, tasks: int, need: Callable[[], float], alone: bool = False) -> int:
    """How many work on so many tasks. ``need``: bytes of a GPU that one wants; ``alone``: it has its GPU for itself."""
    import torch

    if device_of(machine.device) == "cpu":
        return workers.worker_count(machine.workers)
    if alone or tasks <= 1 or torch.cuda.is_initialized():
        return 1
    return min(tasks, machine.workers or min(cores.available(), shapes.together(need(), memory())))


def run_tasks(
    function: Callable[[T, workers.Report], R],
    tasks: Sequence[T],
    machine: Machine,
    count: int,
    on_progress: workers.OnProgress | None = None,
) -> list[R]:
    """`workers.run_tasks` by ``count`` processes, which on a GPU may take no more of its memory than their parts."""
    if count == 1 or device_of(machine.device) == "cpu":
        return workers.run_tasks(function, tasks, count, on_progress)
    whole = memory()

    def bounded(task: T, report: workers.Report) -> R:
        import torch

        torch.cuda.set_per_process_memory_fraction(shapes.part(whole, count) / whole)
        return function(task, report)

    return workers.run_tasks(bounded, tasks, count, on_progress)


def memory() -> float:
    """Bytes of the memory of the GPU."""
    import torch

    return float(workers.apart(lambda: torch.cuda.get_device_properties(0).total_memory))
