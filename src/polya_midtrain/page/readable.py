"""A readable table as the page shows it: read back from the Markdown that stage tables wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from polya_midtrain.errors import UserError

_ESCAPED = re.compile(r"\\(.)")
_CELL = re.compile(r"((?:\\.|[^\\|])*)\|")  # up to a bar that is not escaped


@dataclass
class Grid:
    """One table: the first cell of a row names it."""

    caption: str
    header: list[str]
    rows: list[list[str]] = field(default_factory=list)


@dataclass
class Readable:
    """A page of reports/tables as plain text."""

    title: str
    grids: list[Grid]
    notes: list[str]


def read(path: Path, stage: str) -> Readable:
    """Read a page that ``stage`` writes; a fault is a one-line `UserError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; run `dvc repro {stage}`") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:1: not UTF-8 text; run `dvc repro -f {stage}`") from error
    return parse(text, path, stage)


def parse(text: str, path: Path, stage: str) -> Readable:
    """The inverse of the template table.md.j2: a title, captions in bold with a table each, and notes as a list.

    Raises `UserError` for a line that is none of these, naming ``path``.
    """
    page = Readable("", [], [])
    caption: str | None = None
    header: list[str] | None = None  # until its line of dashes has come
    for number, line in enumerate(text.split("\n"), start=1):
        cells = [plain(cell) for cell in _CELL.findall(line[1:])] if line.startswith("| ") else []
        if line.startswith("# ") and not page.title:
            page.title = plain(line[2:])
        elif line.startswith("**") and line.endswith("**"):
            caption = plain(line[2:-2])
        elif cells and caption is not None and header is None:
            header = cells
        elif cells and caption is not None and cells == ["---"] * len(header or ()):
            page.grids.append(Grid(caption, header or []))
            caption = header = None
        elif cells and caption is None and page.grids and len(cells) == len(page.grids[-1].header):
            page.grids[-1].rows.append(cells)
        elif line.startswith("- "):
            page.notes.append(plain(line[2:]))
        elif line.strip():
            raise _refusal(path, number, stage)
    if not page.title or not page.grids:
        raise _refusal(path, 1, stage)
    return page


def plain(text: str) -> str:
    """Markdown's escapes undone; the page's template escapes in its own way."""
    return _ESCAPED.sub(r"\1", text.strip())


def _refusal(path: Path, number: int, stage: str) -> UserError:
    return UserError(f"{path}:{number}: not a page as the pipeline writes it; run `dvc repro -f {stage}`")
