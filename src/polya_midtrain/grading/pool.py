"""Grading many completions: each distinct question once, the hard ones in helper processes under limits.

The helpers are plain subprocesses (see `worker`), not multiprocessing children: they inherit no locks, threads or
GPU context of a training process, and may be started from any thread and from a daemonic worker. Each serves one kind
of question. They are started when first needed and kept for the next call.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from polya_midtrain.errors import UserError
from polya_midtrain.grading.graders import grader
from polya_midtrain.grading.limits import Limits
from polya_midtrain.grading.timeouts import Timeouts
from polya_midtrain.grading.verdict import TIMEOUT, Verdict

CPU_SECONDS = 5.0  # per judgement; math-verify's own default. The slowest gold of the public sets takes 0.3
WALL_SECONDS = 60.0  # a helper silent for so long is stuck in a way that its CPU limit does not see
CHUNK = 64  # texts of one gold per job
PER_HELPER = 150  # judgements, about 0.7 s of work, that are worth the start of one more helper
LIMITS = Limits()  # on each program, where answers are programs
_HARMLESS = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR", "LANG", "LC_ALL")  # all that a helper gets: no keys


def verify(completion: str, gold: str, kind: str) -> Verdict:
    """Grade one completion; the same verdict as `grade_many` gives it."""
    return grade_many([(completion, gold, kind)], workers=1)[0]


def grade_many(
    items: Sequence[tuple[str, str, str]], workers: int, weak: bool = False, timeouts: Timeouts | None = None
) -> list[Verdict]:
    """Verdicts on (completion, gold, kind), in order; at most ``workers`` helper processes.

    A verdict depends on its item only. Time is bounded for any input: a judgement that outlasts its limits gives
    reason ``timeout`` and the others go on, until ``timeouts`` have taken too long together. An unknown kind is a
    `UserError`, and so are programs on a machine that cannot confine them, but for ``weak``.
    """
    timeouts = Timeouts() if timeouts is None else timeouts
    verdicts: list[Verdict | None] = []
    waiting: dict[tuple[str, str], dict[str, list[int]]] = {}  # (kind, gold) -> text -> positions
    for position, (completion, gold, kind) in enumerate(items):
        outcome = grader(kind).quick(completion, gold)
        if not isinstance(outcome, Verdict) and (outcome, gold, kind) in timeouts:
            outcome = Verdict(False, "", TIMEOUT)
        if isinstance(outcome, Verdict):
            verdicts.append(outcome)
        else:
            verdicts.append(None)
            waiting.setdefault((kind, gold), {}).setdefault(outcome, []).append(position)
    if waiting:
        jobs = [
            _Job(kind, gold, texts[start : start + CHUNK], timeouts)
            for (kind, gold), found in waiting.items()
            for texts in [list(found)]
            for start in range(0, len(texts), CHUNK)
        ]
        with _LOCK:
            for kind in sorted({job.kind for job in jobs}):
                _HELPERS.run([job for job in jobs if job.kind == kind], workers, replace(LIMITS, weak=weak))
        for job in jobs:
            for text, verdict in zip(job.texts, job.verdicts, strict=True):
                for position in waiting[job.kind, job.gold][text]:
                    verdicts[position] = verdict
    return [verdict for verdict in verdicts if verdict is not None]


def close_helpers() -> None:
    """End this process's helpers; the next call starts new ones."""
    with _LOCK:
        _HELPERS.close()


@dataclass(slots=True)
class _Job:
    kind: str
    gold: str
    texts: list[str]
    timeouts: Timeouts = field(default_factory=Timeouts)
    verdicts: list[Verdict] = field(default_factory=list)

    def add(self, verdict: Verdict, seconds: float) -> None:
        text = self.texts[len(self.verdicts)]
        self.verdicts.append(verdict)
        if verdict.reason == TIMEOUT:
            self.timeouts.add((text, self.gold, self.kind), seconds)

    def line(self) -> bytes:
        return json.dumps([self.kind, self.gold, self.texts[len(self.verdicts) :]]).encode() + b"\n"


