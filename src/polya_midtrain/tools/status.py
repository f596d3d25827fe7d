"""`polya status`: which stages would run, and how long they would take."""

from __future__ import annotations

import textwrap
from collections import Counter

from polya_midtrain.errors import UserError, of_disk
from polya_midtrain.runtime.progress import duration
from polya_midtrain.tools import told

WIDTH = 100


def status() -> list[str]:
    """Lines for a reader. A stage would run if its inputs, settings or outputs are not as dvc.lock says, or if one
    before it would run: at most, since that one may come to the same again."""
    run, count = stale()
    if not run:
        return [f"All {count} stages are as dvc.lock says: `make repro` has nothing to do."]
    known = told.expected()
    time = f" in at most {duration(sum(known[label] for label in run))}" if set(run) <= known.keys() else ""
    names = Counter(label.partition("@")[0] for label in run)
    listed = ", ".join(
        next(label for label in run if label.partition("@")[0] == name) if times == 1 else f"{name} x {times}"
        for name, times in names.items()
    )
    return [
        f"{len(run)} of {count} stages would run{time}:",
        textwrap.fill(listed, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False),
    ]


def stale() -> tuple[list[str], int]:
    """The stages that would run, in the order of dvc.yaml, and how many there are."""
    import networkx
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo, repo.lock:
            stages = [stage for stage in repo.index.stages if stage.cmd]
            changed = {stage for stage in stages if stage.changed()}
            after = {one for stage in changed for one in networkx.ancestors(repo.index.graph, stage)}
            run = {stage.addressing for stage in stages if stage in changed | after}
    except (DvcException, OSError) as error:
        reason = " ".join(str(error).split())
        raise of_disk(error) or UserError(f"DVC: {reason}; run it in the project's root") from error
    order = {label: place for place, label in enumerate(told.labels())}
    return sorted(run, key=lambda label: order.get(label, len(order))), len(stages)
