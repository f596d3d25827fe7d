"""Every command of README.md and REPRODUCE.md is run, or, where it needs a GPU, an engine, or another host, read.

The commands are taken from the documents: a line indented by four blanks, and a command with an argument in backquotes
that names no placeholder. Each has to be in one of the lists below, and what stands there has to be in a document.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
import tomllib
import urllib.request
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from polya_midtrain.stages.tables import TABLES

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    "README.md",
    "REPRODUCE.md",
    *(f"docs/{page}.md" for page in ("data", "machines", "own", "troubleshooting")),
)
PROGRAMS = ("make", "polya", "dvc", "docker", "buildah", "python", "pip", "git", "vllm", "mkdir")
PATIENCE = 600  # seconds; the pages take ten on an idle machine
ARMS = {"vanilla": {"traces": "none"}, "n4": {"traces": "heuristics", "n": 2}}
Run = Callable[..., str]

# In a clone of the committed run, which has no data and no models.
IN_A_CLONE = [
    "make",
    "make plan",
    "make compare",
    "make mlflow-sync",
    "make readme",
    "polya readme",
    "polya check",
    "polya sync",
    "dvc status",
    "polya status",
    "dvc metrics show",
    "dvc plots show",
    *(f"polya stage tables --table {name}" for name in TABLES),
    "polya stage figures",
    "polya stage claims",
    "polya stage page",
    "dvc remote add -d store FOLDER",
    "dvc remote add -d bucket s3://BUCKET/PATH",
    "dvc remote modify bucket endpointurl http://HOST:9000",
    "mkdir -p out",
    "polya profile smoke",
    "polya profile paper",
    "git checkout params.yaml dvc.lock reports results",
    "make clean",
]
# Where a small study runs: what runs it, changes it, and shares it.
IN_A_STUDY = [
    "make repro",
    "dvc repro",
    "dvc repro evaluate@n4",
    *(f"dvc repro tables@{name}" for name in TABLES if name != "midtrain"),
    "dvc repro claims",
    "dvc repro -f -s claims page",
    "dvc repro prompts",
    "polya plan --measure",
    "polya stage rl --arm n4",
    "polya check --hub",
    "dvc repro --force --single-item questions",
    "polya share",
    "dvc exp run --temp",
    "dvc exp run -S tables.confidence=0.9",
    "dvc params diff",
    "dvc metrics diff",
    "dvc plots diff",
    "dvc exp show --only-changed",
    "dvc exp remove --all-commits",
    "dvc push",
    "dvc pull",
    "dvc pull models/rl/n4",
    "dvc repro --allow-missing tables figures claims page",
]
# Of studies that this machine may have no room for.
PLANS = [
    "polya plan",
    "polya plan smollm2",
    "polya plan smollm2-gpu",
    "polya plan smollm2 --from reports/smollm2",
]
# By the test, or the check of every change, that runs what the command runs.
ELSEWHERE = {
    "make test": ".ci/run:make test",
    "make repro PROFILE=smoke": ".ci/run:repro PROFILE=smoke",
    "make repro PROFILE=name": ".ci/run:repro PROFILE=smoke",
    "dvc remote add -d shared URL": "tests/studies/test_share.py:def test_arms_of_several_hosts",
    "make arm ARM=vanilla": "tests/studies/test_share.py:def test_arms_of_several_hosts",
    "make arm ARM=n16": "tests/studies/test_share.py:def test_arms_of_several_hosts",
    "make arm": "tests/studies/test_share.py:def test_arms_of_several_hosts",
    "polya join 1": "tests/stages/test_launch.py:def test_two_hosts_train_what_one_trains",
    "polya rebuild study": "tests/test_rebuild.py:def test_a_kept_run_is_rebuilt_and_a_changed_count_is_found",
    "polya judge": "tests/test_labellers_labelled.py:def test_",
    "polya judge --each": "tests/test_labellers_labelled.py:def test_",
    "polya plan paper --gpu-memory 80": "tests/test_plan.py:def test_the_paper_s_study_fits_one_gpu_of_80_gb_and_four",
    "make ui": "tests/studies/test_commands.py:def test_the_pages_are_served",
}
# A GPU, a container engine, the hub, or too long: make says what it would do, and the names in it exist.
DRY = [
    "make setup",
    "make test-faults",
    "make bench",
    "make bench-gpu",
    "make test-gpu",
    "make test-vllm",
    "make docker-check",
    "make setup CONSTRAINTS=constraints/cuda.txt EXTRAS=dev,cuda",
    "make repro PROFILE=study",
    "make repro PROFILE=map",
    "make repro PROFILE=smollm2",
    "make repro PROFILE=paper",
    "make dry-run PROFILE=paper",
    "POLYA_DATA=FOLDER make dry-run PROFILE=paper",
    "make PYTHON=python3.12",
    "PORT=5001 make ui",
]


def commands() -> dict[str, str]:
    """Every command of the documents, and the place where it stands first."""
    found: dict[str, str] = {}
    for name in DOCUMENTS:
        fenced = False
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
            fenced ^= line.startswith("```")
            if fenced:
                continue
            if line.startswith("    "):
                command = re.split(r"\s{2,}#", line)[0].strip().removeprefix(".venv/bin/")
                found.setdefault(command, f"{name}:{number}")
            for span in (span.removeprefix(".venv/bin/") for span in re.findall(r"`([^`]+)`", line)):
                if " " in span and _program(span) and not re.search(r"(^|[ =/@\[])[A-Z]{3,}|\.\.\.", _rest(span)):
                    found.setdefault(span, f"{name}:{number}")
    return found


def _rest(command: str) -> str:
    """A command without the names of its variables, which are written as placeholders are."""
    return re.sub(r"\b[A-Z_]+=", "", command)


def _program(command: str) -> bool:
    words = [word for word in command.split() if not re.match(r"[A-Z_]+=", word)]
    return bool(words) and words[0] in PROGRAMS


def read_only() -> list[str]:
    """The commands that are read and not run: of containers, of vLLM's server, and of other installations."""
    return [
        command for command in commands() if command.startswith(("docker ", "buildah ", "vllm ", "pip ", "python "))
    ]


