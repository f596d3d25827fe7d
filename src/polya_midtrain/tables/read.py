"""A table's CSV read back as rows."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from polya_midtrain.errors import UserError
from polya_midtrain.tables.row import COLUMNS, Row

LEAST = sum(field.default is MISSING for field in fields(Row))  # columns that every file has
_CASTS = {"int": int, "float": float, "str": str}


def read(path: Path) -> list[Row]:
    """The rows of a table in the long format, in the file's order; an empty number is None.

    Columns that are missing at its end are empty: they came after a kept run. Raises `UserError` with file and line for
    a missing file, other columns, or a cell that is no number.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            lines = list(csv.reader(stream))
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; run `dvc repro tables@{path.stem}`") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:1: not UTF-8 text; {_remedy(path)}") from error
    head = tuple(lines[0]) if lines else ()
    if len(head) < LEAST or head != COLUMNS[: len(head)]:
        raise UserError(f"{path}:1: its columns are not those of the long format; {_remedy(path)}")
    return [_row(path, number, cells, len(head)) for number, cells in enumerate(lines[1:], start=2)]


def _remedy(path: Path) -> str:
    return f"run `dvc repro -f tables@{path.stem}`"


def _row(path: Path, line: int, cells: Sequence[str], columns: int) -> Row:
    if len(cells) != columns:
        raise UserError(f"{path}:{line}: {len(cells)} cells for {columns} columns; {_remedy(path)}")
    found: dict[str, Any] = {}
    for field, cell in zip(fields(Row), cells, strict=False):
        kind, _, optional = str(field.type).partition(" | ")
        try:
            value = None if optional and not cell else _CASTS[kind](cell)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(cell)
            found[field.name] = value
        except ValueError as error:
            what = f"{field.name} is {cell!r}, which is no number"
            raise UserError(f"{path}:{line}: {what}; {_remedy(path)}") from error
    return Row(**found)
