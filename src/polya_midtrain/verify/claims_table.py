"""REPRODUCE.md's table of claims: what makes each one's number, how long that takes, and what to expect of it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.ledger import report, schema
from polya_midtrain.ledger.schema import Claims
from polya_midtrain.runtime import lock
from polya_midtrain.runtime.stage import read_seconds
from polya_midtrain.studies import REFERENCE
from polya_midtrain.tables import readme_table
from polya_midtrain.tables.row import MEAN, Row
from polya_midtrain.tables.shared.render import escape_markdown
from polya_midtrain.verify import compare, expected, runs
from polya_midtrain.verify.compare import Key
from polya_midtrain.verify.expected import Cell, Column, Expected
from polya_midtrain.verify.runs import Run

HEADER = ["claim", "number", "command", "minutes", "committed run", "expected"]


def check_committed(folder: Path) -> None:
    """Raise `UserError` unless git has the run in ``folder`` as it is, committed or staged.

    The document speaks of that run, its minutes included, and not of one that somebody made in a clone.
    """
    read = [str(path) for path in (settings.PARAMS_FILE, lock.LOCK, paths.METRICS, paths.TABLES)]
    command = ["git", "-C", str(folder), "status", "--porcelain", "--", *read]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            "git does not say whether the run here is the committed one; run this in a git checkout of the project"
        ) from error
    for line in found.stdout.splitlines():
        if line[1] != " ":
            raise UserError(
                f"{line[3:]}: not as git has it, so the run here is not the committed one; to make it that, "
                f"`git add {' '.join(read)}`; to have that one back, `git checkout` the same"
            )


def inject(document: Path, folder: Path) -> bool:
    """Put the table of the finished run in ``folder`` between the document's markers; True if that changed the file."""
    run = runs.load(folder)
    stages, seconds = lock.stages(folder / lock.LOCK), read_seconds(folder / paths.METRICS)
    spent = {name: minutes(stages, seconds, f"tables@{name}") for name in run.tables}
    known, claims = expected.load(run.params.profile), schema.load(paths.CLAIMS)
    return readme_table.renew(document, {"claims": lambda: build(run, claims, known, spent)})


def build(run: Run, claims: Claims, known: Expected, spent: Mapping[str, float]) -> str:
    """The table as Markdown, a line for each number that a part of a claim reads.

    ``known``: the ranges of the run's profile; ``spent``: minutes from nothing to each table. A number that no range
    holds has a dash there.
    """
    ranges: dict[tuple[str, Key, Column], Cell] = {
        (name, (cell.arm, cell.phase, cell.benchmark, cell.metric, cell.k, cell.reference), cell.column): cell
        for name, table in known.tables.items()
        for cell in table.cells
    }
    lines = [_line(HEADER), "|" + " --- |" * len(HEADER)]
    for part, table, row, column in report.rows_read(claims, run.params, run.tables):
        value = compare.number_of(row, column)
        cell = ranges.get((table, compare.key_of(row), column))
        shown = "-" if cell is None else f"{cell.low:+.3f} to {cell.high:+.3f}"
        number = "-" if value is None else f"{value:+.3f}"
        lines.append(
            _line([part, _what(row, column), f"`dvc repro tables@{table}`", f"{spent[table]:.0f}", number, shown])
        )
    facts = f"Profile {run.params.profile}; ranges of {len(known.runs)} runs with other seeds ({known.made.date})."
    return "\n".join([*lines, "", facts, ""])


def minutes(stages: Mapping[str, Any], seconds: Mapping[str, float], target: str) -> float:
    """The minutes of a stage and of all that it needs, one after the other.

    ``stages``: the entries of dvc.lock; ``seconds``: of each stage that ran, by the same names.
    """
    made_by = {out["path"]: name for name, entry in stages.items() for out in entry.get("outs", [])}
    needed, waiting = set(), [target]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [
                maker
                for dep in stages[name].get("deps", [])
                for path, maker in made_by.items()
                if _overlap(dep["path"], path)
            ]
    return sum(seconds.get(name, 0.0) for name in needed) / 60


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _what(row: Row, column: Column) -> str:
    k = "" if row.k is None else f", k = {row.k}"
    sets = "" if row.benchmark in (MEAN, "") else f", {row.benchmark}"
    reference = row.reference or (REFERENCE if column == "diff" else "")
    against = f", {'less' if column == 'diff' else 'against'} {reference}" if reference else ""
    return f"{row.arm}: {row.metric}{k}{sets}{against}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell if cell.startswith('`') else escape_markdown(cell) for cell in cells)} |"