def test_every_command_is_run_or_read_and_no_other_is_listed() -> None:
    known = [*IN_A_CLONE, *IN_A_STUDY, *PLANS, *ELSEWHERE, *DRY, *read_only()]
    assert len(set(known)) == len(known)
    listed, there = set(known), commands()
    assert {command: place for command, place in there.items() if command not in listed} == {}
    assert [command for command in known if command not in there] == []


@pytest.mark.parametrize(("command", "place"), ELSEWHERE.items(), ids=ELSEWHERE)
def test_what_runs_a_command_elsewhere_is_there(command: str, place: str) -> None:
    path, _, what = place.partition(":")
    assert what in (ROOT / path).read_text(encoding="utf-8"), command


@pytest.mark.slow
def test_the_commands_of_a_reader(repository: Callable[..., Path], run: Run, committed: Path) -> None:
    clone = repository("clone", True)
    (clone / "tests").mkdir()  # which the fixture leaves out, and `make clean` looks into
    said = {command: run("bash", "-c", command, folder=clone) for command in IN_A_CLONE}
    assert "make repro" in said["make"]
    assert "no difference" in said["make compare"]
    assert "runs added" in said["make mlflow-sync"]
    assert re.match(r"\d+ of \d+ stages would run in at most [\d:]+:\n  questions, base, ", said["polya status"])
    assert "up to date" in said["polya readme"]
    assert "evaluate@n4" in said["dvc metrics show"]
    # What was made again is what was committed; `git checkout` has nothing to bring back but the settings.
    assert run("git", "status", "--short", "--", "reports", "results", "README.md", "dvc.lock", folder=clone) == ""
    assert (clone / "params.yaml").read_bytes() == (committed / "params.yaml").read_bytes()
    assert "endpointurl = http://HOST:9000" in (clone / ".dvc/config").read_text()


