"""Finding the program in a completion that may hold prose, code fences, a whole function or the rest of one."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from polya_midtrain.grading.reasoning import spoken
from polya_midtrain.grading.snippets import bound, defines, fenced, lacking, parse, snippets, tops

_ENDS = 20  # places tried as the end of the rest of a function: each costs a parse
_RESULT = re.compile(r"\b(?:return|yield)\b")


@dataclass(frozen=True, slots=True)
class Program:
    """``source`` is what is run; ``shown`` is the part of it that the completion wrote."""

    source: str
    shown: str


def extract(text: str, prefix: str, entry: str, most: int) -> Program | None:
    """The program of a completion to ``prefix`` that defines ``entry``; None where nothing parses as one.

    Reasoning holds no program. The last fenced block that defines ``entry`` comes first: a model may try, then correct
    itself. Next comes the text itself, as the rest of the function if it starts with a blank, else by its last stretch
    of code with a definition; then fenced blocks as the rest of the function, which ends at the next statement outside
    of it, as in the published HumanEval harness. What a program lacks is taken from the completion's other code. Texts
    above ``most`` characters are not looked at.
    """
    text = spoken(text).replace("\r\n", "\n").replace("\r", "\n")
    return next(_programs(text, prefix, entry, most), None)


def _programs(text: str, prefix: str, entry: str, most: int) -> Iterator[Program]:
    """What may be the program, the likeliest first."""
    blocks = [textwrap.dedent(block) for block in fenced(text) if len(block) <= most]
    pieces = [piece for block in blocks for piece in ([block] if parse(block) else snippets(block))]
    yield from _whole(pieces, prefix, entry)
    short, indented = len(text) <= most, text.lstrip("\n")[:1] in (" ", "\t")
    if short and indented:
        yield from _rest(text, prefix, entry)
    if short:
        yield from _whole(snippets(textwrap.dedent(text).lstrip()), prefix, entry)
    for wanted in (True, False):  # first those that return something
        for block in reversed(blocks):
            if (_RESULT.search(block) is not None) == wanted:
                yield from _rest(block, prefix, entry)
    if short and not indented:
        yield from _rest(text, prefix, entry)


def _whole(pieces: Sequence[str], prefix: str, entry: str) -> Iterator[Program]:
    """The last piece of code that defines ``entry``, as a program of its own.

    The prefix goes before it, for its imports and helpers; its unfinished function is defined anew.
    """
    for place in reversed(range(len(pieces))):
        tree = parse(pieces[place])
        if tree is not None and any(defines(node, entry) for node in tree.body):
            others = [*pieces[:place], *pieces[place + 1 :]]
            borrowed = _borrowed(f"{stub(prefix)}\n\n{pieces[place]}", others, entry)
            yield Program(f"{stub(prefix)}\n\n{borrowed}{pieces[place]}", pieces[place].strip())


def _borrowed(program: str, others: Sequence[str], entry: str) -> str:
    """Of the other pieces of code those that define what the program lacks, without their own ``entry``."""
    tree = parse(program)
    missing = lacking(tree) if tree is not None else set()
    left = [tree for tree in map(parse, others) if tree is not None] if missing else []
    taken: list[ast.stmt] = []
    while found := next((tree for tree in reversed(left) if missing & bound(tree.body)), None):
        left.remove(found)
        found.body = [node for node in found.body if entry not in bound([node])]
        taken = [*found.body, *taken]
        missing = (missing | lacking(found)) - bound(found.body)
    return f"{ast.unparse(ast.Module(taken, []))}\n\n" if taken else ""


def _rest(text: str, prefix: str, entry: str) -> Iterator[Program]:
    """The text as what follows the prefix, with the indentation mended where a model or its tokenizer lost some."""
    before = parse(prefix)
    if not prefix:
        return
    length, column = _body(before, entry) if before is not None else (0, 4)
    margin = " " * column
    bare = text.strip("\n")
    dedented = textwrap.dedent(bare)
    code = "".join(snippets(dedented)[:1])
    lead = dedented[: dedented.find(code)]  # comments belong to no snippet
    first = bool(code) and all(line.lstrip()[:1] in ("", "#") for line in lead.split("\n"))
    forms = (
        text,
        textwrap.indent(lead + code, margin) if first else "",  # no line has the margin
        margin + bare.lstrip(),  # all but the first have it
    )
    for form in forms:
        ends = [place for place in tops(form) if place][:_ENDS]
        for end in [*ends, len(form)]:
            source = f"{prefix}{form[:end]}"
            tree = parse(source)
            if tree is not None and _body(tree, entry)[0] > length and not _is_none(form[:end], tree):
                yield Program(f"{_borrowed(source, snippets(form[end:]), entry)}{source}", form[:end].strip())
                return


def _is_none(body: str, tree: ast.Module) -> bool:
    """Whether a body is none: a word of prose that happens to parse, or the function once more."""
    function = tree.body[-1]
    again = isinstance(function, ast.FunctionDef) and getattr(function.body[-1], "name", "") == function.name
    return again or (re.fullmatch(r"\s*[\w.]+\s*", body) is not None and body.split() != ["pass"])


def stub(prefix: str) -> str:
    """A prefix as a program of its own: it ends in a function without a body, or with a part of one."""
    return next((form for form in (prefix, f"{prefix}\n    pass\n") if parse(form) is not None), "")


def _body(tree: ast.Module, entry: str) -> tuple[int, int]:
    """How many statements the last function ``entry`` has, and how far they are indented."""
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == entry]
    return (len(found[-1].body), found[-1].body[0].col_offset) if found else (0, 4)
