"""Grading many: the same verdicts in any order and number of workers, and bounded time on any input."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polya_midtrain.errors import UserError
from polya_midtrain.grading import REASONS, Verdict, grade_many, pool, verify, worker
from polya_midtrain.grading.maths import boxed

HALF = "\\frac{1}{2}"
SLOW_RIGHT = boxed("\\frac{2}{4} \\cdot 1")
ENDLESS = [boxed(r"\sum_{k=1}^{999} k^{k}"), boxed(r"\sum_{k=1}^{\infty} \frac{\sin(k^2)}{k^{3} + \cos k}")]


@pytest.fixture
def one_second(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A limit of one CPU second per judgement, so that a hang costs no more."""
    pool.close_helpers()
    monkeypatch.setattr(pool, "CPU_SECONDS", 1.0)
    yield
    pool.close_helpers()


def mixed_items() -> list[tuple[str, str, str]]:
    answers = ["1", "2x", "\\frac{1}{2}", "x=3", "\\{1,2\\}", "\\sqrt{8}", "nothing", "(1, 2)", "x^2 - 1"]
    golds = ["1", "2x", "0.5", "3", "1,2", "2\\sqrt{2}", "(1,2)", "(x-1)(x+1)"]
    items = [(f"So {boxed(answer)}.", gold, "maths") for answer in answers for gold in golds]
    return [*items, ("no box but 1", "1", "maths"), ("none", "1", "maths"), *items[:20]]


def test_verdicts_depend_on_the_item_only() -> None:
    items = mixed_items()
    expected = grade_many(items, workers=1)
    assert {verdict.reason for verdict in expected} == {"right", "wrong", "no answer"}
    order = list(range(len(items)))
    random.Random(3).shuffle(order)
    pool.close_helpers()
    shuffled = grade_many([items[i] for i in order], workers=2)
    assert shuffled == [expected[i] for i in order]
    assert [verify(*item) for item in items[::7]] == expected[::7]


def test_two_helpers_share_a_large_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "PER_HELPER", 5)
    items = [(boxed(f"{n}x"), f"{n % 3}x", "maths") for n in range(30)]
    pool.close_helpers()
    verdicts = grade_many(items, workers=2)
    assert [verdict.correct for verdict in verdicts] == [n < 3 for n in range(30)]
    assert len(pool._HELPERS.all) == 2


def test_an_unknown_kind_is_the_users_error() -> None:
    with pytest.raises(UserError, match="unknown kind of question 'poetry'; the kinds are maths"):
        grade_many([("a", "b", "poetry")], workers=1)


def test_nothing_to_grade() -> None:
    assert grade_many([], workers=2) == []


def test_a_reward_batch_needs_no_helper() -> None:
    pool.close_helpers()
    items = [(f"a rule; {n} + {n} ; \\boxed{{{n:04d}}}", f"{n % 16:04d}", "maths") for n in range(256)]
    grade_many(items, workers=1)
    assert pool._HELPERS.all == []


@pytest.mark.usefixtures("one_second")
def test_endless_judgements_time_out_and_the_others_are_graded() -> None:
    items = []
    for text in ENDLESS:
        items += [(text, HALF, "maths"), (SLOW_RIGHT, HALF, "maths"), (boxed("x"), HALF, "maths")]
    verdicts = grade_many(items, workers=2)
    assert verdicts[0::3] == [Verdict(False, "", "timeout")] * len(ENDLESS)
    assert {verdict.reason for verdict in verdicts[1::3]} == {"right"}
    assert {verdict.reason for verdict in verdicts[2::3]} == {"wrong"}


PIECES = (
    r"\boxed{ { } \frac ^ _ ( ) 10 9 ! x \sqrt $ \[ \] = , \sum_{k=1}^{n} \int \left( \right) & \\ % \text{ \infty - /"
)
latex = st.lists(
    st.sampled_from([*PIECES.split(), " ", "\n", "\x00", "\ud800", "٣", "answer: ", "final answer is "]), max_size=30
).map("".join)


@pytest.mark.usefixtures("one_second")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(latex | st.text(max_size=80))
def test_any_text_gets_a_verdict(text: str) -> None:
    verdict = verify(text, HALF, "maths")
    assert verdict.reason in REASONS
    assert verdict.correct == (verdict.reason == "right")


def test_a_helper_that_died_while_idle_is_replaced() -> None:
    assert verify(SLOW_RIGHT, HALF, "maths").correct
    process = pool._HELPERS.all[0].process
    process.kill()
    process.wait()
    assert verify(SLOW_RIGHT, HALF, "maths").correct


def test_a_stopped_helper_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verify(SLOW_RIGHT, HALF, "maths").correct
    monkeypatch.setattr(pool, "WALL_SECONDS", 0.5)
    pool._HELPERS.all[0].process.send_signal(signal.SIGSTOP)
    assert verify(boxed("x"), HALF, "maths").reason == "timeout"


def test_a_helper_that_cannot_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    pool.close_helpers()
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(UserError, match="helper process did not start; run `python -m"):
        verify(SLOW_RIGHT, HALF, "maths")
    assert pool._HELPERS.all == []


def _in_child(_: int) -> tuple[bool, bool]:
    return verify(SLOW_RIGHT, HALF, "maths").correct, verify(boxed("x"), HALF, "maths").correct


def test_forked_workers_grade_with_helpers_of_their_own() -> None:
    assert verify(SLOW_RIGHT, HALF, "maths").correct  # the parent has a helper, which the child must leave alone
    helper = pool._HELPERS.all[0].process.pid
    with multiprocessing.get_context("fork").Pool(1) as children:  # its workers are daemonic
        assert children.map(_in_child, [0]) == [(True, False)]
    assert verify(SLOW_RIGHT, HALF, "maths").correct
    assert pool._HELPERS.all[0].process.pid == helper


def test_a_helper_ends_with_the_process_that_started_it() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        verify(SLOW_RIGHT, HALF, "maths")
        os.write(writing, str(pool._HELPERS.all[0].process.pid).encode())
        os._exit(0)  # as training workers end: no clean-up code runs
    os.waitpid(child, 0)
    helper = int(os.read(reading, 20))
    os.close(reading)
    os.close(writing)
    while _running(helper):
        time.sleep(0.05)


def _running(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_threads_may_grade() -> None:
    found: list[Verdict] = []
    threads = [threading.Thread(target=lambda: found.append(verify(SLOW_RIGHT, HALF, "maths"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [verdict.correct for verdict in found] == [True] * 4


def test_the_worker_answers_line_by_line() -> None:
    jobs = [["maths", HALF, [SLOW_RIGHT, boxed("x")]], ["maths", "1", ["it is 1"]]]
    replies = io.StringIO()
    worker.serve(io.StringIO("".join(json.dumps(job) + "\n" for job in jobs)), replies, seconds=60)
    ready, *verdicts = [json.loads(line) for line in replies.getvalue().splitlines()]
    assert ready == []
    assert [verdict[0] for verdict in verdicts] == [True, False, True]
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)  # no limit is left running


def test_a_helper_gets_no_keys_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "ANYTHING"):
        monkeypatch.setenv(name, "open-sesame")
    pool.close_helpers()
    assert verify(SLOW_RIGHT, HALF, "maths").correct
    (helper,) = (one.process for one in pool._HELPERS.all if one.kind == "maths")
    assert b"open-sesame" not in Path(f"/proc/{helper.pid}/environ").read_bytes()
