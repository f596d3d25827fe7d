"""Tables of claims: each one's number in the committed run, and what docs/preregistration.md fixes of each."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.ledger import report, schema
from polya_midtrain.ledger.schema import Claims
from polya_midtrain.params import Params
from polya_midtrain.params.studies import REFERENCE
from polya_midtrain.tables import read, readme_table
from polya_midtrain.tables.row import MEAN, Row
from polya_midtrain.tables.shared.render import escape_markdown
from polya_midtrain.tools.compare import record

HEADER = ["claim", "number", "command", "committed run", "interval"]
RULES = ["part", "it says", "row that is read", "smallest effect of interest", "why that size (ours)"]


def inject(document: Path) -> bool:
    """Put the table of the run that git has, committed or staged, into a document; True if that changed the file."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if not record.from_git(folder):
            raise UserError("git has no finished run; run this in a checkout of the project, after `git add` of a run")
        params = settings.load(folder / settings.PARAMS_FILE)
        tables = {path.stem: read.read(path) for path in sorted((folder / paths.TABLES).glob("*.csv"))}
        table = build(params, schema.load(paths.CLAIMS), tables)
    return readme_table.renew(document, {"claims": lambda: table})


def inject_rules(document: Path) -> bool:
    """Put the primary parts of claims.yaml into a document; True if that changed the file."""
    return readme_table.renew(document, {"primary": lambda: primaries(schema.load(paths.CLAIMS))})


def primaries(claims: Claims) -> str:
    """The primary parts as Markdown: what is read of which table, and the smallest effect of interest in its unit."""
    lines = [_line(RULES), "|" + " --- |" * len(RULES)]
    for name, claim in claims.claims.items():
        part = claim.parts[claim.primary]
        test = part.test
        read = f"{test.table}: {test.metric}" + (f", {test.k} k" if test.k else "")
        read += f", {'its difference' if test.column == 'diff' else 'its value'}, {test.phase}"
        assert part.sesoi is not None  # nosec B101 # schema: a primary part has one
        sign = "+" if test.direction == "up" else "-"
        lines.append(
            _line([f"{name}{claim.primary}", part.statement, read, f"{sign}{part.sesoi.size:g}", part.sesoi.why])
        )
    return "\n".join([*lines, ""])


def build(params: Params, claims: Claims, tables: Mapping[str, Sequence[Row]]) -> str:
    """The table as Markdown, a line for each number that a part of a claim reads."""
    lines = [_line(HEADER), "|" + " --- |" * len(HEADER)]
    for part, table, row, column in report.rows_read(claims, params, tables):
        numbers = (row.value, row.low, row.high) if column == "value" else (row.diff, row.diff_low, row.diff_high)
        value, low, high = ("-" if number is None else f"{number:+.3f}" for number in numbers)
        reference = row.reference or (REFERENCE if column == "diff" else "")
        what = f"{row.arm}: {row.metric}"
        what += "" if row.k is None else f", k = {row.k}"
        what += "" if row.benchmark in (MEAN, "") else f", {row.benchmark}"
        what += f", {'less' if column == 'diff' else 'against'} {reference}" if reference else ""
        lines.append(_line([part, what, f"`dvc repro tables@{table}`", value, f"{low} to {high}"]))
    return "\n".join([*lines, "", f"Profile {params.profile}, training seeds {params.runs}.", ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell if cell.startswith('`') else escape_markdown(cell) for cell in cells)} |"
