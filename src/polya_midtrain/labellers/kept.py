"""Replies of a judge that are kept, so that none is paid for twice: a line of JSON each, ``[key, [heuristics]]``."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path

from polya_midtrain.errors import UserError

FILE = "replies.jsonl"


class Kept:
    """The kept replies in ``folder``. Several processes may add to them; a line that is none is passed over."""

    def __init__(self, folder: Path, names: Collection[str]) -> None:
        self._path, self.known = folder / FILE, dict[str, frozenset[str]]()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        except OSError as error:
            raise self._refusal(error) from error
        for line in lines:
            try:
                key, labels = json.loads(line)
                if isinstance(labels, list) and set(labels) <= set(names):
                    self.known[key] = frozenset(labels)
            except (ValueError, TypeError, RecursionError):
                continue  # cut off by a crash, or not ours

    def add(self, key: str, labels: frozenset[str]) -> None:
        """Keep a reply; one write, so that lines of several processes do not mix."""
        self.known[key] = labels
        line = f"\n{json.dumps([key, sorted(labels)])}\n"  # the first break ends what a crash may have left
        try:
            stream = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                os.write(stream, line.encode())
            finally:
                os.close(stream)
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> UserError:
        return UserError(f"{self._path}: replies cannot be kept here ({error.strerror}); make the folder writable")
