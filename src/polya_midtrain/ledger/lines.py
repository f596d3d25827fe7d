"""reports/claims.json: the ledger of a run, a line per claim and one per part of it."""

from __future__ import annotations

from typing import ClassVar, Literal

from polya_midtrain.ledger.evaluate import Verdict
from polya_midtrain.results.small import Part, Small


class Line(Part):
    """A line of the ledger, the fields in the order of claims.csv.

    ``claim``: C1 for a claim, C1a for a part of it; ``role``: of the part, "" for a claim. ``ours``, ``low``,
    ``high``: the effect that decides, in the unit of its row; None for a claim and for what was not tested. Of
    primary parts also ``sesoi``, the smallest effect of interest, ``direction``, the way that the paper says the
    effect goes ("" of a claim), ``paper_size``, the paper's effect in our unit where it is known, both without a
    sign, ``p`` of the test by itself and ``p_holm`` over all primary parts; None where there is none. ``premise``:
    of a claim, whether the run is in the paper's; "" where claims.yaml names none. ``seconds``: of the table's
    stage in this run, None if unknown. ``table``: of a claim those of its parts, joined by commas.
    """

    claim: str
    role: str
    statement: str
    paper: str
    ours: float | None
    low: float | None
    high: float | None
    sesoi: float | None
    direction: Literal["up", "down", ""]
    paper_size: float | None
    p: float | None
    p_holm: float | None
    verdict: Verdict
    reason: str
    premise: str
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

    @property
    def says(self) -> str:
        """The statement with its role, or with whether the run is in the paper's premise."""
        role = f"{self.role.capitalize()}: " if self.role else ""
        return f"{role}{self.statement} {self.premise}".rstrip()

    @property
    def tested(self) -> str:
        """p and the corrected p of a primary part, a dash where there is none."""
        if self.p is None or self.p_holm is None:
            return "-"
        return "; ".join("< 0.0001" if p < 0.0001 else f"{p:.4f}" for p in (self.p, self.p_holm))

    @property
    def smallest(self) -> str:
        """The smallest effect of interest, a dash where there is none."""
        return "-" if self.sesoi is None else f"{self.sesoi:g}"


class Ledger(Small, Part):
    """The file: a claim before its parts, and how to read them."""

    LINES: ClassVar = ("lines", "notes")

    lines: list[Line]
    notes: list[str]

    @property
    def claims(self) -> list[Line]:
        """The claims without their parts."""
        return [line for line in self.lines if not line.part]
