"""Finished stages in DVC's run cache, whole, and on the remote: what another host, or a later run, takes them from.

The run cache maps a stage's inputs to its outputs, whatever dvc.lock says. DVC 3.67 leaves out of it the stages whose
outputs are partly kept by git (``cache: false``; `dvc repro` records none of them, metrics aside) and `dvc push` never
uploads such an output. Here these are most stages: their small results are committed. So this records every stage that
is as dvc.lock says, and pushes all that the run cache names; `dvc repro --pull` takes it from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from polya_midtrain.errors import UserError, of_disk

if TYPE_CHECKING:
    from dvc.repo import Repo


def share() -> tuple[int, int | None]:
    """Record all finished stages; push them if a default remote is set.

    The number of finished stages, and of files that the remote did not have (None without a remote). `UserError` where
    the folder is no DVC project, or where the remote does not take what it is given.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo, repo.lock:
            finished = record(repo)
            return finished, push(repo) if repo.config["core"].get("remote") else None
    except (DvcException, OSError) as error:
        reason = " ".join(str(error).split())
        other = UserError(f"DVC: {reason}; correct it (`dvc remote list`), then run `polya share`")
        raise of_disk(error) or other from error


def record(repo: Repo) -> int:
    """Put every stage whose inputs and outputs are as dvc.lock says into the run cache, small outputs included."""
    finished = 0
    for stage in repo.index.stages:
        if stage.cmd and not stage.changed():
            repo.stage_cache.save(stage)
            finished += 1
    return finished


def push(repo: Repo) -> int:
    """Upload the run cache and the files that it names, but for those that this host has removed since (`dvc gc`)."""
    runs = repo.stage_cache.push(None)
    pushed = 0
    for files in repo.stage_cache.get_used_objs(runs).values():
        here = {file for file in files if repo.cache.local.exists(file.value)}
        result = repo.cloud.push(here)
        if result.failed:
            raise UserError(f"DVC: {len(result.failed)} files did not reach the remote; run `polya share` again")
        pushed += len(result.transferred)
    return pushed
