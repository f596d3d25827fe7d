"""What stands on the page beside the ledger, from a run's reports: tables, figures, how long each stage took."""

from __future__ import annotations

import base64
import gzip
from typing import NamedTuple

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.figures.words import Index, Words
from polya_midtrain.page import vector
from polya_midtrain.runtime.stage import by_stage, read_seconds
from polya_midtrain.tables.registry import LEDGER_FIGURES, TABLES
from polya_midtrain.tables.shared.render import Page

INDEX = paths.FIGURES / "figures.json"


class Figure(NamedTuple):
    """A figure in the page: ``svg`` is markup."""

    name: str
    words: Words
    svg: str


class Section(NamedTuple):
    """A table with its figures. ``packed``: the long CSV, compressed, as base64; ``numbers``: its rows."""

    name: str
    table: Page
    figures: list[Figure]
    packed: str
    numbers: int


def sections() -> list[Section]:
    """Every table with its figures; `UserError` where one is missing or not as its stage writes it."""
    words = Index.read(INDEX).root
    found = []
    for name, table in TABLES.items():
        path = paths.TABLES / f"{name}.csv"
        page = Page.read(path.with_suffix(".json"))
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise UserError(f"{path}: missing; run `dvc repro tables@{name}`") from error
        packed = base64.b64encode(gzip.compress(content, mtime=0)).decode()
        figures = [_figure(one, words[one]) for one in sorted(table.figures) if one in words]
        found.append(Section(name, page, figures, packed, max(content.count(b"\n") - 1, 0)))
    return found


def ledger_figures() -> list[Figure]:
    """The figures of the ledger that this run has."""
    words = Index.read(INDEX).root
    return [_figure(name, words[name]) for name in LEDGER_FIGURES if name in words]


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


def _figure(name: str, words: Words) -> Figure:
    return Figure(name, words, vector.inline(paths.FIGURES / f"{name}.svg", f"figure-{name}", words.title, words.alt))
