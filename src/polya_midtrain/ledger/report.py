"""The ledger of a run: a line per part of a claim and one per claim, as CSV and as a readable page."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal

from polya_midtrain.ledger import checks, select
from polya_midtrain.ledger.evaluate import VERDICTS, Verdict
from polya_midtrain.ledger.lines import Ledger, Line
from polya_midtrain.ledger.parts import Judged, Tables, judge_all, named, rows_of
from polya_midtrain.ledger.schema import Claims, Paper
from polya_midtrain.params import Params
from polya_midtrain.tables.row import DECIMALS, Row, tidy
from polya_midtrain.tables.shared.render import Grid, Page


def ledger(
    claims: Claims, params: Params, tables: Tables, seconds: Mapping[str, float], total: float, rules: str
) -> Ledger:
    """Judge every claim. ``tables``: the rows of all tables that the claims name; ``seconds``: of their stages;
    ``total``: of all stages up to the tables, 0 if unknown; ``rules``: the text that fixed the rules beforehand."""
    judged = judge_all(claims, params, tables)
    lines = []
    for name, claim in claims.claims.items():
        parts = [_line(f"{name}{letter}", judged[f"{name}{letter}"], seconds) for letter in claim.parts]
        whole = Line(
            claim=name,
            role="",
            statement=claim.statement,
            paper="see its parts",
            ours=None,
            low=None,
            high=None,
            sesoi=None,
            direction="",
            paper_size=None,
            p=None,
            p_holm=None,
            verdict=judged[f"{name}{claim.primary}"].judgement.verdict,
            reason="; ".join(f"{line.claim} {line.verdict} ({line.role})" for line in parts),
            premise=checks.premise(claim.premise, params, tables) if claim.premise else "",
            command="dvc repro claims",
            seconds=None,
            table=", ".join(dict.fromkeys(line.table for line in parts)),
        )
        lines += [whole, *parts]
    return Ledger(lines=lines, notes=_notes(params, total, len(claims.claims), rules))


def rows_read(claims: Claims, params: Params, tables: Tables) -> list[tuple[str, str, Row, Literal["value", "diff"]]]:
    """The rows that are judged: part (such as C1a), table, row, and which of its columns is read."""
    found = []
    for name, part in named(claims).items():
        with suppress(select.Absent):
            found += [(name, part.test.table, row, part.test.column) for row in rows_of(part, params, tables)]
    return found


def csv_text(ledger: Ledger) -> str:
    """claims.csv, a claim before its parts: floats with the tables' decimals, what is unknown empty."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    names = list(Line.model_fields)
    writer.writerow(names)
    writer.writerows([_field(name, getattr(line, name)) for name in names] for line in ledger.lines)
    return target.getvalue()


def tally(ledger: Ledger) -> dict[Verdict, int]:
    """How many claims have each verdict."""
    return {verdict: sum(claim.verdict == verdict for claim in ledger.claims) for verdict in VERDICTS}


def page(ledger: Ledger, profile: str) -> Page:
    """The ledger as a page."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in tally(ledger).items() if count)
    claims = Grid(
        caption=f"{len(ledger.claims)} claims: {counts}",
        header=["claim", "says", "verdict", "its parts"],
        rows=[[line.claim, line.says, line.verdict, line.reason] for line in ledger.claims],
    )
    parts = Grid(
        caption="Their parts",
        header=["part", "says", "paper", "here", "smallest effect", "p; Holm", "verdict", "why", "made by"],
        rows=[_part(line) for line in ledger.lines if line.part],
    )
    title = f"What a run of profile {profile} says of the paper's claims"
    return Page(title=title, grids=[claims, parts], notes=ledger.notes)


def _line(name: str, judged: Judged, seconds: Mapping[str, float]) -> Line:
    part, effect = judged.part, judged.judgement.evidence
    numbers = (effect.value, effect.low, effect.high) if effect else (None, None, None)
    ours, low, high = (None if number is None else tidy(number) for number in numbers)
    return Line(
        claim=name,
        role=part.role,
        statement=part.statement,
        paper=_paper(part.paper),
        ours=ours,
        low=low,
        high=high,
        sesoi=part.sesoi.size if part.sesoi else None,
        direction=part.test.direction,
        paper_size=part.paper.size,
        p=judged.p,
        p_holm=judged.p_holm,
        verdict=judged.judgement.verdict,
        reason=judged.judgement.reason,
        premise="",
        command=f"dvc repro tables@{part.test.table}",
        seconds=seconds.get(part.test.table),
        table=part.test.table,
    )


def _paper(paper: Paper) -> str:
    """Its value with source and uncertainty."""
    if not paper.source:
        return paper.value
    error = "unknown" if paper.error is None else f"standard error {paper.error:.2g}"
    return f"{paper.value} ({paper.source}); its uncertainty: {error}"


def _field(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if name == "seconds" else f"{value:.{DECIMALS}f}"
    return str(value)


def _part(line: Line) -> list[str]:
    made = line.command + ("" if line.seconds is None else f" ({line.seconds:.0f} s)")
    numbers = [line.paper, line.here, line.smallest, line.tested]
    return [line.claim, line.says, *numbers, line.verdict, line.reason, made]


def _notes(params: Params, total: float, claims: int, rules: str) -> list[str]:
    alpha = f"{1.0 - params.tables.confidence:.2g}"
    return [
        f"Rules: {rules}",
        f"Here: the effect with its {params.tables.confidence:.0%} interval, in the unit of its table, in "
        "reports/tables. A claim's verdict is that of its primary part. Replicated: the interval lies on the claimed "
        f"side of zero, and p is below {alpha} after Holm's correction over the {claims} primary parts. Not "
        "replicated: evidence against it, as the text says: the opposite by the same test, or an interval that "
        "excludes the smallest effect of interest, which was fixed before the run. Inconclusive: neither. Not tested: "
        "the run lacks the arms, or fails a check that comes first (room for an effect, the judge's recall).",
        "Secondary parts and controls decide nothing and are not corrected for each other: they hold, do not hold (the "
        "interval lies on the other side, and Holm's p of their own table agrees where it has one), or are open.",
        "Where a primary part is inconclusive, the text says at what size an interval would be narrower than the "
        "smallest effect of interest: width goes with one over the root of questions and of training seeds or "
        "bases, so both grow by (width / effect) squared. If the table names a larger detectable difference, that "
        "takes the width's place.",
        "Paper: A, the authors' post; R, a published review of the full text; I, inferred by this project; unknown "
        "where none gives it. Its effects are those of another model and other questions, and decide nothing here. "
        "Standard errors are binomial, from the questions of its sets, unpaired: the paper gives none.",
        "Made by: the command, and what the table's own stage took from the results in git."
        + (f" The stages of this run up to the tables took {total:.0f} s, one after the other." if total else ""),
    ]
