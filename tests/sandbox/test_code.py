"""Programs: what a completion's program is, and how values travel between it and its tests."""

from __future__ import annotations

import ast
import contextlib
import json
import math
import os
import resource
import signal
import sys
from collections import deque
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from programs import QUICK, reason

from polya_midtrain.errors import UserError
from polya_midtrain.grading import REASONS, plain, verify, worker
from polya_midtrain.grading.extract import extract
from polya_midtrain.grading.limits import Limits

PREFIX = 'import math\n\n\ndef half(x):\n    return x / 2\n\n\ndef area(r):\n    """The area of a circle."""\n'
AREA = {
    "prefix": PREFIX,
    "tests": "def check(candidate):\n    for r in 1, 2, 0.5: assert abs(candidate(r) - 3.1416 * r**2) < 1e-3\n",
    "entry": "area",
}

RIGHT = [
    "    return math.pi * r ** 2\n",
    "    return math.pi * r ** 2",
    " return math.pi * r ** 2",
    "return math.pi * r ** 2",
    "\n\n    half_r = half(r)\n    return math.pi * (2 * half_r) ** 2\n",
    "half_r = half(r)\nreturn math.pi * (2 * half_r) ** 2\n",
    "half_r = half(r)\n    return math.pi * (2 * half_r) ** 2\n",
    "if r:\n        return math.pi * r ** 2\n    return 0\n\nprint(area(3))",
    "    return math.pi * r ** 2\n\n\ndef area(r):\n    return 0\n",
    "    return math.pi * r ** 2\n# done\nassert area(1) == 17\n",
    "    return math.pi * r ** 2\n```\nThis is the area.",
    "    '''\ntext\nin the margin\n'''\n    return math.pi * r ** 2\nThat is all.",
    "    return (math.pi *\nr ** 2\n)\n",
    "def area(r):\n    return math.pi * half(2 * r) ** 2\n",
    "def area(r):\n    return pie() * r ** 2\n\ndef pie():\n    return math.pi\n\nprint(area(input()))\nassert False\n",
    "Here it is:\n\nfrom math import pi\n\ndef area(r: float) -> float:\n    return pi * r ** 2\n\nI hope it helps.",
    "from what I know:\ndef area(r):\n    return math.pi * r ** 2",
    "```python\ndef area(r):\n    return math.pi * r ** 2\n```",
    "~~~\ndef area(r):\n    return math.pi * r ** 2\n~~~",
    "1. Do this:\n   ```py\n   def area(r):\n       return math.pi * r ** 2\n   ```\n2. Done.",
    "```\n    return math.pi * r ** 2\n```",
    "```\nr2 = r * r\nreturn math.pi * r2\n```",
    "```python\ndef area(r):\n    return math.pi * r ** 2",  # cut off after the end
    "```python\ndef area(r):\n    return 0\n```\nNo:\n```python\ndef area(r):\n    return math.pi * r ** 2\n```\n"
    "```python\nprint(area(1))\n```",
    "```python\narea = lambda r: math.pi * r ** 2\n```",
    "from __future__ import annotations\n\ndef area(r: Unknown):\n    return math.pi * r ** 2",
    "import dataclasses\n@dataclasses.dataclass\nclass C:\n    r: float\ndef area(r): return math.pi * C(r).r ** 2",
    'def area(r):\n    return math.pi * r ** 2\n\nif __name__ == "__main__":\n    area(int(input()))',
]


@pytest.mark.parametrize("completion", RIGHT)
def test_a_right_program_is_found_in_any_form(completion: str) -> None:
    found = verify(completion, json.dumps(AREA), "code")
    assert found.reason == "right"
    assert 0 < len(found.extracted) <= 200


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("", "no answer"),
        (" \n", "no answer"),
        ("I do not know.", "no answer"),
        ("    return math.pi * (", "no answer"),
        ("```python\ndef area(r)\n    return math.pi\n```", "no answer"),
        ("\x00", "no answer"),
        ("    return '\ud800'\n", "no answer"),
        ("(" * 50_000, "no answer"),
        ("    return " + "-" * 20_000 + "1\n", "no answer"),
        ("x" * 70_000, "no answer"),
        ("    pass\n", "wrong"),
        ("    return 3 * r ** 2\n", "wrong"),
        ("    return undefined\n", "wrong"),
        ("    return None", "wrong"),
        ("def area(r):\n    return math.pi * r\n", "wrong"),
        ("import no_such_module\n\ndef area(r):\n    return math.pi * r ** 2", "wrong"),
        ("del math\ndef area(q, r): return 1", "wrong"),
        ("    raise SystemExit(0)\n", "wrong"),
    ],
)
def test_what_is_broken_fails(completion: str, expected: str) -> None:
    assert reason(completion, json.dumps(AREA)) == expected


PARTS = [
    "def area(r):",
    "def",
    "area",
    "(",
    ")",
    ":",
    "    ",
    "\n",
    "return",
    "r",
    "```",
    "```python\n",
    "'''",
    "é",
    "#",
]


@given(st.lists(st.sampled_from(PARTS), max_size=25).map("".join) | st.text(max_size=100))
def test_any_text_holds_a_program_or_none(text: str) -> None:
    found = extract(text, PREFIX, "area", 1 << 16)
    if found is not None:
        names = [node.name for node in ast.parse(found.source).body if isinstance(node, ast.FunctionDef)]
        assert "area" in names or "area" in found.source
        assert found.shown
        assert found.shown in found.source


