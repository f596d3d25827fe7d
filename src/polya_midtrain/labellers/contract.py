"""What a judge is, whoever judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Chain(NamedTuple):
    """A chain of thought and the question that it answers, both as the policy saw and wrote them."""

    question: str
    response: str


class Judge(Protocol):
    """Says which heuristics of a catalogue each chain uses (paper, 10: an LLM with the catalogue's list).

    A judge sees no intended heuristic, no gold answer and no verdict: those would be the answer that it is asked for.
    """

    def __str__(self) -> str:
        """What the results say of who judged."""
        ...

    def labels(self, chains: Sequence[Chain]) -> list[frozenset[str]]:
        """For each chain, in order, the ids of the heuristics used; empty where none is found.

        A chain's labels do not depend on the chains beside it. All chains come in one call, so that a judge behind an
        endpoint may send them in batches.
        """
        ...
