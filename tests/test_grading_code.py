"""Programs: what a completion's program is, how it is judged, and that it cannot get out of its sandbox."""

from __future__ import annotations

import ast
import contextlib
import json
import math
import os
import platform
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polya_midtrain.errors import UserError
from polya_midtrain.grading import REASONS, grade_many, plain, pool, sandbox, verify, worker
from polya_midtrain.grading.code import Judge
from polya_midtrain.grading.extract import extract
from polya_midtrain.grading.limits import Limits

ROOT = Path(__file__).resolve().parents[1]
PREFIX = 'import math\n\n\ndef half(x):\n    return x / 2\n\n\ndef area(r):\n    """The area of a circle."""\n'
AREA = {
    "prefix": PREFIX,
    "tests": "def check(candidate):\n    for r in 1, 2, 0.5: assert abs(candidate(r) - 3.1416 * r**2) < 1e-3\n",
    "entry": "area",
}
SECRET = 4711  # what the tests of a bare program expect, on top of its argument
BARE = json.dumps({"prefix": "", "tests": f"assert f(1) == {SECRET + 1}\nassert f(2) == {SECRET + 2}\n", "entry": "f"})
QUICK = replace(Limits(), cpu_seconds=1, wall_seconds=1.5)
HAVE = sandbox.protections()
CONFINED = pytest.mark.skipif(
    {sandbox.SECCOMP, sandbox.LANDLOCK} != HAVE, reason=f"this kernel has only {sorted(HAVE)} of seccomp and Landlock"
)


@pytest.fixture(autouse=True, scope="module")
def quick_limits() -> Iterator[None]:
    """Limits of a second, in helpers of their own."""
    usual = pool.LIMITS
    pool.close_helpers()
    pool.LIMITS = QUICK
    yield
    pool.close_helpers()
    pool.LIMITS = usual


def reason(completion: str, gold: str = BARE) -> str:
    return verify(completion, gold, "code").reason


def body(text: str) -> str:
    """A program with this body of ``f``, at whose end stands the right answer."""
    lines = "".join(f"    {line}\n" for line in text.strip("\n").split("\n"))
    return f"def f(x):\n{lines}    return {SECRET} + x\n"


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
    | st.text() | st.binary() | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner)
    | st.sets(st.integers() | st.text()) | st.frozensets(st.tuples(st.integers(), st.text())),
    max_leaves=8,
)  # fmt: skip


def sent(value: Any) -> Any:
    return plain.decode(json.loads(json.dumps(plain.encode(value))))


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
    assert list(sent(x * x for x in range(3))) == [0, 1, 4]
    assert len(sent({1: 2}.keys())) == 1
    assert sent(range(3)) != [0, 1, 2]
    assert sent(object()) != sent(object())
    inside: list[Any] = []
    inside.append(inside)
    with pytest.raises(RecursionError):
        plain.encode(inside)


