"""What `polya dry-run` does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from polya_midtrain import params as settings
from polya_midtrain.common import heuristics
from polya_midtrain.dryrun import models, report, shrink, workspace
from polya_midtrain.dryrun.loopback import Loopback, serving
from polya_midtrain.errors import UserError
from polya_midtrain.runtime import progress

STEPS = (["polya", "check", "--hub"], ["dvc", "repro"])  # that the copy has to pass


def dry_run(path: Path) -> None:
    """Walk all stages of the profile in ``path`` on stand-ins, in a copy of the project; print what passed.

    Raises `UserError` where it cannot begin, or where a stage fails.
    """
    begun = time.monotonic()
    params = settings.load(path)
    data = public_sets(path)
    absent = shrink.absent_sets(params, path, data)
    shrink.shrink(params, path, absent, "http://127.0.0.1")  # what is refused is refused before anything is written
    folder = workspace.make(path.stem, params.prompts.catalogue)
    content = Loopback(heuristics.load(params.prompts.catalogue))
    with serving(content) as url:
        small = shrink.shrink(params, path, absent, url)
        workspace.write_settings(folder, small)
        with progress.stage_line("stand-ins", unit="steps", tasks=1 + (small.teacher != small.base)) as line:
            content.snapshots = models.make(small, folder.parent / "models", line.update)
        environment = workspace.environment(folder, url, data)
        for command in STEPS:
            run(command, folder, environment)
    page = report.write(folder, params, small, absent, time.monotonic() - begun)
    print(page)


def public_sets(path: Path) -> Path:
    """The folder of the public sets: there is no hub to read them from."""
    named = os.environ.get("POLYA_DATA")
    if not named:
        raise UserError(
            f"{path}: a dry run reads its questions from a folder, not from the hub; set POLYA_DATA to one with the "
            "public sets (REPRODUCE.md, Real data, lists its files)"
        )
    if not Path(named).is_dir():
        raise UserError(f"POLYA_DATA: {named}: no such folder; set it to the folder of the public sets")
    return Path(named)


def run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """A command in the copy, its output on this console; `UserError` where it fails or is interrupted."""
    words = [sys.executable, "-m", *command] if command[0] == "dvc" else command
    process = subprocess.Popen(words, cwd=folder, env=environment)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()  # it was interrupted as well, and ends its stage
        raise UserError(f"dry run interrupted; what it made is in {folder}, and the next one begins anew") from None
    if code:
        done = f" after {len(report.done(folder))} stages" if command[0] == "dvc" else ""
        raise UserError(
            f"dry run failed: `{' '.join(command)}` ended with code {code}{done}, for the reason above; what it made "
            f"is in {folder}"
        )
