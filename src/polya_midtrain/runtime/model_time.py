"""CPU seconds inside model calls (generation, training, scoring), for `make bench`.

The overhead of the pipeline is what is left. A process appends to the file that POLYA_MODEL_TIME names; unset, nothing
is measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_depth = 0


@contextmanager
def model_call(kind: str) -> Iterator[None]:
    """Count the block's CPU time; a call inside a call (a rollout inside training) is counted once."""
    global _depth
    path = os.environ.get("POLYA_MODEL_TIME")
    begun = time.process_time()
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if path and _depth == 0:
            with Path(path).open("a") as file:  # one short line: appends of several processes do not mix
                file.write(f"{kind} {time.process_time() - begun:.4f}\n")
