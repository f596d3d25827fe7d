"""Finding the program in a completion that may hold prose, a code fence, a whole function or the rest of one."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[^\n`]*\n(.*?)(?:^[ \t]*\1|\Z)", re.MULTILINE | re.DOTALL)
_TOP = re.compile(r"^(?=[^\s#])", re.MULTILINE)  # where a statement outside of all functions may start
_CODE = r"^(?:@|(?:from|import|def|class|async)\b|{entry}\s*=)"  # where a program may start
_STARTS, _ENDS = 4, 20  # places tried as the start and the end of a program: each costs a parse


@dataclass(frozen=True, slots=True)
class Program:
    """``source`` is what is run; ``shown`` is the part of it that the completion wrote."""

    source: str
    shown: str


def extract(text: str, prefix: str, entry: str, most: int) -> Program | None:
    """The program of a completion to ``prefix`` that defines ``entry``; None where nothing parses as one.

    The last fenced block with a definition of ``entry`` comes first: a model may try, then correct itself. Next comes
    the text itself: as the rest of the function if it starts with a blank or if it has no definition, else from its
    first line of code. Last come fenced blocks as the rest of the function. The rest of a function ends at the next
    statement outside of it, as in the published HumanEval harness. Texts above ``most`` characters are not looked at.
    """
    blocks = [match[2] for match in _FENCE.finditer(text) if len(match[2]) <= most]
    tries = [_whole(textwrap.dedent(block), prefix, entry) for block in reversed(blocks)]
    if len(text) <= most:
        rest, whole = _rest(text, prefix, entry), _whole(text, prefix, entry)
        indented = text.lstrip("\r\n")[:1] in (" ", "\t")
        tries += [rest, whole] if indented else [whole, rest]
    tries += [_rest(block, prefix, entry) for block in blocks]
    return next((program for attempt in tries for program in attempt), None)


def _whole(text: str, prefix: str, entry: str) -> Iterator[Program]:
    """The text as a program of its own, from a first line of code to the last line up to which it parses.

    The prefix goes before it, for its imports and helpers; its unfinished function is defined anew.
    """
    starts = re.finditer(_CODE.format(entry=entry), text, re.MULTILINE)
    for first in islice(starts, _STARTS) if entry in text else ():  # prose may begin with "from" as well
        code = text[first.start() :]
        for end in reversed(_ends(code)):
            tree = parse(code[:end])
            if tree is not None:
                if entry in _names(tree):
                    yield Program(f"{stub(prefix)}\n\n{code[:end]}", code[:end].strip())
                    return
                break


def _rest(text: str, prefix: str, entry: str) -> Iterator[Program]:
    """The text as what follows the prefix, with the indentation mended where a model or its tokenizer dropped it."""
    if not prefix:
        return
    before = parse(prefix)
    length, column = _body(before, entry) if before is not None else (0, 4)
    margin = " " * column
    bare = text.lstrip("\n")
    forms: tuple[tuple[str, list[int]], ...] = (
        (text, _ends(text)),
        (textwrap.indent(textwrap.dedent(bare), margin), []),  # no line has the function's margin
        (margin + bare, [end + column for end in _ends(bare)]),  # all but the first have it
    )
    for form, ends in forms:
        for end in [*ends, len(form)]:
            source = f"{prefix}{form[:end]}"
            tree = parse(source)
            if tree is not None and _body(tree, entry)[0] > length:
                yield Program(source, form[:end].strip())
                return


def _ends(text: str) -> list[int]:
    """Where statements outside of functions may start, but for the text's own start; and the text's end."""
    places = [match.start() for match in _TOP.finditer(text) if match.start()]
    return [*places[:_ENDS], len(text)]


def parse(source: str) -> ast.Module | None:
    """The source's syntax tree, None where it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def stub(prefix: str) -> str:
    """A prefix as a program of its own: it ends in a function without a body, or with a part of one."""
    return next((form for form in (prefix, f"{prefix}\n    pass\n") if parse(form) is not None), "")


def _body(tree: ast.Module, entry: str) -> tuple[int, int]:
    """How many statements the last function ``entry`` has, and how far they are indented."""
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == entry]
    return (len(found[-1].body), found[-1].body[0].col_offset) if found else (0, 4)


def _names(tree: ast.Module) -> set[str]:
    """What a program defines."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found