class _Helper:
    """One running `worker` process, its latest job and when it last gave a sign of life."""

    job: _Job  # set by `start`, before anything is read

    def __init__(self, kind: str, limits: Limits) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        measured = [] if grader(kind).bare else [name for name in os.environ if name.startswith("COVERAGE_")]
        inherited = {name: os.environ[name] for name in [*_HARMLESS, *measured] if name in os.environ}
        arguments = [kind, str(CPU_SECONDS), json.dumps(asdict(limits))]
        self.kind = kind
        self.limits = limits
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "polya_midtrain.grading.worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # a fixed hash seed: sympy's heuristics may follow the order of sets
            env={**inherited, "PYTHONPATH": path, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
        )
        self.ready = False
        self.buffer = b""
        self.seen = time.monotonic()

    def start(self, job: _Job) -> None:
        assert self.process.stdin is not None
        self.job = job
        self.seen = time.monotonic()
        try:
            self.process.stdin.write(job.line())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: the next read sees the end of its output

    def read(self) -> bool:
        """Take the replies that have arrived; False when the process has ended."""
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        for line in lines:
            before, self.seen = self.seen, time.monotonic()
            reply: list[Any] | str = json.loads(line)
            if isinstance(reply, str):
                raise UserError(reply)
            if not self.ready:
                self.ready = True
                for gap in reply:
                    _warn(gap)
            else:
                self.job.add(Verdict(*reply), self.seen - before)
        return bool(data)

    def close(self) -> None:
        self.forget()  # the end of its input ends an idle helper
        try:
            self.process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def forget(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):  # a job that it did not live to read is still in the buffer
                pipe.close()


class _Helpers:
    """The helpers of this process."""

    def __init__(self) -> None:
        self.all: list[_Helper] = []

    def run(self, jobs: Sequence[_Job], workers: int, limits: Limits) -> None:
        """Fill in the verdicts of ``jobs``, which are of one kind."""
        kind = jobs[0].kind
        queue = deque(jobs)
        for helper in [helper for helper in self.all if helper.process.poll() is not None]:
            self._drop(helper)  # ended while idle, by no fault of the coming jobs
        wanted = min(max(workers, 1), len(jobs), 1 + sum(len(job.texts) for job in jobs) // PER_HELPER)
        try:
            with selectors.DefaultSelector() as selector:
                idle = [helper for helper in self.all if (helper.kind, helper.limits) == (kind, limits)]
                for helper in idle[:wanted]:
                    self._give(helper, queue, selector)
                while selector.get_map() or queue:
                    while queue and len(selector.get_map()) < wanted:
                        self.all.append(_Helper(kind, limits))
                        self._give(self.all[-1], queue, selector)
                    for key, _ in selector.select(timeout=1.0):
                        self._advance(key.data, queue, selector)
                    for key in list(selector.get_map().values()):
                        if time.monotonic() - key.data.seen > WALL_SECONDS:
                            self._lose(key.data, queue, selector)
        except BaseException:
            self.close()  # replies of an abandoned job must not meet the next one
            raise

    @staticmethod
    def _give(helper: _Helper, queue: deque[_Job], selector: selectors.BaseSelector) -> None:
        selector.register(helper.process.stdout, selectors.EVENT_READ, helper)  # type: ignore[arg-type]
        helper.start(queue.popleft())

    def _advance(self, helper: _Helper, queue: deque[_Job], selector: selectors.BaseSelector) -> None:
        if not helper.read():
            self._lose(helper, queue, selector)
        elif len(helper.job.verdicts) == len(helper.job.texts):
            if queue:
                helper.start(queue.popleft())
            else:
                selector.unregister(helper.process.stdout)  # type: ignore[arg-type]

    def _lose(self, helper: _Helper, queue: deque[_Job], selector: selectors.BaseSelector) -> None:
        """The helper died of, or hangs in, the judgement that its job has reached."""
        job = helper.job
        selector.unregister(helper.process.stdout)  # type: ignore[arg-type]
        self._drop(helper)
        if not helper.ready:
            raise UserError(
                "grading: the helper process did not start; "
                f"run `python -m polya_midtrain.grading.worker {helper.kind} 5` to see why"
            )
        job.add(Verdict(False, "", TIMEOUT), time.monotonic() - helper.seen)
        if len(job.verdicts) < len(job.texts):
            queue.appendleft(job)

    def _drop(self, helper: _Helper) -> None:
        self.all.remove(helper)
        helper.close()

    def close(self) -> None:
        while self.all:
            self.all.pop().close()

    def forget(self) -> None:
        """In a forked child: the parent's helpers are not ours, and our copies of their pipes would keep them alive."""
        for helper in self.all:
            helper.forget()
            helper.process.returncode = 0  # not our child: nothing to wait for
        self.all.clear()


def _warn(gap: str) -> None:
    """Say once per process in which way programs are less confined here than they should be."""
    if gap not in _WARNED:
        _WARNED.add(gap)
        print(f"polya: warning: sandbox: {gap}", file=sys.stderr)


_WARNED: set[str] = set()
_HELPERS = _Helpers()
_LOCK = threading.Lock()


def _after_fork() -> None:
    global _LOCK
    _LOCK = threading.Lock()
    _HELPERS.forget()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_HELPERS.close)
