"""A run's tables against the expected ones: every difference is a line that names the table, the row and the number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

from polya_midtrain.tables.row import DECIMALS, Row
from polya_midtrain.verify.expected import Cell, Column, Expected, Shape

NAMES = ("arm", "phase", "benchmark", "metric", "k", "reference")
Key = tuple[str, str, str, str, int | None, str]


def pooled(rows: Sequence[Row], seeds: Sequence[int]) -> dict[Key, Row]:
    """The rows that speak of the whole run, by what they are about: over all training seeds, or of none of them.

    What several rows say of one thing is left out, for no number of it could be named.
    """
    names = ("", "+".join(str(seed) for seed in seeds))
    found: dict[Key, Row] = {}
    several = set()
    for row in rows:
        if row.seeds in names:
            key = key_of(row)
            several |= {key} & found.keys()
            found[key] = row
    return {key: row for key, row in found.items() if key not in several}


def faults(expected: Expected, tables: Mapping[str, Sequence[Row]], seeds: Sequence[int]) -> list[str]:
    """One line per number outside its range, and per arm, row or column that is missing or too many.

    ``tables``: the rows of the run's tables, all that ``expected`` names; ``seeds``: its training seeds.
    """
    found = []
    for name, table in expected.tables.items():
        rows = tables[name]
        found += [f"{name}: {what}" for what in _shape(table.shape, rows)]
        held = pooled(rows, seeds)
        for cell in table.cells:
            row = held.get((cell.arm, cell.phase, cell.benchmark, cell.metric, cell.k, cell.reference))
            if row is None:
                found.append(f"{name}: {named(cell)}: no such row")
            elif (what := _outside(cell, row)) is not None:
                found.append(f"{name}: {named(cell)}: {what}")
    return found


def key_of(row: Row) -> Key:
    """What a row is about, training seeds apart; its parts are named by `NAMES`."""
    return row.arm, row.phase, row.benchmark, row.metric, row.k, row.reference


def columns() -> list[str]:
    """The long format's columns, in order."""
    return [field.name for field in fields(Row)]


def number_of(row: Row, column: Column) -> float | None:
    """The held number of a row, in its unit."""
    return row.value if column == "value" else row.diff


def named(cell: Cell) -> str:
    """The row and column of a held number, as words."""
    parts = [f"{name} {value}" for name in NAMES if (value := getattr(cell, name)) not in ("", None)]
    return f"{', '.join(parts)}, {cell.column}"


def _shape(shape: Shape, rows: Sequence[Row]) -> list[str]:
    found = []
    if shape.columns != columns():
        found.append(f"its columns were {','.join(shape.columns)} and are {','.join(columns())}")
    arms = {row.arm for row in rows}
    found += [f"arm {arm} is missing" for arm in shape.arms if arm not in arms]
    if shape.rows is not None and len(rows) != shape.rows:
        found.append(f"{len(rows)} rows, {shape.rows} expected")
    return found


def _outside(cell: Cell, row: Row) -> str | None:
    number = number_of(row, cell.column)
    span = f"{cell.low:.{DECIMALS}f} to {cell.high:.{DECIMALS}f}"
    if number is None:
        return f"empty, {span} expected"
    return None if cell.low <= number <= cell.high else f"{number:.{DECIMALS}f} is outside {span}"
