"""One task a core: forked processes of one thread each, their progress, and their faults.

Two threads in one process are slower here than one (the models are small), so all parallelism is by process. The
processes are forked after the heavy imports, which they then share. How many share a GPU `card` says.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle  # nosec B403 # this process's own exceptions
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any, Protocol, TypeVar

from polya_midtrain.errors import UserError
from polya_midtrain.runtime import cores, parent

T = TypeVar("T")
R = TypeVar("R")

OnProgress = Callable[[int, float, float, str], None]
"""Called with (task index, done, total, note)."""

_rank = 0  # of this process among its pool's workers
_QUIET = 0.1  # seconds between two reports of a worker, so that reporting every step costs nothing
_PATIENCE = 90.0  # seconds that a worker gets to end before it is killed; one with vLLM in it takes 10 to 60


class Report(Protocol):
    """What a task calls to say how far it is; ``done`` and ``total`` in the stage's own unit."""

    def __call__(self, done: float, total: float, note: str = "") -> None: ...


def worker_count(requested: int) -> int:
    """Processes to use on a CPU: ``requested``, or for 0 every core that this process may use."""
    return requested or cores.available()


def rank() -> int:
    """This worker's place among those of its pool, from 0; 0 in a process that is no worker."""
    return _rank


def run_tasks(
    function: Callable[[T, Report], R], tasks: Sequence[T], workers: int, on_progress: OnProgress | None = None
) -> list[R]:
    """``[function(task, report) for task in tasks]`` by up to ``workers`` forked processes; results in that order.

    One worker or one task runs in this process. An exception of a task is raised here (the first one; the other
    workers are stopped), and a worker that was killed, as for want of memory, is a `UserError` that says so.
    """
    notify = on_progress or _ignore
    if workers <= 1 or len(tasks) <= 1:
        return [function(task, _reporter(index, notify)) for index, task in enumerate(tasks)]
    return _Pool(function, tasks, notify).run(min(workers, len(tasks)))


def apart(function: Callable[[], R]) -> R:
    """What a function returns in a forked process, so that whatever it opens is not open in this one."""
    found: R = _Pool(lambda _, __: function(), [None], _ignore).run(1)[0]
    return found


class _Pool:
    """The parent's side. Every worker has a pipe of its own, so that one that dies can lock nothing that others use."""

    def __init__(self, function: Callable[[T, Report], R], tasks: Sequence[T], notify: OnProgress) -> None:
        self.function, self.tasks, self.notify = function, tasks, notify
        self.waiting = list(range(len(tasks)))
        self.results: dict[int, Any] = {}
        self.at_work: dict[Connection, tuple[ForkProcess, int]] = {}
        self.processes: list[ForkProcess] = []

    def run(self, count: int) -> list[Any]:
        try:
            for _ in range(count):
                self._start()
            while self.at_work:
                for ready in wait(list(self.at_work)):
                    assert isinstance(ready, Connection)
                    self._receive(ready)
        finally:
            self._stop()
        return [self.results[index] for index in range(len(self.tasks))]

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        others = [*self.at_work, ours]  # a worker that kept these open would hide from the others that we are gone
        sys.stdout.flush()
        sys.stderr.flush()
        place = len(self.processes)
        process = context.Process(target=_serve, args=(self.function, self.tasks, theirs, others, place, os.getpid()))
        process.start()
        self.processes.append(process)
        theirs.close()
        self._give(ours, process)

    def _give(self, pipe: Connection, process: ForkProcess) -> None:
        """The next task in order, or the word that there is none."""
        if self.waiting:
            index = self.waiting.pop(0)
            self.at_work[pipe] = (process, index)
            pipe.send(index)
        else:
            del self.at_work[pipe]
            pipe.send(None)
            pipe.close()

    def _receive(self, pipe: Connection) -> None:
        process, index = self.at_work[pipe]
        try:
            kind, content = pipe.recv()
        except (EOFError, OSError):  # OSError: killed in the middle of a message
            process.join()
            raise UserError(_death(process.exitcode, self.tasks[index])) from None
        if kind == "progress":
            self.notify(index, *content)
        elif kind == "error":
            raise content
        else:
            self.results[index] = content
            self._give(pipe, process)

    def _stop(self) -> None:
        """See every worker end; one that still has a task does so only if something went wrong, and is stopped."""
        for pipe, (process, _) in self.at_work.items():
            process.terminate()
            pipe.close()
        for process in self.processes:
            process.join(_PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()


def _serve(
    function: Callable[[Any, Report], Any],
    tasks: Sequence[Any],
    pipe: Connection,
    others: list[Connection],
    place: int,
    pool: int,
) -> None:
    """A worker's life: tasks by index until there are none or its pool is gone. Ctrl-C is the parent's to handle."""
    global _rank
    parent.follow(pool)
    _rank = place
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for other in others:
        other.close()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    try:
        while (index := pipe.recv()) is not None:
            try:
                result = function(tasks[index], _reporter(index, lambda _, *content: pipe.send(("progress", content))))
                pipe.send(("result", result))
            except Exception as error:
                pipe.send(("error", _portable(error)))
    except (EOFError, ConnectionError):
        return  # the parent is gone


def _reporter(index: int, notify: OnProgress) -> Report:
    last = -_QUIET

    def report(done: float, total: float, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _QUIET or done >= total:
            last = now
            notify(index, done, total, note)

    return report


def _portable(error: Exception) -> Exception:
    """The exception as the parent can raise it, with the worker's traceback in a note."""
    text = "".join(traceback.format_exception(error))
    try:
        copy = pickle.loads(pickle.dumps(error))  # nosec B301
    except Exception:  # whatever a foreign class does in pickling
        copy = RuntimeError(f"{type(error).__name__}: {error}")
    assert isinstance(copy, Exception)
    copy.add_note(f"In a worker process:\n{text}")
    return copy


def _death(exitcode: int | None, task: object) -> str:
    code = exitcode or 0
    how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"
    label = str(task)
    label = label if len(label) <= 60 else label[:57] + "..."
    remedy = "if memory ran out, lower machine.workers or the batch sizes in params.yaml; then run it again"
    return f"the worker process for task {label} {how}; {remedy}"


def _ignore(index: int, done: float, total: float, note: str) -> None:
    pass
