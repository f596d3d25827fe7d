"""Programs, judged by running them against tests.

The gold is JSON: ``prefix`` is source that stands before the completion ("" for none), ``entry`` the name of a function
and ``tests`` Python that raises where that function, called by its name, is wrong; a function ``check`` in it, as
HumanEval has, is called with the function.

The tests run in the helper process, the program in one of its own (see `launcher`): each call of the function goes
there and plain data come back (see `peer`). So a program cannot read what is expected of it, or say that it passed.
"""

from __future__ import annotations

import functools
import json
import random
import select
import sys
import time
from dataclasses import dataclass
from socket import socket
from types import CodeType, ModuleType
from typing import Any

from polya_midtrain.errors import UserError
from polya_midtrain.grading import channel
from polya_midtrain.grading.extract import extract, stub
from polya_midtrain.grading.launcher import Launcher
from polya_midtrain.grading.limits import Limits
from polya_midtrain.grading.peer import Peer
from polya_midtrain.grading.sandbox import Walls, admit, gaps, protections
from polya_midtrain.grading.verdict import NO_ANSWER, RIGHT, TIMEOUT, WRONG, Verdict, answered

_TRIAL = json.dumps({"prefix": "", "tests": "assert f(1) == 2", "entry": "f"})


@dataclass(frozen=True, slots=True)
class Task:
    """A gold: see the module's page."""

    prefix: str
    tests: str
    entry: str


@functools.lru_cache(maxsize=1 << 12)
def task(gold: str) -> Task:
    """The task in a gold; `UserError` for what is none."""
    try:
        fields = json.loads(gold)
        found = Task(fields["prefix"], fields["tests"], fields["entry"])
        if not (all(isinstance(value, str) for value in fields.values()) and found.entry.isidentifier()):
            raise ValueError("a field is no text")
        compile(found.tests, "tests", "exec")
    except (SyntaxError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"the gold {gold[:60]!r} of a question of kind code holds no prefix, tests and entry ({error}); "
            "correct column `answer`"
        ) from error
    return found


def quick(completion: str, gold: str) -> Verdict | str:
    """Only a blank completion is judged without running anything."""
    task(gold)
    return completion if completion.strip() else Verdict(False, "", NO_ANSWER)


class Judge:
    """Judges completions with one launcher. ``have``: the protections to use, those of `sandbox.protections`."""

    def __init__(self, limits: Limits, have: frozenset[str]) -> None:
        self.limits = limits
        self.launcher = Launcher(limits, have)

    def verdict(self, completion: str, gold: str) -> Verdict:
        """The verdict on one completion. OSError or EOFError where the launcher has ended."""
        wanted = task(gold)
        found = extract(completion, wanted.prefix, wanted.entry, self.limits.program_chars)
        if found is None:
            return Verdict(False, "", NO_ANSWER)
        reason = self._run(found.source, wanted)
        return Verdict(False, "", TIMEOUT) if reason == TIMEOUT else answered(reason == RIGHT, found.shown)

    def close(self) -> None:
        """End the launcher."""
        self.launcher.close()

    def _run(self, source: str, wanted: Task) -> str:
        calls = _Calls(self.launcher.start(), self.limits)
        try:
            reason = _test(wanted, calls, source)
        finally:
            calls.socket.close()
            late = self.launcher.stop()
        return TIMEOUT if (late or calls.late) and reason != RIGHT else reason


class _Lost(BaseException):
    """The program has ended, is late, or sends nonsense; not for a test to catch."""


class _Calls(Peer):
    """The tests' side of the calls of a program's function."""

    def __init__(self, line: socket, limits: Limits) -> None:
        super().__init__(line.fileno(), limits.reply_bytes, self.until)
        self.socket = line
        self.left = limits.wall_seconds  # to wait for the program
        self.lost = self.late = False

    def exchange(self, request: list[Any]) -> list[Any]:
        if self.lost:
            raise _Lost
        try:
            return super().exchange(request)
        except Exception as error:  # whatever a program may send or do to the channel
            self.lost = True
            raise _Lost from error

    def until(self, event: int) -> None:
        ready = select.poll()
        ready.register(self.socket, event)
        begun = time.monotonic()
        self.late = not ready.poll(max(0.0, 1000 * self.left))
        self.left -= time.monotonic() - begun
        if self.late:
            raise TimeoutError


def _test(wanted: Task, calls: _Calls, source: str) -> str:
    """`RIGHT` where the tests run to their end and nothing went wrong with the program on the way."""
    module = sys.modules["tests"] = ModuleType("tests")  # dataclasses look their module up
    space = module.__dict__
    prefix, tests = _compiled(wanted)
    random.seed(0)  # HumanEval has tests that draw: the same ones each time
    try:
        exec(prefix, space)  # the helpers that it may hold
        calls.classes.update({k: v for k, v in space.items() if isinstance(v, type) and v.__module__ == "tests"})
        channel.send(calls.line, [source, wanted.entry, list(calls.classes)], calls.wait)
        space[wanted.entry] = function = calls.remote(0, "__call__")
        exec(tests, space)
        if callable(check := space.get("check")):
            check(function)
    except BaseException:
        return WRONG
    return WRONG if calls.lost else RIGHT


@functools.lru_cache(maxsize=256)
def _compiled(wanted: Task) -> tuple[CodeType, CodeType]:
    prefix = compile(stub(wanted.prefix), "prefix", "exec", dont_inherit=True)
    return prefix, compile(wanted.tests, "tests", "exec", dont_inherit=True)


_judge: Judge | None = None


def prepare(limits: Limits) -> list[str]:
    """Make this process judge programs: start its launcher, then lock itself in. Returns what is weaker than usual."""
    global _judge
    have = protections()
    admit(have, limits.weak)
    weaker = gaps(have)  # behind the walls nobody may ask the kernel for them
    _judge = Judge(limits, have)
    if have:
        Walls(have, None, judging=True).enter()
    if not (compare("def f(x): return x + 1", _TRIAL).correct and not compare("def f(x): return x", _TRIAL).correct):
        raise UserError("grading: a program that must pass and one that must not got the wrong verdicts")
    return weaker


def compare(text: str, gold: str) -> Verdict:
    """The verdict on a completion (from `quick`): call it through `polya_midtrain.grading.grade_many`, whose helpers
    are prepared and under limits."""
    assert _judge is not None, "prepare first"
    return _judge.verdict(text, gold)
