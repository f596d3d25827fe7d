"""Answers that ran into their time limit. Each costs seconds, so what they cost together has a bound."""

from __future__ import annotations

import hashlib
from pathlib import Path

from polya_midtrain.errors import UserError

MOST_SECONDS = 3600.0  # of the helper processes of a stage, or of a training seed, together


class Timeouts:
    """Those of a stage. With a ``file`` they are known again when the stage is run again, which then goes on."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.known = set(file.read_text().split()) if file is not None and file.exists() else set()
        self.count = 0
        self.seconds = 0.0

    def __contains__(self, answer: tuple[str, str, str]) -> bool:
        return bool(self.known) and _name(answer) in self.known

    def add(self, answer: tuple[str, str, str], seconds: float) -> None:
        """Keep one, a text with its gold and kind; `UserError` where all together have taken too long."""
        self.count += 1
        self.seconds += seconds
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a") as out:
                out.write(f"{_name(answer)}\n")
        if self.seconds > MOST_SECONDS:
            raise UserError(
                f"grading: {self.count} answers ran into their time limit and took {self.seconds / 60:.0f} minutes of "
                f"the {MOST_SECONDS / 60:.0f} that they may; look at what the model writes, or run it again: it goes "
                "on after them"
            )


def _name(answer: tuple[str, str, str]) -> str:
    return hashlib.sha256(repr(answer).encode()).hexdigest()
