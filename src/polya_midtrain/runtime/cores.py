"""How many cores this process may use: one process runs on each."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath


def available(root: Path = Path("/")) -> int:
    """Those of its affinity, or fewer by a quota of its control groups, where a part of a core counts as one.

    ``root``: where /proc and /sys are.
    """
    return max(1, min([len(os.sched_getaffinity(0)), *map(math.ceil, _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """The quota of every control group that this process is in, versions 1 and 2; an outer group limits an inner."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            mounted = root / "sys/fs/cgroup" / controllers
            inside = PurePosixPath(path.lstrip("/"))
            # A container may see its own group as the root, and yet be told the host's path.
            for group in (mounted / inside, *(mounted / one for one in inside.parents)):
                yield from _quota(group)


def _quota(group: Path) -> Iterator[float]:
    for quota, period in (("cpu.max", ""), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        with suppress(OSError, ValueError):  # not there, or "max"
            words = (group / quota).read_text().split() + ((group / period).read_text().split() if period else [])
            if int(words[0]) > 0:
                yield int(words[0]) / int(words[1])
