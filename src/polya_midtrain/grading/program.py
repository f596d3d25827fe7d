"""The inside of a graded program's process: run the source, then answer calls of its function until nobody asks.

Nothing of the tests is ever in this process: neither their source, nor what they expect, nor how they went. It sees the
arguments of one call after the other and sends back what its function returns.
"""

from __future__ import annotations

import ast
import contextlib
import random
import sys
from types import ModuleType

from polya_midtrain.grading.channel import receive
from polya_midtrain.grading.peer import Peer
from polya_midtrain.grading.snippets import bound, outside

MODULE = "program"  # its name, so that a block under `if __name__ == "__main__"` does not run
_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_SURE = (*_DEFINES, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.If, ast.Try)  # what must succeed before the function
_SHOWS = ("print", "input")


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
    """Take the source, the function's name and the classes that the tests know, then calls, until the other side ends.

    What fails while the source runs, or what ends the process, is seen by the other side as the end of the channel.
    """
    peer = Peer(channel, sys.maxsize, open_=True)
    source, entry, classes = receive(channel, sys.maxsize)
    module = ModuleType(MODULE)
    sys.modules[MODULE] = module  # dataclasses look their module up
    random.seed(0)  # the same verdict each time
    exec(compile(definitions(source, entry), MODULE, "exec", dont_inherit=True), module.__dict__)
    found = {name: module.__dict__.get(name) for name in classes}
    peer.classes.update({name: kind for name, kind in found.items() if isinstance(kind, type)})
    peer.keep(module.__dict__.get(entry))
    with contextlib.suppress(EOFError):
        peer.serve()
