"""reports/claims.json: the ledger of a run, a line per claim and one per part of it."""

from __future__ import annotations

from typing import ClassVar

from polya_midtrain.ledger.evaluate import Verdict
from polya_midtrain.results.small import Part, Small


class Line(Part):
    """A line of the ledger, the fields in the order of claims.csv.

    ``claim``: C1 for a claim, C1a for a part of it. ``ours``, ``low``, ``high``: the effect that decides, in the unit
    of its row; None for a claim and for what was not tested. ``seconds``: of the table's stage in this run, None if
    unknown. ``table``: of a claim those of its parts, joined by commas.
    """

    claim: str
    statement: str
    paper: str
    ours: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    reason: str
    command: str
    seconds: float | None
    table: str

    @property
    def part(self) -> bool:
        """Whether it is a part, of the claim before it."""
        return self.claim[-1].isalpha()

    @property
    def here(self) -> str:
        """The effect as a reader sees it, a dash where there is none."""
        if self.ours is None:
            return "-"
        ends = "" if self.low is None else f" [{self.low:+.3f}, {self.high:+.3f}]"
        return f"{self.ours:+.3f}{ends}"


class Ledger(Small, Part):
    """The file: a claim before its parts, and how to read them."""

    LINES: ClassVar = ("lines", "notes")

    lines: list[Line]
    notes: list[str]

    @property
    def claims(self) -> list[Line]:
        """The claims without their parts."""
        return [line for line in self.lines if not line.part]
