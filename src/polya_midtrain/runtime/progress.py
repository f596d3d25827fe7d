"""One progress line per stage on stderr: who, how far, how fast, how long.

On a terminal the line is redrawn; in a log (a pipe, CI) it is a plain line every 15 seconds and one at the end.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

LOG_SECONDS = 15.0  # between two lines in a log
DRAW_SECONDS = 0.2  # between two redraws on a terminal


class Progress:
    """The state of one stage's line. Tasks (seeds, say) are numbered from 0; their counts are added up."""

    def __init__(
        self,
        stage: str,
        *,
        arm: str | None = None,
        seeds: Sequence[int] = (),
        unit: str = "",
        tasks: int = 1,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label = " ".join(filter(None, [stage, arm, _seeds(seeds)]))
        self.unit, self.tasks, self.clock = unit, tasks, clock
        self.stream = stream or sys.stderr
        self.begun = clock()
        self.counts: dict[int, tuple[float, float, float]] = {}  # task -> (done at its first report, done, total)
        self.note = ""
        self._last = self.begun
        self._screen = _Screen(self.stream) if self.stream.isatty() else None

    def update(self, task: int, done: float, total: float, note: str = "") -> None:
        """Task ``task`` has done ``done`` of ``total``; `workers.run_tasks` takes this as its ``on_progress``."""
        first = self.counts[task][0] if task in self.counts else done
        self.counts[task] = (first, done, total)
        self.note = note
        now = self.clock()
        if now - self._last >= (DRAW_SECONDS if self._screen else LOG_SECONDS):
            self._last = now
            self._write(self.line())

    def line(self) -> str:
        """The line as it stands, such as ``rl n4 seeds 1,2: 40/150 steps, 1.2 steps/s, 0:33, 1:31 left``."""
        elapsed = self.clock() - self.begun
        parts = [self._amount()]
        resumed, done, total = self._sums()
        rate = (done - resumed) / elapsed if elapsed > 0 else 0.0
        if rate > 0:
            parts.append(f"{rate:.3g} {self.unit}/s".replace(" /", "/"))
        parts.append(duration(elapsed))
        if rate > 0 and done < total:
            parts.append(f"{duration((total - done) / rate)} left")
        parts += [self.note] if self.note else []
        return f"{self.label}: {', '.join(parts)}"

    def close(self, outcome: str = "done") -> None:
        """The last line: how much was done, how it ended and in how long."""
        amount = f"{self._amount()}, " if self.counts else ""
        self._write(f"{self.label}: {amount}{outcome} in {duration(self.clock() - self.begun)}")
        if self._screen:
            self._screen.close()

    def _sums(self) -> tuple[float, float, float]:
        """(done before this run, done, expected total); a task yet to begin is taken to be like the others."""
        firsts, dones, totals = zip(*self.counts.values(), strict=True) if self.counts else ((0.0,), (0.0,), (0.0,))
        return sum(firsts), sum(dones), sum(totals) / len(totals) * max(self.tasks, len(totals))

    def _amount(self) -> str:
        _, done, total = self._sums()
        return f"{done:,.0f}/{total:,.0f} {self.unit}".rstrip()

    def _write(self, text: str) -> None:
        if self._screen:
            self._screen.draw(text)
        else:
            self.stream.write(text + "\n")
            self.stream.flush()


class _Screen:
    """A line that is redrawn in place. No refresh thread: a worker forked while one holds a lock would hang."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._text = Text
        console = Console(file=stream)
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._live.start()

    def draw(self, text: str) -> None:
        self._live.update(self._text(text, no_wrap=True, overflow="ellipsis"), refresh=True)

    def close(self) -> None:
        self._live.stop()


@contextmanager
def stage_line(
    stage: str, *, arm: str | None = None, seeds: Sequence[int] = (), unit: str = "", tasks: int = 1
) -> Iterator[Progress]:
    """The progress line of a stage, closed with its outcome however the block ends."""
    line = Progress(stage, arm=arm, seeds=seeds, unit=unit, tasks=tasks)
    outcome = "stopped"
    try:
        yield line
        outcome = "done"
    finally:
        line.close(outcome)


def duration(seconds: float) -> str:
    """``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _seeds(seeds: Sequence[int]) -> str:
    if not seeds:
        return ""
    return ("seed " if len(seeds) == 1 else "seeds ") + ",".join(str(seed) for seed in seeds)
