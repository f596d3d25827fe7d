"""Tasks in forked workers: order, faults, progress, and that nothing hangs or stays behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from polya_midtrain.errors import UserError
from polya_midtrain.runtime import cores
from polya_midtrain.runtime import workers as module
from polya_midtrain.runtime.workers import Report, apart, run_tasks, worker_count


class Awkward(Exception):
    """Pickles, but does not unpickle: its constructor wants more than its message."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def square(task: int, report: Report) -> int:
    time.sleep(0.02 * (task % 3))  # so that tasks end in another order than they begin
    report(1, 1)
    return task * task


def pid(task: int, report: Report) -> int:
    time.sleep(0.05)
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("tasks", [0, 1, 2, 7])
def test_results_are_in_the_order_of_the_tasks(workers: int, tasks: int) -> None:
    assert run_tasks(square, range(tasks), workers) == [task * task for task in range(tasks)]


def test_workers_are_other_processes_and_take_several_tasks() -> None:
    used = set(run_tasks(pid, range(5), 2))
    assert len(used) == 2
    assert os.getpid() not in used
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("tasks", "workers"), [(3, 1), (1, 3)])
def test_one_worker_or_one_task_runs_here(tasks: int, workers: int) -> None:
    assert set(run_tasks(pid, range(tasks), workers)) == {os.getpid()}


def test_large_results_and_arguments_come_through() -> None:
    def double(task: bytes, report: Report) -> bytes:
        return task + task

    big = [bytes([value]) * 3_000_000 for value in range(3)]
    assert run_tasks(double, big, 2) == [value * 2 for value in big]


@pytest.fixture
def ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many times a task was `let` run to its end, where nothing but being stopped ends it earlier."""
    monkeypatch.setattr(module, "_PATIENCE", 3600.0)
    monkeypatch.chdir(tmp_path)
    return lambda: len(list(tmp_path.iterdir()))


def let() -> None:
    time.sleep(600)
    Path(str(os.getpid())).touch()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_user_error_arrives_as_it_was_and_the_others_stop(workers: int, ends: Callable[[], int]) -> None:
    def run(task: int, report: Report) -> None:
        if task == 0:
            raise UserError("params.yaml:3: wrong; correct it")
        let()

    with pytest.raises(UserError) as caught:
        run_tasks(run, range(4), workers)
    assert str(caught.value) == "params.yaml:3: wrong; correct it"
    assert ends() == 0
    assert not multiprocessing.active_children()


def test_a_fault_carries_the_workers_traceback() -> None:
    def run(task: int, report: Report) -> None:
        raise ZeroDivisionError("in task")

    with pytest.raises(ZeroDivisionError, match="in task") as caught:
        run_tasks(run, range(2), 2)
    assert "test_runtime_workers.py" in "".join(caught.value.__notes__)


def test_an_exception_that_cannot_travel_is_named() -> None:
    def run(task: int, report: Report) -> None:
        raise Awkward("first ", "second")

    with pytest.raises(RuntimeError, match="Awkward: first second"):
        run_tasks(run, range(2), 2)


def test_a_result_that_cannot_travel_is_an_error() -> None:
    def run(task: int, report: Report) -> object:
        return lambda: task

    with pytest.raises(Exception, match=r"pickle|local object"):
        run_tasks(run, range(2), 2)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"task 1 was killed \(SIGKILL\); if memory ran out, lower"),
        (lambda: os._exit(3), "task 1 ended with exit code 3"),
    ],
)
def test_a_worker_that_dies_is_said_and_not_waited_for(end: object, words: str, ends: Callable[[], int]) -> None:
    def run(task: int, report: Report) -> None:
        if task == 1:
            assert callable(end)
            end()
        let()

    with pytest.raises(UserError, match=words):
        run_tasks(run, range(3), 2)
    assert ends() == 0
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_arrives_with_its_task_and_the_last_report_always(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUIET", 3600.0)

    def run(task: int, report: Report) -> None:
        for step in range(1, 101):
            report(step, 100, f"note {step}")

    seen: list[tuple[int, float, float, str]] = []
    run_tasks(run, range(3), workers, lambda *what: seen.append(what))
    for task in range(3):
        own = [done for index, done, _, _ in seen if index == task]
        assert own == sorted(own)
    assert {what for what in seen if what[1] == 100} == {(task, 100, 100, "note 100") for task in range(3)}
    assert len(seen) == 3 * 2, "the first and the last; those within a moment of another are not passed on"


def test_workers_end_when_the_parent_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import os, sys, time
        from polya_midtrain.runtime.workers import run_tasks
        def run(task, report):
            open(f"{sys.argv[1]}/{os.getpid()}", "w").close()
            time.sleep(600)  # it says nothing, and so cannot notice that nobody listens
        run_tasks(run, range(2), 2)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    parent.kill()
    parent.wait()
    children = [int(path.name) for path in tmp_path.iterdir()]
    wait_until(lambda: not any(alive(child) for child in children))


def test_worker_count() -> None:
    assert 1 <= worker_count(0) == cores.available() <= len(os.sched_getaffinity(0))
    assert worker_count(3) == 3


def test_what_is_asked_apart_is_asked_in_another_process() -> None:
    assert apart(os.getpid) != os.getpid()
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 // 0)


GROUPS = {
    "version 2": ("0::/user/job", {"user/job/cpu.max": "150000 100000", "user/cpu.max": "max 100000"}, 2),
    "an outer group": ("0::/user/job", {"user/job/cpu.max": "max 100000", "user/cpu.max": "50000 100000"}, 1),
    "a container's root": ("0::/", {"cpu.max": "100000 100000"}, 1),
    "version 1": (
        "4:memory:/a\n1:cpu,cpuacct:/job",
        {"cpu,cpuacct/job/cpu.cfs_quota_us": "300000", "cpu,cpuacct/job/cpu.cfs_period_us": "100000"},
        3,
    ),
    "version 1 in a container": (
        "2:cpu:/docker/0f\n0::/",
        {"cpu/cpu.cfs_quota_us": "20000", "cpu/cpu.cfs_period_us": "10000"},
        2,
    ),
    "none": ("1:cpu:/job\n0::/", {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"}, 64),
    "of another kind": ("3:cpuset:/", {"cpuset/cpu.cfs_quota_us": "1", "cpuset/cpu.cfs_period_us": "1"}, 64),
    "unreadable": ("0::/", {"cpu.max": "what"}, 64),
    "no groups": (None, {}, 64),
}


@pytest.mark.parametrize("name", GROUPS)
def test_a_quota_of_the_control_groups_is_kept(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    groups, files, expected = GROUPS[name]
    written = {f"sys/fs/cgroup/{path}": content for path, content in files.items()}
    for path, content in (written | ({"proc/self/cgroup": groups} if groups else {})).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{content}\n")
    assert cores.available(tmp_path) == expected


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: object, seconds: float = 600.0) -> None:
    assert callable(condition)
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)
