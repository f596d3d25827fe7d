"""The ledger of a run: a line per part of a claim and one per claim, as CSV and as a readable page."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Literal

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.ledger import select
from polya_midtrain.ledger.evaluate import VERDICTS, Evidence, Judgement, Verdict, judge, together, unanimous, widened
from polya_midtrain.ledger.lines import Ledger, Line
from polya_midtrain.ledger.schema import Claims, Compare, Paper, Statement, Trend
from polya_midtrain.params import Params
from polya_midtrain.params.studies import REFERENCE
from polya_midtrain.tables.row import DECIMALS, Row, tidy
from polya_midtrain.tables.shared.render import Grid, Page


def ledger(
    claims: Claims,
    params: Params,
    tables: Mapping[str, Sequence[Row]],
    seconds: Mapping[str, float],
    total: float,
) -> Ledger:
    """Judge every claim. ``tables``: the rows of all tables that the claims name; ``seconds``: of their stages;
    ``total``: of all stages of the run together, 0 if unknown."""
    lines = []
    for name, claim in claims.claims.items():
        judged = {letter: _judge(part, params, tables) for letter, part in claim.parts.items()}
        parts = [
            _line(f"{name}{letter}", claim.parts[letter], one, seconds.get(claim.parts[letter].test.table))
            for letter, one in judged.items()
        ]
        counted = [one for letter, one in judged.items() if not claim.parts[letter].control]
        marks = [" (control)" if part.control else "" for part in claim.parts.values()]
        whole = Line(
            claim=name,
            statement=claim.statement,
            paper="see its parts",
            ours=None,
            low=None,
            high=None,
            verdict=together(counted, "all").verdict,
            reason="; ".join(f"{line.claim} {line.verdict}{mark}" for line, mark in zip(parts, marks, strict=True)),
            command="dvc repro claims",
            seconds=None,
            table=", ".join(dict.fromkeys(line.table for line in parts)),
        )
        lines += [whole, *parts]
    return Ledger(lines=lines, notes=_notes(params, total))


def rows_read(
    claims: Claims, params: Params, tables: Mapping[str, Sequence[Row]]
) -> list[tuple[str, str, Row, Literal["value", "diff"]]]:
    """The rows that decide: part (such as C1a), table, row, and which of its columns is read."""
    found = []
    for name, claim in claims.claims.items():
        for letter, part in claim.parts.items():
            with suppress(select.Absent):
                rows = _rows(part.test, params, tables)
                found += [(f"{name}{letter}", part.test.table, row, part.test.column) for row in rows]
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
        rows=[[line.claim, line.statement, line.verdict, line.reason] for line in ledger.claims],
    )
    parts = Grid(
        caption="Their parts",
        header=["part", "says", "paper", "here", "verdict", "why", "made by"],
        rows=[_part(line) for line in ledger.lines if line.part],
    )
    title = f"What a run of profile {profile} says of the paper's claims"
    return Page(title=title, grids=[claims, parts], notes=ledger.notes)


def _judge(part: Statement, params: Params, tables: Mapping[str, Sequence[Row]]) -> Judgement:
    test = part.test
    alpha = 1.0 - params.tables.confidence
    try:
        rows = _rows(test, params, tables)
    except select.Absent as absent:
        return Judgement("not tested", str(absent))
    effects: dict[str, list[Evidence]] = {}
    for row in rows:
        effects.setdefault(row.benchmark, []).append(_evidence(row, test, alpha))
    judged = []
    for arms in effects.values():
        looks = len(arms) if test.rule == "any" else 1
        shown = [judge(widened(arm, looks, alpha), test.direction, part.paper.size, alpha) for arm in arms]
        judged.append(together(shown, test.rule))
    return together(judged, "all")


def _rows(test: Compare | Trend, params: Params, tables: Mapping[str, Sequence[Row]]) -> list[Row]:
    return [select.find(tables[test.table], test, one, params.runs) for one in select.wanted(test, params)]


def _evidence(row: Row, test: Compare | Trend, alpha: float) -> Evidence:
    """The effect in a row. Its test and detectable difference are those of ``diff`` where the row has one."""
    diff = test.column == "diff"
    value, low, high = (row.diff, row.diff_low, row.diff_high) if diff else (row.value, row.low, row.high)
    if value is None:
        where = f"arm {row.arm}, metric {row.metric}, benchmark {row.benchmark}"
        raise UserError(f"{paths.TABLES / test.table}.csv: no difference with {where}; correct {paths.CLAIMS}")
    mine = diff or row.diff is None
    effect = Evidence(
        what=_what(row, (row.reference or (REFERENCE if diff else "")) if mine else ""),
        value=value,
        low=low,
        high=high,
        questions=row.n_questions,
        seeds=len(row.seeds.split("+")) if row.seeds else 0,
        p=row.p_holm if mine else None,
        detectable=row.detectable if mine else None,
        zero=test.zero,
    )
    # A share that is asked to be above or below another: a majority. Of differences all being 1 is no such thing.
    return unanimous(effect, alpha) if row.unit == "share" and 0.0 < test.zero < 1.0 else effect


def _what(row: Row, other: str) -> str:
    at = "" if row.k is None else f" at k={row.k}"
    metric = row.metric.replace("@k", f"@{row.k}") if "@k" in row.metric else f"{row.metric}{at}"
    sides = f"{row.arm} against {other}" if other else row.arm
    return ", ".join([sides, metric, *([row.benchmark] if row.benchmark else [])]) + ":"


def _line(name: str, part: Statement, judged: Judgement, seconds: float | None) -> Line:
    effect = judged.evidence
    numbers = (effect.value, effect.low, effect.high) if effect else (None, None, None)
    ours, low, high = (None if number is None else tidy(number) for number in numbers)
    return Line(
        claim=name,
        statement=f"Control: {part.statement}" if part.control else part.statement,
        paper=_paper(part.paper),
        ours=ours,
        low=low,
        high=high,
        verdict=judged.verdict,
        reason=judged.reason,
        command=f"dvc repro tables@{part.test.table}",
        seconds=seconds,
        table=part.test.table,
    )


def _paper(paper: Paper) -> str:
    return f"{paper.value} ({paper.source})" if paper.source else paper.value


def _field(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if name == "seconds" else f"{value:.{DECIMALS}f}"
    return str(value)


def _part(line: Line) -> list[str]:
    made = line.command + ("" if line.seconds is None else f" ({line.seconds:.0f} s)")
    return [line.claim, line.statement, line.paper, line.here, line.verdict, line.reason, made]


def _notes(params: Params, total: float) -> list[str]:
    percent = f"{params.tables.confidence:.0%}"
    return [
        f"Here: the effect with its {percent} interval, in the unit of its table, in reports/tables. Replicated: the "
        "interval lies on the claimed side of zero, and Holm's p agrees where the table has one. Not replicated: it "
        "lies on the other side, or it excludes an effect as large as the paper's; the text says which. Inconclusive: "
        "neither. A claim is replicated if all of its parts are, and not replicated if one is not; controls, which are "
        "ours, do not count.",
        "Where a part is inconclusive, the text says at what size an interval would be narrow enough: its width goes "
        "with one over the root of questions and training seeds, so both grow by (width / effect) squared. The effect "
        "is the paper's; where that is unknown it is ours, and the width its distance to the interval's end on zero's "
        "side. If the table names a larger detectable difference, that takes the width's place.",
        "Paper: A, the authors' post; R, a published review of the full text; unknown where neither gives it. Its "
        "effects are those of another model and other questions: a yardstick, not a prediction for this run.",
        "Made by: the command, and what the table's own stage took from the results in git."
        + (f" All stages of this run together took {total:.0f} s, one after the other." if total else ""),
        "No correction is made for the number of claims: of twenty parts without any effect, one would be expected "
        f"outside its {percent} interval by chance.",
    ]