@settings(max_examples=50, deadline=None)
@given(st.recursive(st.none() | st.integers() | st.sampled_from(["list", "dict", "int", "bytes", "complex", "set"]),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_nonsense_is_refused(value: Any) -> None:
    with contextlib.suppress(ValueError, TypeError, IndexError):
        plain.decode(value)


# What a program may do without harm, each ending in the right answer.
HARMLESS = {
    "print": "print('x' * 10**6)\nimport sys; sys.stderr.write('y' * 10**6)",
    "read nothing": "import sys\nassert sys.stdin.read() == ''",
    "a file": "with open('a', 'w') as out: out.write('b')\nassert open('a').read() == 'b'",
    "a temporary file": "import tempfile\nwith tempfile.NamedTemporaryFile() as out: out.write(b'x')",
    "the library": "import statistics, zoneinfo, sqlite3, email.mime.text, xml.dom.minidom",
    "no more memory": "try:\n    [0] * 10**11\nexcept MemoryError: pass",
    "caught": "try:\n    raise KeyboardInterrupt\nexcept BaseException: pass",
    "numpy": "import numpy\nassert numpy.arange(3).sum() == 3",
    "time": "import time; time.sleep(0.01); time.time(); time.localtime()",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_programs_run(name: str) -> None:
    if name == "the library":
        pytest.importorskip("sqlite3")
    assert reason(body(HARMLESS[name])) == "right"


# What is refused, by a statement that raises; a program that goes on regardless is right, so the refusal is all.
REFUSED = {
    "a socket": "import socket; socket.socket()",
    "a local socket": "import socket; socket.socketpair()",
    "a process": "import os; os.fork()",
    "a command": "import subprocess; subprocess.run(['true'])",
    "a shell": "import os\nif os.system('true') != 0: raise OSError",
    "another program": "import os; os.execv('/bin/true', ['true'])",
    "a thread": "import threading; threading.Thread(target=print).start()",
    "many processes": "import multiprocessing; multiprocessing.Process(target=print).start()",
    "the parent": "import os; os.kill(os.getppid(), 9)",
    "the group": "import os; os.kill(0, 9)",
    "everyone": "import os; os.kill(-1, 9)",
    "limits": "import resource; resource.setrlimit(resource.RLIMIT_CPU, (9, 9))",
    "another user": "import os; os.setuid(0)",
    "priority": "import os; os.nice(1)",
    "a link": "import os; os.symlink('/etc/passwd', 'a')",
    "a folder": "import os; os.mkdir('a')",
    "rights": "import os\nopen('a', 'w').close()\nos.chmod('a', 0o777)",
    "its environment": "open('/proc/self/environ').read()",
    "the parent's memory": "import os; open(f'/proc/{os.getppid()}/mem', 'rb')",
    "passwords": "open('/etc/passwd').read()",
    "the top folder": "import os; os.listdir('/')",
}


@CONFINED
@pytest.mark.parametrize("name", REFUSED)
def test_what_reaches_out_is_refused(name: str) -> None:
    lines = "\n".join(f"    {line}" for line in REFUSED[name].split("\n"))
    program = body(f"try:\n{lines}\nexcept (OSError, RuntimeError, ValueError): return {SECRET} + x\nreturn 0")
    assert reason(program) == "right", "it was not refused, or the program did not survive the refusal"
    assert reason(body(REFUSED[name])) == "wrong"


# What must end as not correct, quickly and without harm to anyone.
HOSTILE = {
    "endless in C": ("sum(iter(int, 1))", "timeout"),
    "endless and deaf": (
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "timeout",
    ),
    "asleep": ("import time; time.sleep(1000)", "timeout"),
    "a fork bomb": ("import os\nwhile True: os.fork()", "wrong"),
    "all memory": ("kept = []\nwhile True: kept.append(bytearray(10**6))", "wrong or timeout"),
    "no end of recursion": ("import sys\nsys.setrecursionlimit(10**9)\ndef g(): return g()\ng()", "wrong or timeout"),
    "a crash": ("import ctypes; ctypes.string_at(0)", "wrong"),
    "sys.exit": ("import sys; sys.exit(0)", "wrong"),
    "os._exit": ("import os; os._exit(0)", "wrong"),
    "a big file": ("with open('a', 'wb') as out: out.write(bytes(10**8))", "wrong"),
    "many files": ("import time\nfor i in range(10**4): open(str(i), 'w').close()\ntime.sleep(1)", "wrong"),
    "a big answer": ("return 'a' * 10**7", "wrong"),
    "a deep answer": ("kept = []\nfor _ in range(10**5): kept = [kept]\nreturn kept", "wrong"),
    "an endless answer": ("import itertools; return itertools.count()", "timeout"),
    "equal to all": ("return type('A', (int,), {'__eq__': lambda a, b: True})(0)", "wrong"),
    "forged replies": (
        "import os, struct\nfor fd in range(3, 32):\n    for text in (b'[\"value\", true]', b'right', b'[]'):\n"
        "        try: os.write(fd, struct.pack('=I', len(text)) + text)\n        except OSError: pass",
        "wrong",
    ),
    "nonsense": ("import os; os.write(3, b'\\xff' * 1000)", "wrong"),
}


@CONFINED
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_fail_and_the_helper_lives_on(name: str) -> None:
    assert reason(body("pass")) == "right"
    helper = pool._HELPERS.all[0].process.pid
    text, expected = HOSTILE[name]
    start = time.monotonic()
    assert reason(body(text)) in expected.split(" or ")
    assert time.monotonic() - start < 8
    assert reason(body("pass")) == "right"
    assert pool._HELPERS.all[0].process.pid == helper


@CONFINED
def test_nothing_is_written_outside_the_scratch_folder(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    places = [
        tmp_path / "new",
        ROOT / "polya-escape",
        Path(tempfile.gettempdir(), "polya-escape"),
        Path("/dev/shm/polya-escape"),
    ]
    attempts = [f"open({str(place)!r}, 'w').write('x')" for place in [*places, kept]]
    attempts += [f"open('../{place.name}', 'a')" for place in places]
    attempts += [
        f"os.remove({str(kept)!r})",
        f"os.truncate({str(kept)!r}, 0)",
        f"os.open({str(kept)!r}, os.O_RDONLY | os.O_TRUNC)",
        f"os.chmod({str(kept)!r}, 0)",
        f"os.utime({str(kept)!r}, (0, 0))",
        f"open('a', 'w').close(); os.replace('a', {str(kept)!r})",
        f"os.link({str(kept)!r}, 'a'); open('a', 'w')",
    ]
    lines = "\n".join(f"try:\n    {attempt}\n    return 0\nexcept OSError: pass" for attempt in attempts)
    before = kept.stat()
    assert reason(body(f"import os\n{lines}")) == "right"
    assert kept.read_text() == "as it was"
    assert kept.stat().st_mtime == before.st_mtime
    assert kept.stat().st_mode == before.st_mode
    assert not any(place.exists() for place in places)


@CONFINED
def test_no_connection_is_made() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        port = server.getsockname()[1]
        assert reason(body(f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)")) == "wrong"
        with pytest.raises(TimeoutError):
            server.accept()


# Numbers of x86_64: what must not be there, however a program asks.
CALLS = {
    "socket": 41, "connect": 42, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "truncate": 76,
    "mkdir": 83, "link": 86, "symlink": 88, "chmod": 90, "fchmod": 91, "chown": 92, "ptrace": 101, "setuid": 105,
    "utime": 132, "mknod": 133, "setpriority": 141, "prctl": 157, "setrlimit": 160, "chroot": 161, "mount": 165,
    "reboot": 169, "tkill": 200, "sched_setaffinity": 203, "tgkill": 234, "add_key": 248, "unshare": 272,
    "utimensat": 280, "perf_event_open": 298, "prlimit64": 302, "setns": 308, "process_vm_readv": 310,
    "seccomp": 317, "memfd_create": 319, "bpf": 321, "execveat": 322, "userfaultfd": 323, "pidfd_send_signal": 424,
    "io_uring_setup": 425, "clone3": 435, "pidfd_getfd": 438, "landlock_create_ruleset": 444,
}  # fmt: skip


@CONFINED
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86_64")
def test_system_calls_are_refused_below_python() -> None:
    program = body(f"""
import ctypes, errno
library = ctypes.CDLL(None, use_errno=True)
for number in {sorted(CALLS.values())} + [41 | 0x40000000, 57 | 0x40000000]:
    if library.syscall(number, 0, 0, 0, 0, 0, 0) != -1: return number
    if ctypes.get_errno() not in (errno.EPERM, errno.EAGAIN, errno.ENOSYS): return number
""")
    assert reason(program) == "right"


SEARCH = f"""
import gc, sys
sign = str({SECRET} + 1)
seen, kept, found = {{id(sign)}}, [], []
def look(value, depth):
    if id(value) in seen or depth > 12: return
    seen.add(id(value)); kept.append(value)
    if isinstance(value, (str, bytes)):
        text = value if isinstance(value, str) else value.decode("latin-1")
        if sign in text and "def look" not in text: found.append(value)
        return
    if type(value).__name__ == "frame": look(value.f_locals, depth + 1); look(value.f_code.co_consts, depth + 1)
    for other in gc.get_referents(value): look(other, depth + 1)
def f(x):
    frame = sys._getframe()
    while frame: look(frame, 0); frame = frame.f_back
    import __main__
    for thing in [*sys.modules.values(), *gc.get_objects()]: look(thing, 0)
    return {SECRET} + x if found else 0
"""


@CONFINED
def test_a_program_finds_nothing_of_its_tests_in_its_memory() -> None:
    """Through frames, modules, and all objects that Python knows of: the search finds what is there to be found."""
    planted = f"{SEARCH}\nplanted = ['assert f(1) == {SECRET + 1}']\n"
    gold = json.dumps({"prefix": "", "tests": f"assert f(1) == {SECRET + 1}\n", "entry": "f"})
    pool.LIMITS = Limits()
    pool.close_helpers()
    try:
        assert reason(planted, gold) == "right"
        assert reason(SEARCH, gold) == "wrong"
    finally:
        pool.LIMITS = QUICK
        pool.close_helpers()


@CONFINED
def test_no_secret_of_the_environment_reaches_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYA_TEST_TOKEN", "very-secret-9471")
    pool.close_helpers()
    assert (
        reason(body("import os\nif set(os.environ) - {'TMPDIR', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'}: return 0"))
        == "right"
    )
    # the block that the process was started with, below what Python shows
    stack = """
import ctypes
library = ctypes.CDLL(None)
start = ctypes.c_void_p.in_dll(library, "__libc_stack_end").value
words = (ctypes.c_size_t * 200).from_address(start)
first = words[1]  # argv[0]; the environment's texts follow the arguments', and then, named by AT_EXECFN, the program's
last = next(words[i + 1] for i in range(199) if words[i] == 31 and words[i + 1] > first)
kept = ctypes.string_at(first, last - first)
if b"very-secret" in kept: return 0
if b"PYTHONHASHSEED" not in kept: return 1
"""
    assert reason(body(stack)) == "right"
    pool.close_helpers()


def test_verdicts_do_not_depend_on_chance_or_company() -> None:
    gold = json.dumps({"prefix": "", "tests": "import random\nassert f(random.random()) < 0.1\n", "entry": "f"})
    drawing = "import random\ndef f(x): return random.random() * x"
    setting = "import builtins, sys\nbuiltins.len = None\nsys.modules.clear()\ndef f(x): return 2"
    alone = reason(drawing, gold)
    found = grade_many([(text, gold, "code") for text in (setting, drawing, setting, drawing + "\n")], workers=1)
    assert [verdict.reason for verdict in found] == ["wrong", alone, "wrong", alone]


def test_many_alike_are_run_once() -> None:
    items = [(body(f"y = {n % 5}"), BARE, "code") for n in range(20_000)]
    assert reason(items[0][0]) == "right"
    start = time.monotonic()
    assert all(verdict.correct for verdict in grade_many(items, workers=2))
    assert time.monotonic() - start < 5


def test_kinds_are_graded_together() -> None:
    story = json.dumps({"answer": "A", "choices": ["tom", "ann"]})
    items = [(body("pass"), BARE, "code"), ("\\boxed{tom}", story, "choice"), ("\\boxed{2x}", "x+x", "maths")] * 2
    assert [verdict.reason for verdict in grade_many(items, workers=2)] == ["right"] * 6
    assert sorted(helper.kind for helper in pool._HELPERS.all) == ["code", "maths"]


def test_what_a_program_raises_reaches_the_tests() -> None:
    tests = """
for value, error in ((0, ZeroDivisionError), ("a", TypeError), ([], RuntimeError)):
    try:
        f(value)
    except error: pass
    else: raise AssertionError
assert f(2) == 0.5
"""
    gold = json.dumps({"prefix": "", "tests": tests, "entry": "f"})
    own = "class Own(Exception): pass\ndef f(x):\n    if x == []: raise Own\n    return 1 / x"
    assert reason(own, gold) == "right"
    swallowing = "try:\n    f(1)\nexcept BaseException: pass"
    gold = json.dumps({"prefix": "", "tests": swallowing, "entry": "f"})
    assert reason("import os\ndef f(x): os._exit(0)", gold) == "wrong"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[frozenset[str]], Judge]]:
    """Makes judges in this process whose scratch folders are below ``tmp_path``."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = []

    def make(have: frozenset[str]) -> Judge:
        made.append(Judge(QUICK, have))
        return made[-1]

    yield make
    for judge in made:
        judge.close()


def test_the_scratch_folder_is_emptied_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    judge = Judge(QUICK, HAVE)
    leaving = body("import os\nif os.listdir(): return 0\nopen('left', 'w').write('x')")
    gold = json.dumps({"prefix": "", "tests": f"assert f(1) == {SECRET + 1}", "entry": "f"})
    assert [judge.verdict(leaving, gold).reason for _ in range(2)] == ["right", "right"]
    (folder,) = tmp_path.glob("polya-program-*")
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o077 == 0
    judge.close()
    assert list(tmp_path.iterdir()) == []


def test_the_launcher_goes_with_its_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the helper ends: killed in the middle of a program, too."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    helper = pool._Helper("code")
    helper.start(pool._Job("code", BARE, [body("import time; open('left', 'w'); time.sleep(100)")]))
    while not any(tmp_path.glob("polya-program-*/left")):
        time.sleep(0.02)
    helper.process.kill()
    deadline = time.monotonic() + 10
    while any(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(tmp_path.iterdir()) == []
    helper.close()


FALLBACKS = [frozenset(names) for names in ([sandbox.SECCOMP], [sandbox.LANDLOCK], []) if set(names) <= HAVE]


@pytest.mark.parametrize("have", FALLBACKS, ids=["+".join(names) or "neither" for names in FALLBACKS])
def test_a_weaker_sandbox_still_refuses_what_python_can_ask(
    here: Callable[..., Judge], tmp_path: Path, have: frozenset[str]
) -> None:
    judge = here(have)
    outside = tmp_path / "outside"
    assert judge.verdict(body("import math, heapq, random"), BARE).reason == "right"
    for attempt in (
        f"open({str(outside)!r}, 'w')",
        f"import os; os.open({str(outside)!r}, os.O_CREAT | os.O_WRONLY)",
        "import socket; socket.socket()",
        "import os; os.fork()",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.kill(os.getppid(), 9)",
        f"import os; os.mkdir({str(outside)!r})",
        "import ctypes; ctypes.CDLL(None).fork()"
        if sandbox.SECCOMP not in have
        else "import os; os.execv('/x', ['x'])",
    ):
        assert judge.verdict(body(attempt), BARE).reason == "wrong", attempt
    assert not outside.exists()
    assert judge.verdict(body("pass"), BARE).reason == "right"


def test_each_gap_is_named() -> None:
    assert sandbox.gaps(frozenset({sandbox.SECCOMP, sandbox.LANDLOCK})) == []
    for missing in (sandbox.SECCOMP, sandbox.LANDLOCK):
        (gap,) = sandbox.gaps(frozenset({sandbox.SECCOMP, sandbox.LANDLOCK}) - {missing})
        assert gap.startswith(f"{missing} is missing here")
    assert len(sandbox.gaps(frozenset())) == 2


def test_a_gap_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    patch = "from polya_midtrain.grading import landlock\nlandlock.version = lambda: 0\n"
    (tmp_path / "sitecustomize.py").write_text(patch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    for _ in range(2):
        pool.close_helpers()
        assert reason(body("pass")) == "right"
    pool.close_helpers()
    lines = [line for line in capsys.readouterr().err.splitlines() if "Landlock" in line]
    assert len(lines) == 1
    assert lines[0].startswith("polya: warning: sandbox: Landlock is missing here")


def test_a_sandbox_that_gives_wrong_verdicts_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Better no grading than all programs wrong."""
    patch = (
        "from polya_midtrain.grading import landlock\ndef refuse(rules): raise OSError\nlandlock.restrict = refuse\n"
    )
    (tmp_path / "sitecustomize.py").write_text(patch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    pool.close_helpers()
    if sandbox.LANDLOCK in HAVE:
        with pytest.raises(UserError, match=r"did not start; run `python -m polya_midtrain.grading.worker code 5`"):
            reason(body("pass"))
    pool.close_helpers()


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