@pytest.mark.slow
def test_the_commands_of_one_who_runs_a_study(small_study: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    study, clone = small_study(ARMS), tmp_path / "clone"
    run("git", "config", "user.name", "test", folder=study)
    run("git", "config", "user.email", "test@localhost", folder=study)
    said = {}

    def do(*some: str, folder: Path = study) -> None:
        for command in some:
            assert command in IN_A_STUDY
            said[command] = run("bash", "-c", command, folder=folder)

    do("make repro", "dvc repro")
    assert "Running stage" not in said["dvc repro"]
    run("dvc", "remote", "add", "-d", "store", str(tmp_path / "remote"), folder=study)
    run("git", "add", "-A", folder=study)
    run("git", "commit", "-q", "-m", "a run", folder=study)
    do("dvc push")
    assert "files pushed" in said["dvc push"]
    do(
        "dvc repro evaluate@n4",
        *(command for command in IN_A_STUDY if "repro tables@" in command),
        "dvc repro claims",
        "dvc repro prompts",
    )
    assert not any("Running stage" in text for command, text in said.items() if command.startswith("dvc"))
    do("dvc repro -f -s claims page")
    assert re.findall(r"Running stage '(\S+)'", said["dvc repro -f -s claims page"]) == ["claims", "page"]
    do("polya check --hub", "polya share", "polya plan --measure")
    assert "measured now: seconds a token of generate" in said["polya plan --measure"]
    counts = (study / "results/counts/n4.json").read_bytes()
    do("polya stage rl --arm n4")
    run("git", "clone", "-q", str(study), str(clone), folder=tmp_path)
    assert not (clone / "models").exists()
    do("dvc pull models/rl/n4", folder=clone)
    assert list((clone / "models/rl/n4").rglob("model.safetensors"))
    assert not (clone / "models/rl/vanilla").exists()
    do("dvc pull", "dvc repro --force --single-item questions", folder=clone)
    assert "Running stage" not in run("dvc", "repro", folder=clone)
    assert (clone / "results/counts/n4.json").read_bytes() == counts

    # A reader who has the counts alone, and another threshold for a table.
    for name in ("data", "models"):
        shutil.rmtree(clone / name)
    shutil.rmtree(clone / ".dvc/cache")
    module = clone / "src/polya_midtrain/tables/main/table.py"
    module.write_text(module.read_text() + "# another word\n")
    do("dvc repro --allow-missing tables figures claims page", folder=clone)
    ran = said["dvc repro --allow-missing tables figures claims page"]
    assert re.findall(r"Running stage '(\S+)'", ran) == ["code", "tables@main"]
    assert not (clone / "models").exists()

    do("dvc exp run --temp")
    do("dvc exp run -S tables.confidence=0.9", "dvc params diff", "dvc metrics diff", "dvc plots diff")
    ran = said["dvc exp run -S tables.confidence=0.9"]
    again = re.findall(r"Running stage '(\w+)", ran)
    assert {"tables", "figures", "claims", "page"} == set(again)
    assert re.search(r"tables\.confidence\s.*0\.95\s.*0\.9\b", said["dvc params diff"])
    assert "results/metrics/page.json" in said["dvc metrics diff"]
    assert (study / "dvc_plots/index.html").stat().st_size > 1000
    do("dvc exp show --only-changed", "dvc exp remove --all-commits")
    assert "tables.confidence" in said["dvc exp show --only-changed"]
    assert set(said) == set(IN_A_STUDY)


@pytest.mark.parametrize("command", PLANS)
def test_a_plan_is_shown_whether_or_not_this_machine_has_room_for_it(
    command: str, repository: Callable[..., Path], run: Run
) -> None:
    clone = repository("clone", True)
    said = run("bash", "-c", command, folder=clone, codes=(0, 2))
    assert re.search(r"^all .* [?>:\d]", said, re.MULTILINE)
    assert ("those of the run in reports/smollm2" in said) or "--from" not in command


@pytest.mark.slow
def test_the_pages_are_served(
    repository: Callable[..., Path], environment: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    clone = repository("clone", True)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = environment(clone) | {"PORT": str(port)}
    with (tmp_path / "said").open("w") as target:
        pages = subprocess.Popen(
            ["make", "ui"], cwd=clone, env=variables, stdout=target, stderr=target, start_new_session=True
        )
    try:
        begun = time.monotonic()
        while not _listens(port) and pages.poll() is None and time.monotonic() - begun < PATIENCE:
            time.sleep(0.5)
        assert _listens(port), (tmp_path / "said").read_text()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/version", timeout=PATIENCE) as reply:
            assert re.fullmatch(r"3\.\d+\.\d+", reply.read().decode())
    finally:
        os.killpg(pages.pid, signal.SIGKILL)
        pages.wait()


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("command", DRY)
def test_what_is_too_long_here_is_known_to_make(command: str) -> None:
    words = [word for word in shlex.split(command) if word != "POLYA_DATA=FOLDER"]
    variables = dict(word.split("=", 1) for word in words if "=" in word)
    target = [word for word in words if "=" not in word][1:]
    done = subprocess.run(
        ["make", "-n", "-o", "setup", *target, *(f"{name}={value}" for name, value in variables.items())],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"\$\$?[({{]?{name}\b", makefile) for name in variables)
    if "PROFILE" in variables:
        assert (ROOT / f"profiles/{variables['PROFILE']}.yaml").is_file()
    if "EXTRAS" in variables:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert set(variables["EXTRAS"].split(",")) <= set(extras)
        assert (ROOT / variables["CONSTRAINTS"]).is_file()


@pytest.mark.parametrize("command", read_only())
def test_what_is_read_names_what_exists(command: str, run: Run) -> None:
    words = shlex.split(command)
    if words[:2] == ["docker", "compose"]:
        services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
        assert next(word for word in words[3:] if not word.startswith("-")) in services
    elif words[:2] == ["docker", "run"]:
        run_options = argparse.ArgumentParser()
        for flag in ("--rm", "--init"):
            run_options.add_argument(flag, action="store_true")
        for option in ("-v", "-p", "-e", "--user", "--gpus", "--ipc", "--shm-size"):
            run_options.add_argument(option, action="append")
        parsed, rest = run_options.parse_known_args(words[2:])
        assert re.fullmatch(r"polya-midtrain(:cuda)?", rest[0])
        assert all(mount.split(":")[1] in ("/study", "/study/out", "/cache") for mount in parsed.v or [])
        inside = " ".join(rest[1:])
        assert inside in ["", *commands()], "what runs in the container is documented by itself, too"
    elif words[0] in ("docker", "buildah"):
        given = dict(word.split("=", 1) for before, word in pairwise(words) if before == "--build-arg")
        declared = set(re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
        assert set(given) <= declared
        assert all((ROOT / f"constraints/{lock}.lock").is_file() for lock in given.get("LOCKS", "cpu").split())
    elif words[0] == "vllm":
        assert "vllm==" in (ROOT / "constraints/cuda.txt").read_text()
    elif words[0] == "python":
        compile((ROOT / words[1]).read_text(encoding="utf-8"), words[1], "exec")
    else:
        assert words[:2] == ["pip", "install"]
        extras = re.search(r"\.\[(\w+)\]", command)
        assert extras is None or extras[1] in (ROOT / "pyproject.toml").read_text()