STATEMENTS = st.recursive(
    st.sampled_from(["x = 1", "return r", "pass", "y = [\n1,\n2]", "z = '''a\n\nb'''", "# no"]),
    lambda inner: st.builds(
        lambda head, lines: f"{head}:\n" + "\n".join(f"    {line}" for part in lines for line in part.split("\n")),
        st.sampled_from(["if r", "for i in r", "while r", "try:\n    pass\nfinally"]),
        st.lists(inner.filter(lambda text: "'''" not in text), min_size=1, max_size=2).map(lambda xs: [*xs, "pass"]),
    ),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@example(["# no"], "")
@given(st.lists(STATEMENTS, min_size=1, max_size=3), st.sampled_from(["", "\n\n\ndef more():\n    pass", "\nThe end."]))
def test_a_body_is_the_same_program_in_any_form(statements: list[str], tail: str) -> None:
    """Its statements, compared as syntax trees."""
    bare = "\n".join([*statements, "return 1"])
    indented = "\n".join(line if _in_text(bare, i) else f"    {line}" for i, line in enumerate(bare.split("\n")))
    wanted = ast.dump(ast.parse(PREFIX + indented).body[-1])
    whole = f"def area(r):\n{indented}"
    for text in (indented + tail, f"```\n{indented}\n```{tail}"):
        found = extract(text, PREFIX, "area", 1 << 16)
        assert found is not None
        assert ast.dump(ast.parse(found.source).body[-1]) == wanted
    for text in (whole + tail, f"Here:\n{whole}{tail}", f"So:\n```python\n{whole}\n```{tail}"):
        found = extract(text, PREFIX, "area", 1 << 16)
        assert found is not None
        defined = [n for n in ast.parse(found.source).body if isinstance(n, ast.FunctionDef) and n.name == "area"]
        assert ast.dump(defined[-1]) == ast.dump(ast.parse(whole).body[0])


def _in_text(source: str, index: int) -> bool:
    """Whether a line starts within a quoted text, where blanks count."""
    return "\n".join(source.split("\n")[:index]).count("'''") % 2 == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(10**5000, 10**5001) | st.floats(allow_nan=False)
    | st.text() | st.binary() | st.binary().map(bytearray) | st.complex_numbers(allow_nan=False) | st.fractions()
    | st.decimals(allow_nan=False) | st.datetimes() | st.dates() | st.times() | st.timedeltas()
    | st.builds(range, st.integers(), st.integers(), st.integers(1, 9)),
    lambda inner: st.lists(inner) | st.lists(inner).map(deque) | st.tuples(inner, inner)
     | st.dictionaries(st.text() | st.integers(), inner)
    | st.sets(st.integers() | st.text()) | st.frozensets(st.tuples(st.integers(), st.text())),
    max_leaves=8,
)  # fmt: skip


def sent(value: Any) -> Any:
    there = json.loads(json.dumps(plain.encode(value, lambda value: ["object"])))
    return plain.decode(there, lambda *_: object())


@given(VALUES)
def test_plain_data_arrive_as_they_were_sent(value: Any) -> None:
    arrived = sent(value)
    assert arrived == value
    assert type(arrived) is type(value)


class _Equal(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


def test_what_is_no_plain_data_arrives_as_what_it_extends_or_as_nothing() -> None:
    assert sent(_Equal(3)) != 4
    assert sent({"a": (_Equal(3), [_Equal(4)])}) == {"a": (3, [4])}
    assert [sent(number(1)) for number in (np.int8, np.float32, np.bool_)] == [1, 1.0, True]
    assert sent(np.ones(2)) != [1.0, 1.0]
    assert math.isnan(sent(math.nan))
    assert sent(object()) != sent(object())
    inside: list[Any] = []
    inside.append(inside)
    with pytest.raises(RecursionError):
        plain.encode(inside, lambda value: ["object"])


@settings(max_examples=50, deadline=None)
@given(st.recursive(st.none() | st.integers() | st.sampled_from(["list", "dict", "int", "bytes", "complex", "set"]),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_nonsense_is_refused(value: Any) -> None:
    with contextlib.suppress(ValueError, TypeError, IndexError):
        plain.decode(value, lambda *_: object())


@pytest.mark.parametrize(
    "broken",
    [
        "f",
        "[]",
        "{}",
        json.dumps({**AREA, "entry": "not a name"}),
        json.dumps({**AREA, "prefix": None}),
        json.dumps({**AREA, "tests": "assert ("}),
    ],
)
def test_a_broken_gold_is_the_users_error(broken: str) -> None:
    with pytest.raises(UserError, match=r"of kind code holds no prefix, tests and entry .*; correct column `answer`"):
        reason("    return 1", broken)


def test_limits_travel_to_the_helper_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Limits(**json.loads(json.dumps(asdict(QUICK)))) == QUICK
    assert {"right", "wrong", "no answer", "timeout"} == set(REASONS)
    with pytest.raises(TypeError):
        monkeypatch.setattr(sys, "argv", ["worker", "code", "5", '{"no_such_limit": 1}'])
        monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        monkeypatch.setattr(os, "dup2", lambda *_: None)
        worker.main()
