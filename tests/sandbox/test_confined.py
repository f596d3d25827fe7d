"""Programs under the sandbox: what is harmless runs, what reaches out is refused, company changes no verdict."""

from __future__ import annotations

import json
import platform
import socket
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from programs import BARE, HAVE, QUICK, SECRET, body, reason

from polya_midtrain.grading import grade_many, pool, sandbox

ROOT = Path(__file__).resolve().parents[2]
CONFINED = pytest.mark.skipif(
    {sandbox.SECCOMP, sandbox.LANDLOCK} != HAVE, reason=f"this kernel has only {sorted(HAVE)} of seccomp and Landlock"
)

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


# What must end as not correct, and without harm to anyone.
HOSTILE = {
    "endless in C": ("sum(iter(int, 1))", "timeout"),
    "endless and deaf": (
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "timeout",
    ),
    "a fork bomb": ("import os\nwhile True: os.fork()", "wrong"),
    "all memory": ("kept = []\nwhile True: kept.append(bytearray(10**6))", "wrong or timeout"),
    "no end of recursion": ("import sys\nsys.setrecursionlimit(10**9)\ndef g(): return g()\ng()", "wrong or timeout"),
    "a crash": ("import ctypes; ctypes.string_at(0)", "wrong"),
    "sys.exit": ("import sys; sys.exit(0)", "wrong"),
    "os._exit": ("import os; os._exit(0)", "wrong"),
    "a big file": ("with open('a', 'wb') as out: out.write(bytes(10**8))", "wrong"),
    "a big answer": ("return 'a' * 10**7", "wrong"),
    "a deep answer": ("kept = []\nfor _ in range(10**5): kept = [kept]\nreturn kept", "wrong"),
    "an endless answer": ("import itertools; return itertools.count()", "wrong"),
    "an endless list": ("import itertools; return list(itertools.count())", "wrong or timeout"),
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
    assert reason(body(text)) in expected.split(" or ")
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
def test_a_program_finds_nothing_of_its_tests_in_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through frames, modules, and all objects that Python knows of: the search finds what is there to be found."""
    planted = f"{SEARCH}\nplanted = ['assert f(1) == {SECRET + 1}']\n"
    gold = json.dumps({"prefix": "", "tests": f"assert f(1) == {SECRET + 1}\n", "entry": "f"})
    monkeypatch.setattr(pool, "LIMITS", replace(QUICK, cpu_seconds=60))
    assert reason(planted, gold) == "right"
    assert reason(SEARCH, gold) == "wrong"


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


def test_many_alike_are_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [(body(f"y = {n % 5}"), BARE, "code") for n in range(20_000)]
    assert reason(items[0][0]) == "right"
    jobs: list[pool._Job] = []
    run = pool._HELPERS.run
    monkeypatch.setattr(pool._HELPERS, "run", lambda found, *rest: (jobs.extend(found), run(found, *rest)))
    assert all(verdict.correct for verdict in grade_many(items, workers=2))
    assert sum(len(job.texts) for job in jobs) == 5


def test_kinds_are_graded_together() -> None:
    pool.close_helpers()  # those of the tests before
    story = json.dumps({"answer": "A", "choices": ["tom", "ann"]})
    items = [(body("pass"), BARE, "code"), ("\\boxed{tom}", story, "choice"), ("\\boxed{2x}", "x+x", "maths")] * 2
    assert [verdict.reason for verdict in grade_many(items, workers=2)] == ["right"] * 6
    assert sorted(helper.kind for helper in pool._HELPERS.all) == ["code", "maths"]


def test_what_a_program_raises_reaches_the_tests() -> None:
    tests = """
for value, error in ((0, ZeroDivisionError), ("a", TypeError), ([], LookupError)):
    try:
        f(value)
    except error: pass
    else: raise AssertionError
assert f(2) == 0.5
"""
    gold = json.dumps({"prefix": "", "tests": tests, "entry": "f"})
    own = "class Own(LookupError): pass\ndef f(x):\n    if x == []: raise Own\n    return 1 / x"
    assert reason(own, gold) == "right"
    swallowing = "try:\n    f(1)\nexcept BaseException: pass"
    gold = json.dumps({"prefix": "", "tests": swallowing, "entry": "f"})
    assert reason("import os\ndef f(x): os._exit(0)", gold) == "wrong"
