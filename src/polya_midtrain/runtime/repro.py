"""What `make repro` does: one run at a time in a folder, begun from records that are whole, and shared at its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import IO

from polya_midtrain.errors import UserError
from polya_midtrain.runtime import lock, parent, scratch

RUN = "run"  # the lock's name
DVC = (sys.executable, str(Path(__file__).with_name("dvc")))  # `runtime.dvc`
LAST_WORDS = 1.0  # seconds to read what DVC has said, once it has ended
BUSY = "another `make repro` or `make arm` is at work in this folder; wait for its end, or stop it"


Say = Callable[[str], None]


def repro(targets: Sequence[str], say: Say, hear: Say) -> int:
    """`dvc repro` of some stages, or of all, then `polya sync` and `polya share`; the first exit code that is not 0.

    ``hear`` is given each line that DVC says, but for errors. With a remote, what other hosts have run is taken from
    there. `UserError` where another run is at work here.
    """
    with scratch.locked(RUN, wait=False) as ours:
        if not ours:
            raise UserError(BUSY)
        if said := lock.mend():
            say(said)
        asked = subprocess.run(["dvc", "config", "core.remote"], capture_output=True, text=True, check=False)
        pull = ["--pull"] if asked.stdout.strip() else []
        dvc = _start(*DVC, "repro", *pull, *targets, stdout=subprocess.PIPE)
        told = Thread(target=_pass_on, args=(dvc.stdout, hear), daemon=True)
        told.start()
        try:
            status = dvc.wait()
        except KeyboardInterrupt:  # dvc has had it too, and sees its stage end
            dvc.wait()
            return 130
        told.join(LAST_WORDS)  # for ever, if a process that outlives dvc holds the pipe
        sync, share = _start("polya", "sync"), _start("polya", "share")
        sync.wait()  # a store that cannot be used fails no run
        return share.wait() or status


def _start(*command: str, stdout: int | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=stdout, preexec_fn=partial(parent.follow, os.getpid()))


def _pass_on(lines: IO[bytes], hear: Say) -> None:
    for line in lines:
        with suppress(OSError):  # nobody reads us: dvc must not wait for that
            hear(line.decode(errors="replace").rstrip("\n"))
