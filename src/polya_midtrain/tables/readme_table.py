"""The README's results, made from a committed run's reports so that they cannot drift from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from polya_midtrain.errors import UserError
from polya_midtrain.params.studies import REFERENCE
from polya_midtrain.results.small import PHASES
from polya_midtrain.tables import read
from polya_midtrain.tables.row import MEAN, PASS, Rows, in_words
from polya_midtrain.tables.shared import cells
from polya_midtrain.tables.shared.render import escape_markdown

PARTS = "**Their parts**"  # what follows the claims in the ledger


def inject(readme: Path, folder: Path, profile: str) -> bool:
    """Put the ledger's claims and the main table between the README's markers; True if that changed the file.

    ``folder``: of claims.md and tables/; ``profile``: whose run they are. Raises `UserError` when a file or the markers
    are missing, or a table is not in the long format.
    """
    return renew(
        readme, {"ledger": lambda: ledger(folder / "claims.md"), "main": lambda: build(folder / "tables", profile)}
    )


def renew(document: Path, contents: Mapping[str, Callable[[], str]]) -> bool:
    """Put each content between the document's markers of its name; True if that changed the file."""
    try:
        text = document.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{document}: no such file; run this from the project's root") from error
    renewed = text
    for name, content in contents.items():
        begin, end = marks(name)
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        places = [match.span() for match in pattern.finditer(renewed)]
        if len(places) != 1:
            raise UserError(
                f"{document}: the lines {begin} and {end} must be there once; restore them around the table"
            )
        ((start, stop),) = places
        renewed = f"{renewed[:start]}{begin}\n{content()}{end}{renewed[stop:]}"
    if renewed != text:
        document.write_text(renewed, encoding="utf-8", newline="\n")
    return renewed != text


def marks(name: str) -> tuple[str, str]:
    """What stands around a made part of a document."""
    return f"<!-- {name} -->", f"<!-- /{name} -->"


def ledger(path: Path) -> str:
    """The claims of a ledger with their verdicts, without its parts and notes."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; run `dvc repro claims`") from error
    claims, found, _ = text.partition(PARTS)
    if not found:
        raise UserError(f"{path}:1: no line {PARTS}; run `dvc repro -f claims`")
    return claims.partition("\n")[2].strip() + "\n"


def build(tables: Path, profile: str) -> str:
    """The table as Markdown: per arm the mean over benchmarks before and after RL, and the difference to vanilla."""
    before, after = _means(tables / "midtrain.csv"), _means(tables / "main.csv")
    found = after.find(PASS)
    ks = sorted({row.k or 0 for row in found})
    ends = sorted({ks[0], ks[-1]})
    header = ["arm", *(f"pass@{k} {phase} RL" for k in ends for phase in PHASES)]
    header += [f"after RL, less {REFERENCE}: pass@{ks[-1]}", "Holm p", "significant"]
    lines = [_line(header), "|" + " --- |" * len(header)]
    for last in (row for row in found if row.k == ks[-1]):
        shown = [cells.score(one.get(PASS, arm=last.arm, k=k)) for k in ends for one in (before, after)]
        if cells.UNKNOWN in shown:
            raise UserError(f"{tables / 'midtrain.csv'}: no pooled mean of arm {last.arm!r}; run `dvc repro`")
        less = cells.UNKNOWN
        if last.diff is not None:
            less = cells.score(replace(last, value=last.diff, low=last.diff_low, high=last.diff_high))
        lines.append(_line([last.arm, *shown, less, cells.number(last.p_holm), last.significant or cells.UNKNOWN]))
    some = found[0]
    facts = (
        f"Profile {profile}: means over the benchmarks ({some.n_questions} questions, {some.n_samples} samples "
        f"each, {in_words(some.runs)}); brackets: {some.method}; p: Holm-corrected over the arms. "
        f"All k, benchmarks and seeds, with notes: {tables.as_posix()}/main.md and midtrain.md."
    )
    return "\n".join([*lines, "", escape_markdown(facts), ""])


def _means(path: Path) -> Rows:
    """The rows of a CSV that are means over benchmarks."""
    found = Rows(row for row in read.read(path) if row.benchmark == MEAN)
    if not found.find(PASS):
        raise UserError(f"{path}:1: no mean {PASS} rows; run `dvc repro -f tables@{path.stem}`")
    return found


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(escape_markdown(cell) for cell in cells)} |"
