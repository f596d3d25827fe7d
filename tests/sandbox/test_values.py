"""What passes between programs and tests: right programs of any kind pass, and nothing that a program sends, raises or
changes acts as anything but what it is."""

from __future__ import annotations

import json

import pytest
from programs import reason

# Wrong programs, each with tests that would pass if it could speak to them.
SPEAKING = {
    "StopIteration in map": ("assert all(map(lambda x: f(x) == x, [1, 2]))", "raise StopIteration"),
    "StopIteration in map, bare": (
        "assert [1, *map(f, [1, 2])][1:] in ([], [1, 2])\nassert f(1) == 1",
        "raise StopIteration",
    ),
    "StopIteration in filter": ("assert list(filter(lambda x: f(x) != x, [1, 2])) == []", "raise StopIteration"),
    "StopIteration in zip": ("assert all(a == b for a, b in zip(map(f, [1, 2]), [1, 2]))", "raise StopIteration"),
    "StopIteration in iter": ("for x in iter(lambda: f(1), None): assert x == 1", "raise StopIteration"),
    "StopIteration in a generator": ("assert all(f(x) == x for x in [1])", "raise StopIteration"),
    "StopIteration of its own": (
        "assert all(map(lambda x: f(x) == x, [1]))",
        "raise type('StopIteration', (StopIteration,), {})",
    ),
    "a name like StopIteration": (
        "assert all(map(lambda x: f(x) == x, [1]))",
        "raise type('StopIteration', (Exception,), {})",
    ),
    "StopAsyncIteration": ("assert f(1) == 1", "raise StopAsyncIteration"),
    "GeneratorExit in a generator": (
        "def g():\n    try: yield f(1)\n    except GeneratorExit: pass\nassert all(x == 1 for x in g())",
        "raise GeneratorExit",
    ),
    "SystemExit": ("assert f(1) == 1", "raise SystemExit(0)"),
    "KeyboardInterrupt": ("assert f(1) == 1", "raise KeyboardInterrupt"),
    "BaseException": ("assert f(1) == 1", "raise BaseException"),
    "an AssertionError of its own": ("assert f(1) == 1", "raise type('A', (AssertionError,), {})"),
    "a name like an error's": (
        "try: f(1)\nexcept ZeroDivisionError: pass\nelse: assert 0",
        "raise type('ZeroDivisionError', (Exception,), {})",
    ),
    "an error that cannot be shown": ("assert f(1) == 1", "raise type('E', (Exception,), {'__str__': lambda s: 1/0})"),
    "a group": ("assert f(1) == 1", "raise BaseExceptionGroup('', [StopIteration()])"),
    "equal to all": ("assert f(1) == 1", "return type('A', (), {'__eq__': lambda a, b: True})()"),
    "equal to all, a number": ("assert f(1) == 2", "return type('A', (int,), {'__eq__': lambda a, b: True})(0)"),
    "equal to all, a list": ("assert f(1) == [2]", "return type('A', (list,), {'__eq__': lambda a, b: True})()"),
    "equal to all, a text": ("assert f(1) == 'b'", "return type('A', (str,), {'__eq__': lambda a, b: True})('a')"),
    "equal to all, a class": (
        "assert f(1) == 1",
        "M = type('M', (type,), {'__eq__': lambda a, b: True, '__hash__': lambda a: 1})\n    return M('A', (), {})",
    ),
    "equal to all, inside": ("assert f(1) == [1]", "return [type('A', (), {'__eq__': lambda a, b: True})()]"),
    "equal to all, from the right": ("assert 1 == f(1)", "return type('A', (), {'__eq__': lambda a, b: True})()"),
    "never unequal": ("assert not f(1) != 1", "return type('A', (), {'__ne__': lambda a, b: False})()"),
    "less than all": ("assert abs(f(1) - 1) < 1", "return type('A', (float,), {'__sub__': lambda a, b: 0.0})(9)"),
    "a distance of nothing": (
        "assert abs(f(1) - 1) < 1",
        "return type('A', (), {'__sub__': lambda a, b: 0, '__abs__': lambda a: 0, '__lt__': lambda a, b: True})()",
    ),
    "holds all": ("assert 1 in f(1)", "return type('A', (), {'__contains__': lambda a, b: True})()"),
    "an instance of all": ("assert isinstance(f(1), int)", "return type('A', (), {'__class__': int})()"),
    "not a number": ("assert abs(f(1) - 1) < 1e-6", "return float('nan')"),
    "not a number, in a list": ("assert f(1) == [1.0]", "return [float('nan')]"),
    "not a number, a decimal": ("assert f(1) == 1", "import decimal\n    return decimal.Decimal('sNaN')"),
    "a changed argument": ("x = [3, 1]\nassert f(x) == sorted(x)", "x.clear()\n    return []"),
    "a changed argument, returned": ("x = [3, 1]\nassert f(x) == x", "x.clear()\n    return x"),
    "a changed argument, inside": ("x = [[3], [1]]\nassert f(x) == sorted(x)", "x[0][:] = x[1][:] = [0]\n    return x"),
    "changed builtins": ("assert sum([f(1)]) == 1", "import builtins\n    builtins.sum = lambda x: 1\n    return 0"),
    "changed modules": (
        "import math\nassert math.isclose(f(1), 1)",
        "import math\n    math.isclose = lambda a, b: True\n    return 0",
    ),
    "an edited frame": (
        "assert f(1) == 1",
        "import sys\n    g = sys._getframe()\n    while g: g.f_globals['RIGHT'] = 1; g = g.f_back\n    return 0",
    ),
    "printed success": ("assert f(1) == 1", "print('right', [True, '', 'right'], flush=True)\n    return 0"),
    "os._exit": ("assert f(1) == 1", "import os\n    os._exit(0)"),
    "os._exit, caught": ("try: f(1)\nexcept BaseException: pass", "import os\n    os._exit(0)"),
    "sys.exit while it is read": (
        "try: f(1)\nexcept BaseException: pass",
        "import sys\nA = sys.exit(0)\ndef f(x): pass",
    ),
    "an error while it is read": ("try: f(1)\nexcept BaseException: pass", "import sys\nA = 1 / 0\ndef f(x): pass"),
    "atexit": ("assert f(1) == 1", "import atexit, os\n    atexit.register(os._exit, 0)\n    raise SystemExit"),
    "the tests' callable, its insides": (
        "def secret(x): return x\nassert f(secret) == 4711",
        "return x.__globals__['f']",
    ),
    "the tests' callable, its frame": ("assert f(i for i in [4711]) == 4711", "return x.gi_frame.f_locals"),
    "an answer for another question": (
        "assert f(1) == f(2) == 3",
        "import sys\n    p = sys._getframe(1).f_locals['self']\n    p.exchange(['value', x])\n    return 3",
    ),
    "a request for what it does not have": (
        "assert f(1) == 1",
        "import sys\n    p = sys._getframe(1).f_locals['self']\n"
        "    return p.exchange(['ask', 0, '__getattr__', ['tuple', 'x'], ['dict']])",
    ),
    "truthful only when asked": ("assert callable(f(1))", "return object()"),
}

