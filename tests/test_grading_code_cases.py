"""Judged programs: tests/cases/code.jsonl, and the published solutions of HumanEval, right and mutated."""

from __future__ import annotations

import ast
import functools
import gzip
import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polya_midtrain.grading import Verdict, extract, grade_many
from polya_midtrain.grading.snippets import snippets
from polya_midtrain.question_sets.load import load

FILE = Path(__file__).parent / "cases" / "code.jsonl"
CASES: list[dict[str, Any]] = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    """All cases judged together: a program costs milliseconds, a helper's start half a second."""
    found = grade_many([(case["completion"], case["gold"], "code") for case in CASES], workers=1)
    return {case["id"]: verdict for case, verdict in zip(CASES, found, strict=True)}


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_judged_program(case: dict[str, Any], verdicts: dict[str, Verdict]) -> None:
    found = verdicts[case["id"]]
    assert found.correct == case["correct"], f"{case['kind']}: {case['completion']!r} gave {found}"


def test_the_cases_are_many_and_of_both_kinds() -> None:
    assert len({(case["completion"], case["gold"]) for case in CASES}) == len(CASES) >= 100
    assert sum(not case["correct"] for case in CASES) >= 20


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Here:\n\nA = 1\n@x\n@y\ndef f():\n    '''a\nb\n'''\n    return (1 +\n2\n)\nno good\nz = 3", 2),
        ("try:\n  1\nexcept:\n  2\nelse:\n  3\nfinally:\n  4\n", 1),
        ("def f():\n    pass\nexcept for zero\n", 1),
        ("except for zero\n", 0),
        ("@a\n@b\n", 0),
        ("def f(\n" * 100, 0),
        ("def f():\n    return 1\n\ndef g(x):\n    retu rn", 1),
    ],
)
def test_stretches_of_code(text: str, found: int) -> None:
    pieces = snippets(text)
    assert len(pieces) == found
    assert all(piece in text and ast.parse(piece).body for piece in pieces)


@pytest.mark.parametrize(
    "piece",
    [
        "def f(r):\n",
        "def f(\n",
        "x = 1\n",
        "x = [\n1,\n",
        "```\n",
        "```\nx = 1\n```\n",
        "'''\n",
        "@a\n",
        "if a:\n",
        "a b\n",
    ],
)
def test_what_is_parsed_of_any_text_is_bounded(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    parse = ast.parse

    def counting(source: str, *others: Any) -> Any:
        parsed.append(len(source))
        return parse(source, *others)

    monkeypatch.setattr(ast, "parse", counting)
    text = piece * (20_000 // len(piece))
    for completion in (text, f"    y = 1\n{text}", f"```\n{text}"):
        parsed.clear()
        extract.extract(completion, 'def f(r):\n    """Task."""\n', "f", 1 << 16)
        assert sum(parsed) < 2_000_000


# Forms of a published solution: (prompt, solution, name) -> completion.
FORMS: dict[str, Callable[[str, str, str], str]] = {
    "the body": lambda prompt, body, name: body,
    "the body, one blank lost": lambda prompt, body, name: body.removeprefix(" "),
    "fenced": lambda prompt, body, name: f"```python\n{prompt}{body}```",
    "fenced, with prose": lambda prompt, body, name: (
        f"I'll go through the list; it's short.\n\n```python\n{prompt}{body}```\n\nThis is `{name}`."
    ),
    "constants and usage": lambda prompt, body, name: (
        f"```python\nLIMIT = 10\nNAMES: list = []\nfor i in range(3):\n    NAMES.append(i)\n\n{prompt}{body}\n\n"
        f"n = int(input('n: '))\nprint({name}(n))\nassert {name}(n) == n\n```"
    ),
}
# The one solution whose first mutation no published test sees (it treats intervals without a common point as if they
# had one), and which of its mutations they see.
UNSEEN = {"HumanEval/127": 1}
Published = list[tuple[str, str, str, str, str]]
_OPPOSITE = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


@functools.lru_cache(maxsize=1000)
def mutated(prompt: str, body: str, name: str, which: int) -> str:
    """The body with one thing changed: a comparison turned round (not a loop's, which might never end), else a result
    given up; ``which`` counts these changes."""
    whole, start = prompt + body, len(_function(prompt, name).body)
    for change in (_turned, _given_up):
        for place in range(len(list(ast.walk(_function(whole, name))))):
            function = _function(whole, name)
            nodes = list(ast.walk(function))
            loops = {id(node) for loop in nodes if isinstance(loop, ast.While) for node in ast.walk(loop.test)}
            if id(nodes[place]) not in loops and change(nodes[place]):
                if which == 0:
                    return textwrap.indent(ast.unparse(ast.Module(function.body[start:], [])), "    ") + "\n"
                which -= 1
    raise AssertionError(f"{name} has no such mutation")


def _function(source: str, name: str) -> ast.FunctionDef:
    return next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == name)


def _turned(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare) or type(node.ops[0]) not in _OPPOSITE:
        return False
    node.ops[0] = _OPPOSITE[type(node.ops[0])]()
    return True


def _given_up(node: ast.AST) -> bool:
    if not isinstance(node, ast.Return):
        return False
    node.value = ast.Constant("no result")
    return True


@pytest.fixture(scope="module")
def published(public_sets: Path) -> Published:
    """Of each problem the id, the gold, the prompt, the solution and the function's name."""
    with gzip.open(public_sets / "humaneval/HumanEval.jsonl.gz", "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    golds = [question.answer for question in load("humaneval", "test", public_sets)]
    keys = ("prompt", "canonical_solution", "entry_point")
    return [(row["task_id"], gold, *(row[key] for key in keys)) for row, gold in zip(rows, golds, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_each_solution_of_humaneval_passes_and_a_mutated_one_fails(published: Published, form: str) -> None:
    write = FORMS[form]
    right = [(write(prompt, body, name), gold, "code") for _, gold, prompt, body, name in published]
    wrong = [
        (write(prompt, mutated(prompt, body, name, UNSEEN.get(task, 0)), name), gold, "code")
        for task, gold, prompt, body, name in published
    ]
    found = grade_many(right + wrong, workers=1)
    assert len(right) == len(wrong) == 164
    assert [row[0] for row, verdict in zip(published, found[:164], strict=True) if not verdict.correct] == []
    assert {row[0]: verdict.reason for row, verdict in zip(published, found[164:], strict=True)} == {
        row[0]: "wrong" for row in published
    }


def test_only_the_mutations_named_so_are_unseen(published: Published) -> None:
    items = [
        (mutated(prompt, body, name, 0), gold, "code") for task, gold, prompt, body, name in published if task in UNSEEN
    ]
    assert len(items) == len(UNSEEN)
    assert all(verdict.correct for verdict in grade_many(items, workers=1))
