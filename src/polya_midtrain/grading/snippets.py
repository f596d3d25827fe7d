"""Finding code in text: fenced blocks, and stretches of lines that parse."""

from __future__ import annotations

import ast
import builtins
import re
import warnings
from collections.abc import Iterable, Iterator

# A fence ends at its own margin: a docstring may hold fences too. One at the end of a line of code is put on its own.
_FENCE = re.compile(
    r"^(?P<margin>[ \t]*)(?P<fence>```+|~~~+)[^\n`]*\n(?P<code>.*?)(?:^(?:(?P=margin)|[ ]{0,3})(?P=fence)[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_GLUED = re.compile(r"(?<=[^\s`~])(?=```[ \t]*$)", re.MULTILINE)
_TOP = re.compile(r"^(?=[^\s#])", re.MULTILINE)  # where a statement outside of all functions may start
_GOES_ON = re.compile(r"[)\]}]|(?:else|elif|except|finally)\b")  # how the next part of a statement begins
_BLOCKS = 20  # fenced blocks looked at, from the end
_PIECES = 50  # stretches of code looked at, from the end
_PARTS = 60  # lines at the margin that one statement may have
_PARSED = 300_000  # characters parsed of one text, some of them several times


def fenced(text: str) -> list[str]:
    """The content of each fenced block; the last may lack its end."""
    return [match["code"] for match in _FENCE.finditer(_GLUED.sub("\n", text))][-_BLOCKS:]


def tops(text: str) -> list[int]:
    """Where statements outside of functions may start."""
    return [match.start() for match in _TOP.finditer(text)]


def parse(source: str) -> ast.Module | None:
    """The source's syntax tree, None where it has none."""
    tree = _parse(source)
    return tree if isinstance(tree, ast.Module) else None


def _parse(source: str) -> ast.Module | bool:
    """The source's syntax tree, or whether more of it might have one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as error:
        return "never closed" in error.msg or "unterminated triple" in error.msg
    except (ValueError, RecursionError, MemoryError):
        return False


def snippets(text: str) -> list[str]:
    """The stretches of a text that are code, in order: statements one after the other, with no prose between them."""
    places = [*tops(text), len(text)]
    found: list[str] = []
    parsed, first, last = 0, 0, len(places) - 1
    start: int | None = None  # of the stretch
    while first < last and parsed < _PARSED:
        end = good = first
        more = True
        while more and end < min(last, first + _PARTS) and parsed < _PARSED:
            end += 1
            if text[places[end - 1]] != "@":  # after a decorator more must come
                code = text[places[first] : places[end]]
                parsed += len(code)
                tree = _parse(code)
                good = end if isinstance(tree, ast.Module) else good
                more = tree is True or (end < last and _GOES_ON.match(text, places[end]) is not None)
        if good > first:
            start = places[first] if start is None else start
            first = good
        else:
            found += [] if start is None else [text[start : places[first]]]
            start, first = None, first + 1
    found += [] if start is None else [text[start : places[first]]]
    return found[-_PIECES:]


def bound(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that statements define, but for those inside of functions and classes."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Name):
            names |= {node.id} if isinstance(node.ctx, ast.Store) else set()
        elif not isinstance(node, ast.Lambda | ast.comprehension):
            names |= bound(ast.iter_child_nodes(node))
    return names


def outside(node: ast.AST) -> Iterator[ast.AST]:
    """A statement and its parts, but for the insides of functions."""
    yield node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        for inner in ast.iter_child_nodes(node):
            yield from outside(inner)


def defines(node: ast.stmt, name: str) -> bool:
    """Whether a statement defines a name, and not from what the name was before."""
    return name in bound([node]) and not any(
        isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Load) for part in outside(node)
    )


def lacking(tree: ast.Module) -> set[str]:
    """The names that a program uses and nowhere binds."""
    used: set[str] = set()
    known = set(dir(builtins))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else known).add(node.id)
        elif isinstance(node, ast.arg):
            known.add(node.arg)
        elif isinstance(node, ast.alias | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            known |= bound([node])
    return used - known