# Right programs, with tests that are passed where the function is called as in one process.
PASSING = {
    "a fraction": (
        "from fractions import Fraction\nassert f(3) == Fraction(1, 3)",
        "import fractions\n    return fractions.Fraction(1, x)",
    ),
    "a fraction beside a number": ("assert f(2) == 0.5", "import fractions\n    return fractions.Fraction(1, x)"),
    "a decimal": (
        "from decimal import Decimal\nassert f(3) == Decimal('0.3')",
        "import decimal\n    return decimal.Decimal('0.3')",
    ),
    "a date": (
        "import datetime\nassert f(3) == datetime.date(2024, 1, 3)",
        "import datetime\n    return datetime.date(2024, 1, x)",
    ),
    "a duration": ("import datetime\nassert f(3).days == 3", "import datetime\n    return datetime.timedelta(x)"),
    "a deque": (
        "from collections import deque\nassert f(3) == deque([3])",
        "import collections\n    return collections.deque([x])",
    ),
    "a range": ("assert f(3) == range(3)\nassert list(f(3)) == [0, 1, 2]", "return range(x)"),
    "a counter": ("assert f('aab') == {'a': 2, 'b': 1}", "import collections\n    return collections.Counter(x)"),
    "keys": ("assert f({1: 2}) == {1}", "return x.keys()"),
    "values": ("assert sorted(f({1: 3, 2: 2})) == [2, 3]", "return x.values()"),
    "a generator": ("assert list(f(3)) == [0, 1, 4]\nassert sum(f(3)) == 5", "return (i * i for i in range(x))"),
    "an endless generator": (
        "g = f(3)\nassert [next(g) for _ in range(4)] == [3, 4, 5, 6]",
        "import itertools\n    return itertools.count(x)",
    ),
    "a generator that ends": (
        "g = f(1)\nassert next(g) == 0\ntry: next(g)\nexcept StopIteration: pass\nelse: assert 0",
        "yield from range(x)",
    ),
    "a callable": ("assert f(2)(3) == 5\nassert callable(f(2))", "return lambda y: x + y"),
    "a callable of callables": ("g = f(2)(3)\nassert g(4) == 9", "return lambda y: lambda z: x + y + z"),
    "a callable given": ("assert f(lambda y: y * 2) == [2, 4]", "return [x(i) for i in (1, 2)]"),
    "a builtin given": ("assert f(max) == 3", "return x([1, 3, 2])"),
    "a key given": ("assert f([3, 1, 2], key=lambda y: -y) == [3, 2, 1]", "return sorted(x, key=key)"),
    "a callable given and returned": ("g = lambda: 1\nassert f(g) is g", "return x"),
    "itself given": ("assert f(f) == f(f)", "return 1 if callable(x) else 0"),
    "a callable given that calls it": ("assert f(lambda n: n if n < 2 else f(lambda m: n)) == 3", "return x(3)"),
    "a callable given that fails": (
        "def g(y): raise KeyError(y)\nassert f(g) == 'none'",
        "try: return x(1)\n    except KeyError: return 'none'",
    ),
    "an iterator given": ("assert f(iter([1, 2])) == 3", "return sum(x)"),
    "a class": (
        "C = f(2)\nassert C(3).total() == 5",
        "class C:\n        def __init__(self, y): self.y = y\n        def total(self): return x + self.y\n    return C",
    ),
    "an object": (
        "o = f(2)\no.add(3)\nassert o.total == 5\nassert str(o) == '5'\nassert len(o) == 5 and o[1] == 1",
        "class O:\n        total = x\n        def add(self, y): self.total += y\n"
        "        def __str__(self): return str(self.total)\n        def __len__(self): return self.total\n"
        "        def __getitem__(self, i): return i\n    return O()",
    ),
    "an object without an attribute": ("assert not hasattr(f(2), 'x')", "return object()"),
    "one object each time": ("assert f(1) is f(2)", "return KEPT\nKEPT = object()"),
    "an error": ("try: f(0)\nexcept ZeroDivisionError: pass\nelse: assert 0", "return 1 / x"),
    "an error that extends": (
        "try: f(0)\nexcept ValueError: pass\nelse: assert 0",
        "raise type('Own', (ValueError,), {})",
    ),
    "an error's parent": ("try: f([])\nexcept LookupError: pass\nelse: assert 0", "return x[0]"),
    "StopIteration inside": (
        "assert f([1]) == 1",
        "i = iter(x)\n    last = None\n    while True:\n        try: last = next(i)\n"
        "        except StopIteration: return last",
    ),
    "a changed argument": ("x = [3, 1, 2]\nassert f(x) == [1, 2, 3]", "x.sort()\n    return x"),
    "an argument that is to change": ("x = [3, 1, 2]\nassert f(x) is None\nassert x == [1, 2, 3]", "x.sort()"),
    "a grid that is to change": (
        "x = [[1, 2], [3, 4]]\nf(x)\nassert x == [[3, 1], [4, 2]]",
        "x[:] = [list(r)[::-1] for r in zip(*x)]",
    ),
    "a dict that is to change": ("x = {1: 2}\nf(x)\nassert x == {1: 3}", "x[1] += 1"),
    "a set that is to change": ("x = {1}\nf(x)\nassert x == {1, 2}", "x.add(2)"),
    "bytes that are to change": ("x = bytearray(b'a')\nf(x)\nassert x == b'ab'", "x += b'b'"),
    "deep recursion": ("assert f(900) == 900", "return x and 1 + f(x - 1)"),
    "deeper recursion": (
        "assert f(20000) == 20000",
        "return x and 1 + f(x - 1)\nimport sys\nA = sys.setrecursionlimit(10**6)",
    ),
    "many calls": ("for i in range(5000): assert f(i) == i", "return x"),
    "a long answer": ("assert len(f(10**5)) == 10**5", "return list(range(x))"),
    "an infinite number": ("assert f(1) == float('inf')", "return float('inf')"),
    "not a number": ("assert f(1) != f(1)", "return float('nan')"),
    "a big number": ("assert f(5000) == 10**5000", "return 10**x"),
    "keywords": ("assert f(x=1, key=2) == 2", "return key"),
    "files that come and go": (
        "assert f(400) == 1",
        "import os\n    for i in range(x * 5):\n"
        "        open(f'a{i % 9}', 'w').close(); os.unlink(f'a{i % 9}')\n    return 1",
    ),
    "a temporary file": (
        "assert f('b') == 'b'",
        "import tempfile\n    with tempfile.TemporaryFile('w+') as t:\n        t.write(x); t.seek(0); return t.read()",
    ),
    "async": (
        "assert f(3) == 3",
        "import asyncio\n    async def g(): return x\n    try: g().send(None)\n"
        "    except StopIteration as e: return e.value",
    ),
    "a memory map": (
        "assert f(3) == b'abc'",
        "import mmap\n    open('a', 'wb').write(b'abc')\n"
        "    with open('a', 'r+b') as t: return mmap.mmap(t.fileno(), 0)[:]",
    ),
}


