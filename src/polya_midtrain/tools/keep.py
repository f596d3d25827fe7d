"""`polya keep`: a finished run's reports, what they are made from, lock file, machine and time, in reports/NAME."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.runtime import cores, lock, machine, scratch, tracking
from polya_midtrain.runtime.stage import by_stage, read_seconds
from polya_midtrain.tools.compare import exact, record

REPORTS = (paths.TABLES, paths.FIGURES, paths.CLAIMS_REPORT, paths.CLAIMS_REPORT.with_suffix(".md"), paths.PAGE)
READ = (paths.METRICS.parent, settings.PARAMS_FILE, paths.CLAIMS, paths.RULES)  # all that the reports are made from
LIBRARIES = ("torch", "transformers", "trl", "numpy", "dvc")


def keep(name: str) -> Path:
    """Copy the reports of the run here, and what `READ` they are made from, to reports/NAME; returns that folder.

    RUN.md in it says what ran where and how long, and lock.yaml (its dvc.lock) has the hash of every file it made.
    Raises `UserError` for a run that is not finished or not as its lock file says.
    """
    target = place(name)
    run = record.load(Path())
    for fault in exact.stale(run):
        raise UserError(fault)
    draft = scratch.ROOT / f"keep-{name}"
    shutil.rmtree(draft, ignore_errors=True)
    for path in (*REPORTS, *READ):
        copy(path, draft / path.name, "run `dvc repro`")
    shutil.copyfile(lock.LOCK, draft / record.KEPT_LOCK)
    (draft / "RUN.md").write_text(card(run.params), encoding="utf-8", newline="\n")
    scratch.publish(draft, target)
    return target


def place(name: str) -> Path:
    """The folder of a kept run; `UserError` for a name that is none, or a run's own."""
    target = paths.TABLES.parent / name
    if target in REPORTS:
        raise UserError(f"{target} is where a run writes; take another name")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise UserError(
            f"{name!r} is no name of a folder in {paths.TABLES.parent}; take letters, digits, dots and dashes"
        )
    return target


def copy(path: Path, target: Path, remedy: str) -> None:
    """Copy a file or folder; one that is missing is a `UserError` with the ``remedy``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, target)
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; {remedy}") from error


def card(params: settings.Params) -> str:
    """What ran, where, and how long, in Markdown; the machine is the one that this is called on."""
    stages = by_stage(read_seconds(paths.METRICS))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    computed = machine.tags(params.machine.device)
    longest = sorted(stages, key=lambda name: -stages[name])[:4]
    lines = {
        "profile": f"{params.profile}, {len(params.arms)} arms; all settings in params.yaml",
        "bases": str(len(params.bases)),
        "training seeds": ", ".join(map(str, params.seeds)),
        "commit": f"{tracking.head(Path()) or 'unknown'}{changes()}",
        "machine": f"{processor()}, {cores.available()} cores, {platform.machine()}, {memory:.0f} GB",
        "computed": "; ".join(f"{what} {text}" for what, text in computed.items() if what != "torch"),
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        "Python": platform.python_version(),
        "time inside the stages": f"{clock(sum(stages.values()))} (h:mm), one after the other; most of it in "
        + ", ".join(f"{name} {clock(stages[name])}" for name in longest),
    }
    rows = [f"| {what} | {text} |" for what, text in lines.items()]
    return "\n".join([f"# A run of profile {params.profile}", "", "| what | value |", "| --- | --- |", *rows, ""])


def processor() -> str:
    """The processor's name, as Linux has it."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else "unknown processor"


def changes() -> str:
    """The files of the code that are not as in the commit, in words; "" for none, or outside of git."""
    command = ["git", "diff", "--name-only", "HEAD", "--", "src", "dvc.yaml", "claims.yaml", "docs/preregistration.md"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    names = found.stdout.split()
    return f", with changes in {', '.join(names)}" if names else ""


def clock(seconds: float) -> str:
    """Hours and minutes."""
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02d}"
