"""What the tests of the sandbox share: a bare problem, programs that answer it, and limits of a second (CPU)."""

from __future__ import annotations

import json
from dataclasses import replace

from polya_midtrain.grading import sandbox, verify
from polya_midtrain.grading.limits import Limits

SECRET = 4711  # what the tests of a bare program expect, on top of its argument
BARE = json.dumps({"prefix": "", "tests": f"assert f(1) == {SECRET + 1}\nassert f(2) == {SECRET + 2}\n", "entry": "f"})
QUICK = replace(Limits(), cpu_seconds=1, wall_seconds=120.0)  # of the processor; a busy machine takes its time
HAVE = sandbox.protections()


def reason(completion: str, gold: str = BARE) -> str:
    """The verdict's reason."""
    return verify(completion, gold, "code").reason


def body(text: str) -> str:
    """A program with this body of ``f``, at whose end stands the right answer."""
    lines = "".join(f"    {line}\n" for line in text.strip("\n").split("\n"))
    return f"def f(x):\n{lines}    return {SECRET} + x\n"