def gold(tests: str, prefix: str = "") -> str:
    return json.dumps({"prefix": prefix, "tests": tests, "entry": "f"})


@pytest.mark.parametrize("name", SPEAKING)
def test_a_wrong_program_cannot_speak_to_its_tests(name: str) -> None:
    tests, lines = SPEAKING[name]
    assert reason(lines if "def f" in lines else f"def f(x):\n    {lines}\n", gold(tests)) == "wrong"


@pytest.mark.parametrize("name", PASSING)
def test_a_right_program_passes_whatever_it_returns_or_takes(name: str) -> None:
    tests, lines = PASSING[name]
    assert reason(f"def f(x, key=None):\n    {lines}\n", gold(tests)) == "right"


SHARED = """
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

@dataclass
class Point:
    x: int
    y: int = 0

class Node:
    def __init__(self, value, next=None): self.value, self.next = value, next

class Colour(Enum):
    RED = 1
    BLUE = 2

class Pair(NamedTuple):
    a: int
    b: int

class Refused(ValueError): pass

def f(x):
"""


@pytest.mark.parametrize(
    ("tests", "lines", "expected"),
    [
        ("assert f(Point(1, 2)) == Point(2, 1)", "return Point(x.y, x.x)", "right"),
        ("assert f(Point(1, 2)) == Point(2, 1)", "return Point(x.x, x.y)", "wrong"),
        ("n = f(Node(1, Node(2)))\nassert (n.value, n.next.value, n.next.next) == (2, 1, None)",
         "last = None\n    while x: x.next, last, x = last, x, x.next\n    return last", "right"),
        ("p = Point(1)\nassert f(p) is None and p == Point(1, 5)", "x.y = 5", "right"),
        ("assert f(Colour.RED) is Colour.BLUE", "return Colour(x.value + 1)", "right"),
        ("assert f(Pair(1, 2)).b == 1", "return Pair(x.b, x.a)", "right"),
        ("try: f(1)\nexcept Refused: pass\nelse: assert 0", "raise Refused('no')", "right"),
        ("try: f(1)\nexcept Refused: pass\nelse: assert 0", "raise ValueError('no')", "wrong"),
        ("assert f(1) == Point(2, 1)", "Point.__eq__ = lambda a, b: True\n    return Point(0, 0)", "wrong"),
        ("assert f(1) == Point(2, 1)", "p = Point(0, 0)\n    p.__eq__ = lambda a: True\n    return p", "wrong"),
        ("assert f(1) == Point(2, 1)", "return type('Point', (Point,), {'__eq__': lambda a, b: True})(0, 0)", "wrong"),
    ],
)  # fmt: skip
def test_objects_of_the_problems_own_classes_travel(tests: str, lines: str, expected: str) -> None:
    assert reason(f"    {lines}\n", gold(tests, SHARED)) == expected
