"""Keep a finished run in reports/NAME: its reports, small results, settings and lock file, the machine and the time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.runtime import lock, machine, scratch
from polya_midtrain.runtime.stage import by_stage, read_seconds
from polya_midtrain.verify import build, runs

REPORTS = (paths.TABLES, paths.FIGURES, paths.CLAIMS_REPORT, paths.CLAIMS_REPORT.with_suffix(".md"), paths.PAGE)
RESULTS = paths.METRICS.parent  # what tables and figures are made from, and the stages' numbers
LIBRARIES = ("transformers", "trl", "numpy", "dvc")  # beside those that `build.machine` names


def keep(source: Path, name: str) -> Path:
    """Copy the reports and small results of the finished run in ``source`` to reports/NAME; returns that folder.

    RUN.md in it says what ran where and how long; params.yaml and lock.yaml (its dvc.lock) what it was made from and
    the hash of every file it made. Raises `UserError` for a run that is not finished or not as its lock file says.
    """
    run = runs.load(source)
    target = paths.TABLES.parent / name
    if target in REPORTS:
        raise UserError(f"{target} is where a run writes; take another name")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise UserError(
            f"{name!r} is no name of a folder in {paths.TABLES.parent}; take letters, digits, dots and dashes"
        )
    draft = scratch.ROOT / f"keep-{name}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for path in (*REPORTS, RESULTS):
        place = draft / path.name
        try:
            shutil.copytree(source / path, place) if (source / path).is_dir() else shutil.copyfile(source / path, place)
        except FileNotFoundError as error:
            raise UserError(f"{source / path}: missing; run `dvc repro` in {source}") from error
    shutil.copyfile(source / settings.PARAMS_FILE, draft / settings.PARAMS_FILE.name)
    shutil.copyfile(source / lock.LOCK, draft / "lock.yaml")
    (draft / "RUN.md").write_text(card(run), encoding="utf-8", newline="\n")
    scratch.publish(draft, target)
    return target


def card(run: runs.Run) -> str:
    """What ran, where, and how long, in Markdown; the machine is the one that this is called on."""
    stages = by_stage(read_seconds(run.folder / paths.METRICS))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    computed = machine.tags(run.params.machine.device)
    longest = sorted(stages, key=lambda name: -stages[name])[:4]
    lines = {
        "profile": f"{run.params.profile}, {len(run.params.arms)} arms; all settings in params.yaml",
        "training seeds": ", ".join(map(str, run.params.seeds)),
        "commit": f"{run.commit}{changes(run.folder)}",
        "machine": f"{build.machine()}, {memory:.0f} GB",
        "computed": "; ".join(f"{what} {text}" for what, text in computed.items() if what != "torch"),
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        "time inside the stages": f"{clock(sum(stages.values()))} (h:mm), one after the other; most of it in "
        + ", ".join(f"{name} {clock(stages[name])}" for name in longest),
    }
    rows = [f"| {what} | {text} |" for what, text in lines.items()]
    return "\n".join([f"# A run of profile {run.params.profile}", "", "| what | value |", "| --- | --- |", *rows, ""])


def changes(folder: Path) -> str:
    """The files of the code that are not as in the folder's commit, in words; "" for none, or outside of git."""
    command = ["git", "-C", str(folder), "diff", "--name-only", "HEAD", "--", "src", "dvc.yaml", "claims.yaml"]
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
