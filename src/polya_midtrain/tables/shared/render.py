"""Rows as CSV; the readable page of the same numbers as JSON, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import model_validator

from polya_midtrain.results.small import Part, Small
from polya_midtrain.tables.row import COLUMNS, DECIMALS, Row

TEMPLATES = Path(__file__).parents[1]

_TEX: dict[str | int, str | int | None] = {
    "\\": r"\textbackslash{}",
    **{character: "\\" + character for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "*": "$^{*}$",
    "<": "$<$",
    ">": "$>$",
}
_MARKDOWN: dict[str | int, str | int | None] = {character: "\\" + character for character in "\\|*_`<>"}


class Grid(Part):
    """One readable table; every row has as many cells as the header, the first of which names the row."""

    caption: str
    header: list[str]
    rows: list[list[str]]

    @model_validator(mode="after")
    def _even(self) -> Grid:
        if any(len(row) != len(self.header) for row in self.rows):
            raise ValueError(f"{self.caption!r} has rows that are not as long as its header")
        return self


class Page(Small, Part):
    """A readable table, NAME.json: what Markdown, LaTeX and the page show, as plain text that each escapes in its own
    way."""

    LINES: ClassVar = ("grids", "notes")

    title: str
    grids: list[Grid]
    notes: list[str]


def csv_text(rows: Iterable[Row]) -> str:
    """The long format: a header and a line per row, floats with a fixed number of decimals, unknown values empty."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_field(getattr(row, name)) for name in COLUMNS] for row in rows)
    return target.getvalue()


def _field(value: str | int | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.{DECIMALS}f}" if isinstance(value, float) else str(value)


def stamped(rows: Iterable[Row], page: Page, mark: str) -> tuple[list[Row], Page]:
    """A table with a mark on the whole of it: in each row's method, and as the first note."""

    def method(text: str) -> str:
        first, *rest = text.split("; ")
        return "; ".join([first, mark, *rest])

    shown = page.model_copy(update={"notes": [mark, *page.notes]})
    return [replace(row, method=method(row.method)) for row in rows], shown


def markdown(page: Page) -> str:
    """The page as GitHub Markdown."""
    return _fill("shared/table.md.j2", page=page)


def latex(page: Page) -> str:
    """The page as LaTeX tables (booktabs), to be included in a document."""
    return _fill("shared/table.tex.j2", page=page)


def escape_markdown(text: str) -> str:
    """Plain text as Markdown, in a table cell or outside."""
    return text.translate(str.maketrans(_MARKDOWN))


def escape_latex(text: str) -> str:
    """Plain text as LaTeX."""
    return text.translate(str.maketrans(_TEX))


def notes(template: str, **values: Any) -> list[str]:
    """The paragraphs of a template of tables/, each as one line."""
    paragraphs = re.split(r"\n\s*\n", _fill(template, **values))
    found = (" ".join(line.strip() for line in paragraph.strip().splitlines()) for paragraph in paragraphs)
    return [note for note in found if note]


def _fill(template: str, **values: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # nosec B701 # Markdown, LaTeX and plain text
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(md=escape_markdown, tex=escape_latex)
    return environment.get_template(template).render(values)
