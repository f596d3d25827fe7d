"""A judge for prose: phrases that give a heuristic away, listed in the catalogue.

It is cheap, open to inspection, and blind to whoever follows a heuristic in other words, or uses its words for another
purpose. Its figures say how blind (`validate.intended`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from polya_midtrain.labellers.contract import Chain


class CueJudge:
    """A heuristic is used where one of its phrases stands in the response: whole words, in any case and spacing."""

    def __init__(self, cues: Mapping[str, Sequence[str]]) -> None:
        self._patterns = {name: _pattern(phrases) for name, phrases in cues.items()}

    def __str__(self) -> str:
        return "cues"

    def labels(self, chains: Sequence[Chain]) -> list[frozenset[str]]:
        """As `contract.Judge` says; the question, which may use the same words, is not read."""
        return [
            frozenset(name for name, pattern in self._patterns.items() if pattern.search(chain.response))
            for chain in chains
        ]


def _pattern(phrases: Sequence[str]) -> re.Pattern[str]:
    either = "|".join(r"\s+".join(re.escape(word) for word in phrase.split()) for phrase in phrases)
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)
