"""Arms on several hosts: each runs its own and shares it through a remote, and one makes the tables of all.

A host is a clone with the same settings, the remote a folder. What is run is `make arm` and `make repro` themselves.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.runtime import share
from polya_midtrain.stages.tables import TABLES

ARMS = {"vanilla": {"traces": "none"}, "n1": {"traces": "heuristics", "n": 1}}
SHARED = {"code", "questions", "prompts", "base", "teacher", "reward"}
SHARED |= {"generate", "distil", "grade", "score", "select"}
OWN = ("midtrain", "rl", "evaluate", "modes")  # of each arm
LAST = {"compose", "diversity", "figures", "claims", "page", *(f"tables@{name}" for name in TABLES)}
Run = Callable[..., str]


def of(arm: str) -> set[str]:
    return {f"{stage}@{arm}" for stage in OWN}


def stages(said: str) -> tuple[set[str], set[str]]:
    """The stages that ran, and those that came out of the run cache, as `make repro` or DVC itself says it."""
    restored = r"^\[\d+/\d+\] (\S+): taken from an earlier run$|^Stage '(\S+)' is cached - skipping run"
    ran = r"^\[\d+/\d+.*\] (\S+)$|^Running stage '(\S+)':"

    def named(pattern: str) -> set[str]:
        return {one or other for one, other in re.findall(pattern, said, re.MULTILINE)}

    return named(ran), named(restored)


@pytest.mark.slow
def test_a_folder_that_an_outer_repository_ignores_is_one_outside_of_git(run: Run, tmp_path: Path) -> None:
    """Of `make repro` what comes before and after DVC, with a pipeline of one line."""
    root = Path(__file__).resolve().parents[2]
    here = tmp_path / "ignored/archive"
    (here / "venv/bin").mkdir(parents=True)
    for name in (".installed", ".locked"):
        (here / "venv" / name).touch()
    (here / "src").symlink_to(root / "src")
    for name in ("Makefile", "params.yaml"):
        shutil.copy(root / name, here / name)
    shutil.copytree(root / ".dvc", here / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "config.local"))
    (here / "dvc.yaml").write_text("stages: {one: {cmd: echo 1 > made, outs: [made]}}")
    (tmp_path / ".gitignore").write_text("ignored/\n")
    run("git", "init", "-q", folder=tmp_path)
    assert "[1/1] one" in run("make", "repro", "VENV=venv", folder=here)
    assert "no_scm = true" in (here / ".dvc/config.local").read_text()
    (tmp_path / ".gitignore").write_text("other/\n")
    run("make", "repro", "VENV=venv", folder=here)
    assert "no_scm" not in (here / ".dvc/config.local").read_text()


@pytest.mark.slow
def test_arms_of_several_hosts_become_tables_that_nobody_computes_again(
    small_study: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    origin, remote = small_study(ARMS), tmp_path / "remote"

    def host(name: str) -> Path:
        folder = tmp_path / name
        run("git", "clone", "-q", str(origin), str(folder), folder=tmp_path)
        run("dvc", "remote", "add", "-q", "-d", "shared", str(remote), folder=folder)
        return folder

    def make(folder: Path, *words: str) -> tuple[set[str], set[str]]:
        return stages(run("make", *words, folder=folder))

    first, second, last = host("first"), host("second"), host("last")
    assert make(first, "arm", "ARM=n1") == (SHARED | of("n1"), set())
    assert make(second, "arm", "ARM=vanilla") == (of("vanilla"), SHARED)
    assert make(last, "repro") == (LAST, SHARED | of("n1") | of("vanilla"))
    for arm, folder in (("n1", first), ("vanilla", second)):
        counts = paths.COUNTS / f"{arm}.json"
        assert (last / counts).read_bytes() == (folder / counts).read_bytes()

    # One host that had no other to ask: the first one, without the remote.
    run("dvc", "remote", "remove", "shared", folder=first)
    assert make(first, "repro") == (LAST | of("vanilla"), set())
    for name in TABLES:
        table = Path(f"reports/tables/{name}.csv")
        assert (last / table).read_bytes() == (first / table).read_bytes()
        assert len((last / table).read_text().splitlines()) > (name != "map")  # whose profile has no amounts

    # Nor does one host alone compute again what it has shared with itself, small results included.
    shutil.rmtree(first / "results/counts")
    (first / "dvc.lock").unlink()
    ran, restored = stages(run("dvc", "repro", "evaluate@vanilla", folder=first))
    assert (ran, restored) == (set(), SHARED | of("vanilla") - {"modes@vanilla"})
    assert (first / paths.COUNTS / "vanilla.json").exists()


def test_outside_of_a_project_there_is_nothing_to_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^DVC: you are not inside of a DVC repository"):
        share.share()
