"""What `make repro` says: a line a stage with what is left of all, no line of DVC's own, and at the end verdicts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.runtime import repro
from polya_midtrain.tools import status, told

PIPELINE = """
stages:
  code: {cmd: "echo a program says this > made; cat made", outs: [made]}
  rl: {foreach: "${arms}", do: {cmd: "cp made rl-${key}", deps: [made], outs: ["rl-${key}"]}}
  tables: {foreach: {main: 1}, do: {cmd: "cat rl-a > t-${key}", deps: [rl-a], outs: ["t-${key}"]}}
"""
EXPECTED = {"code": 10.0, "rl@a": 20.0, "rl@b": 30.0, "tables@main": 40.0}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    Path("polya").write_text("#!/bin/sh\n")
    Path("polya").chmod(0o755)
    Repo.init(no_scm=True).close()
    Path("dvc.yaml").write_text(PIPELINE)
    Path("params.yaml").write_text("arms: {a: {}, b: {}}\n")
    return tmp_path


class Run:
    """`polya repro` here, its clock 25 seconds further each time that somebody looks at it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now = 0.0
        heard = told.Told(self.lines.append, EXPECTED, self.clock)
        self.status = repro.repro([], self.lines.append, heard.hear)
        heard.end(self.status)

    def clock(self) -> float:
        self.now += 25.0
        return self.now - 25.0


def test_each_stage_is_a_line_with_what_is_left_at_the_pace_so_far(project: Path) -> None:
    first = Run()
    assert first.lines == [
        "[1/4, at most 1:40 left] code",
        "a program says this",
        "[2/4, at most 3:45 left] rl@a",  # 25 s for the 10 s of code, and 90 s to come
        "[3/4, at most 1:57 left] rl@b",  # 50 s for 30 s, and 70 s to come
        "[4/4, at most 0:50 left] tables@main",
        "\n4 stages: 4 run, 0 as they were, in 1:40.",
    ]


def test_what_stands_is_counted_and_said_by_no_line(project: Path) -> None:
    Run()
    (project / "dvc.lock").unlink()  # the run cache has them, but for a stage without inputs
    (project / "params.yaml").write_text("arms: {a: {}, b: {}, c: {}}\n")
    again = Run().lines
    assert {line.partition("] ")[2] for line in again if line.endswith("taken from an earlier run")} == {
        f"{label}: taken from an earlier run" for label in ("rl@a", "rl@b", "tables@main")
    }
    assert again[-1].startswith("\n5 stages: 2 run, 3 as they were, in ")
    (last,) = Run().lines
    assert last.startswith("\n5 stages: 0 run, 5 as they were, in ")


def test_status_says_what_would_run_and_what_comes_of_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "expected", lambda: EXPECTED)
    assert status.status() == ["4 of 4 stages would run in at most 1:40:", "  code, rl x 2, tables@main"]
    Run()
    assert status.status() == ["All 4 stages are as dvc.lock says: `make repro` has nothing to do."]
    (project / "rl-a").write_text("edited")
    assert status.status() == ["2 of 4 stages would run in at most 1:00:", "  rl@a, tables@main"]
    (project / "params.yaml").write_text("arms: {a: {}, b: {}, c: {}}\n")
    assert status.status() == ["3 of 5 stages would run:", "  rl x 2, tables@main"]  # nobody knows how long rl@c takes


def test_where_it_stopped_is_the_last_line(project: Path) -> None:
    (project / "dvc.yaml").write_text(PIPELINE.replace("cp made", "exit 3; cp made"))
    stopped = Run()
    assert stopped.status != 0
    assert stopped.lines[-1].startswith("Stopped at stage rl@a after ")


def test_the_committed_ledger_is_a_line_a_claim(committed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(committed)
    lines = told.verdicts()
    assert [line.split()[0] for line in lines] == [f"C{number}" for number in range(1, 9)]
    assert max(map(len, lines)) <= told.WIDTH
    assert all(
        verdict in paths.CLAIMS_REPORT.with_suffix(".md").read_text()
        for verdict in {line[3:17].strip() for line in lines}
    )


def test_seconds_are_known_of_every_stage_of_the_committed_profile(
    committed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(committed)
    assert told.expected().keys() == set(told.labels())


def test_a_folder_without_settings_has_no_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert told.expected() == {}
    assert told.labels() == []
    with pytest.raises(UserError, match="missing"):
        told.verdicts()
