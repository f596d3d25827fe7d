"""The inside of a graded program's process: run the source, then answer calls of its function until nobody asks.

Nothing of the tests is ever in this process: neither their source, nor what they expect, nor how they went. It sees the
arguments of one call after the other and sends back what its function returns.
"""

from __future__ import annotations

import ast
import json
import os
import random
import select
import struct
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from polya_midtrain.grading import plain
from polya_midtrain.grading.snippets import bound, outside

MODULE = "program"  # its name, so that a block under `if __name__ == "__main__"` does not run
Wait = Callable[[int], None]  # returns when a channel, a file descriptor, is ready for POLLIN or POLLOUT, or raises
_HEAD = struct.Struct("=I")
_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_SURE = (*_DEFINES, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.If, ast.Try)  # what must succeed before the function
_SHOWS = ("print", "input")


def send(channel: int, value: Any, wait: Wait = lambda event: None) -> None:
    """One JSON value, its length before it. ``wait`` is called where a non-blocking channel takes no more."""
    data = json.dumps(value).encode()
    rest = memoryview(_HEAD.pack(len(data)) + data)
    while rest:
        try:
            rest = rest[os.write(channel, rest) :]
        except BlockingIOError:
            wait(select.POLLOUT)


def receive(channel: int, most: int, wait: Wait = lambda event: None) -> Any:
    """The next JSON value. ``wait`` is called before every read. EOFError where the other side has ended, ValueError
    for more than ``most`` bytes and for what is no JSON."""
    (length,) = _HEAD.unpack(_exactly(channel, _HEAD.size, wait))
    if length > most:
        raise ValueError(f"a value of {length} bytes, above {most}")
    return json.loads(_exactly(channel, length, wait))


def _exactly(channel: int, length: int, wait: Wait) -> bytes:
    data = bytearray()
    while len(data) < length:
        wait(select.POLLIN)
        part = os.read(channel, min(length - len(data), 1 << 20))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def definitions(source: str, entry: str = "") -> ast.Module:
    """What of a source is run, imports from the future first.

    Left out are the calls, loops and assertions by which a completion shows its function at work. What stands after the
    function, and what computes without defining, may fail: the function is judged, not the script around it.
    """
    body = [node for node in ast.parse(source).body if not _usage(node, entry)]
    last = max((place for place, node in enumerate(body) if entry in bound([node])), default=len(body))
    body = [node if place <= last and isinstance(node, _SURE) else _may_fail(node) for place, node in enumerate(body)]
    body.sort(key=lambda node: not (isinstance(node, ast.ImportFrom) and node.module == "__future__"))
    return ast.fix_missing_locations(ast.Module(body, []))


def _usage(node: ast.stmt, entry: str) -> bool:
    """Whether a statement only shows the function at work, reads, prints or asserts."""
    if isinstance(node, _DEFINES):
        return False
    if isinstance(node, ast.Assert | ast.Raise) or (isinstance(node, ast.AnnAssign) and node.value is None):
        return True
    shows = (entry,) if entry in bound([node]) else (entry, *_SHOWS)
    calls = [part.func for part in outside(node) if isinstance(part, ast.Call)]
    return any(isinstance(called, ast.Name) and called.id in shows for called in calls)


def _may_fail(node: ast.stmt) -> ast.stmt:
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return node
    return ast.Try([node], [ast.ExceptHandler(None, None, [ast.Pass()])], [], [])


def serve(channel: int) -> None:
    """Take the source and the function's name, then calls, and return when the other side ends.

    What fails while the source runs, or what ends the process, is seen by the other side as the end of the channel.
    """
    source, entry = receive(channel, sys.maxsize)
    module = ModuleType(MODULE)
    sys.modules[MODULE] = module  # dataclasses look their module up
    random.seed(0)  # the same verdict each time
    exec(compile(definitions(source, entry), MODULE, "exec"), module.__dict__)
    while True:
        try:
            arguments, named = receive(channel, sys.maxsize)
        except EOFError:
            return
        try:
            function = module.__dict__[entry]
            reply = ["value", plain.encode(function(*plain.decode(arguments), **plain.decode(named)))]
        except BaseException as error:
            reply = ["error", type(error).__name__, str(error)[:200]]
        send(channel, reply)
