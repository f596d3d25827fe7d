"""What stands on the page, read from a run's reports: the ledger, the tables, the figures, and how each was made."""

from __future__ import annotations

import base64
import csv
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.page import readable, vector
from polya_midtrain.runtime.stage import by_stage, read_seconds
from polya_midtrain.tables.registry import FIGURES, TABLES

INDEX = "figures.json"  # title, caption, alt and sources of every figure that the run has
LEDGER = paths.CLAIMS_REPORT.with_suffix(".md")
CLAIM_COLUMNS = (
    "claim",
    "statement",
    "paper",
    "ours",
    "low",
    "high",
    "verdict",
    "reason",
    "command",
    "seconds",
    "table",
)
VERDICTS = {"replicated": "✓", "not replicated": "✗", "inconclusive": "?", "not tested": "–"}


@dataclass(frozen=True)
class Figure:
    """A figure in the page: ``svg`` is markup, the rest plain text."""

    name: str
    title: str
    caption: str
    svg: str
    sources: list[str]


@dataclass(frozen=True)
class Section:
    """A table with its figures. ``packed``: the long CSV, compressed, as base64; ``count``: its rows."""

    name: str
    table: readable.Readable
    figures: list[Figure]
    packed: str
    count: int


@dataclass(frozen=True)
class Claim:
    """A line of the ledger: a claim, or a ``part`` of the one before it."""

    name: str
    part: bool
    statement: str
    verdict: str
    paper: str
    ours: str
    reason: str
    command: str
    time: str
    tables: list[str]


def inputs() -> list[Path]:
    """Every file and folder that the page is made from, but for the stages' wall times (see `seconds`)."""
    return [paths.CLAIMS_REPORT, LEDGER, paths.FIGURES, paths.TABLES]


def claims() -> list[Claim]:
    """The ledger, reports/claims.csv; `UserError` where it is missing or not as stage claims writes it."""
    path, remedy = paths.CLAIMS_REPORT, "run `dvc repro -f claims`"
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; run `dvc repro claims`") from error
    absent = [name for name in CLAIM_COLUMNS if name not in (reader.fieldnames or ())]
    if absent or not rows:
        raise UserError(f"{path}:1: {f'no column {absent[0]!r}' if absent else 'no claim in it'}; {remedy}")
    found = []
    for number, row in enumerate(rows, start=2):
        if None in row.values() or row["verdict"] not in VERDICTS:
            raise UserError(f"{path}:{number}: its verdict is none of {', '.join(VERDICTS)}; {remedy}")
        try:
            found.append(_claim(row))
        except ValueError as error:
            raise UserError(f"{path}:{number}: {error}; {remedy}") from error
    return found


def sections() -> list[Section]:
    """Every table with its figures; `UserError` where one is missing or not as its stage writes it."""
    path = paths.FIGURES / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        figures = {name: _figure(name, index[name]) for name in FIGURES if name in index}
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; run `dvc repro figures`") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: not the words of the figures ({error}); run `dvc repro -f figures`") from error
    found = []
    for name, made in TABLES.items():
        table = paths.TABLES / f"{name}.csv"
        page = readable.read(table.with_suffix(".md"), f"tables@{name}")
        try:
            content = table.read_bytes()
        except FileNotFoundError as error:
            raise UserError(f"{table}: missing; run `dvc repro tables@{name}`") from error
        packed = base64.b64encode(gzip.compress(content, mtime=0)).decode()
        rows = max(content.count(b"\n") - 1, 0)
        found.append(
            Section(name, page, [figures[one] for one in sorted(made.figures) if one in figures], packed, rows)
        )
    return found


def seconds() -> dict[str, float]:
    """The wall time of each stage by results/metrics.

    It is no input that the page depends on: that another run took longer changes nothing that it says. The page itself
    is left out, whose time is not known yet.
    """
    spent = by_stage(read_seconds(paths.METRICS))
    spent.pop("page", None)
    return spent


def duration(seconds: float) -> str:
    """Seconds as a reader counts them: 12 s, 4 min, 2.1 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _claim(row: dict[str, str]) -> Claim:
    ends = f" [{_signed(row['low'])}, {_signed(row['high'])}]" if row["low"] and row["high"] else ""
    return Claim(
        name=row["claim"],
        part=row["claim"][-1:].isalpha(),
        statement=row["statement"],
        verdict=row["verdict"],
        paper=row["paper"],
        ours=_signed(row["ours"]) + ends,
        reason=row["reason"],
        command=row["command"],
        time=duration(float(row["seconds"])) if row["seconds"] else "",
        tables=[name for name in row["table"].replace(",", " ").split() if name in TABLES],
    )


def _signed(value: str) -> str:
    return f"{float(value):+.3f}" if value else ""


def _figure(name: str, words: dict[str, Any]) -> Figure:
    svg = vector.inline(paths.FIGURES / f"{name}.svg", f"figure-{name}", words["title"], words["alt"])
    return Figure(name, words["title"], words["caption"], svg, words["sources"])
