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

MODULE = "program"  # its name, so that a block under `if __name__ == "__main__"` does not run
_KEPT = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom),
    *(ast.Assign, ast.AnnAssign, ast.AugAssign, ast.If, ast.Try),
)


def definitions(source: str) -> ast.Module:
    """What of a source is run: imports, definitions, assignments and conditions, imports from the future first.

    Left out are the calls, loops and assertions by which a completion shows its function at work.
    """
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if isinstance(node, _KEPT)]
    tree.body.sort(key=lambda node: not (isinstance(node, ast.ImportFrom) and node.module == "__future__"))
    return tree


def serve(channel: int) -> None:
    """Take the source, the function's name and the classes that the tests know, then calls, until the other side ends.

    What fails while the source runs, or what ends the process, is seen by the other side as the end of the channel.
    """
    peer = Peer(channel, sys.maxsize, open_=True)
    source, entry, classes = receive(channel, sys.maxsize)
    module = ModuleType(MODULE)
    sys.modules[MODULE] = module  # dataclasses look their module up
    random.seed(0)  # the same verdict each time
    exec(compile(definitions(source), MODULE, "exec", dont_inherit=True), module.__dict__)
    found = {name: module.__dict__.get(name) for name in classes}
    peer.classes.update({name: kind for name, kind in found.items() if isinstance(kind, type)})
    peer.keep(module.__dict__.get(entry))
    with contextlib.suppress(EOFError):
        peer.serve()
