"""What `make repro` does: one run at a time in a folder, begun from records that are whole, and shared at its end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from functools import partial

from polya_midtrain.errors import UserError
from polya_midtrain.runtime import lock, parent, scratch

RUN = "run"  # the lock's name
BUSY = "another `make repro` or `make arm` is at work in this folder; wait for its end, or stop it"


def repro(targets: Sequence[str], say: Callable[[str], None]) -> int:
    """`dvc repro` of some stages, or of all, then `polya sync` and `polya share`; the first exit code that is not 0.

    With a remote, what other hosts have run is taken from there. `UserError` where another run is at work here.
    """
    with scratch.locked(RUN, wait=False) as ours:
        if not ours:
            raise UserError(BUSY)
        if said := lock.mend():
            say(said)
        asked = subprocess.run(["dvc", "config", "core.remote"], capture_output=True, text=True, check=False)
        pull = ["--pull"] if asked.stdout.strip() else []
        dvc = _start("dvc", "repro", *pull, *targets)
        try:
            status = dvc.wait()
        except KeyboardInterrupt:  # dvc has had it too, and sees its stage end
            dvc.wait()
            return 130
        sync, share = _start("polya", "sync"), _start("polya", "share")
        sync.wait()  # a store that cannot be used fails no run
        return share.wait() or status


def _start(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, preexec_fn=partial(parent.follow, os.getpid()))
