"""The README's results, made from a committed run's reports so that they cannot drift from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from polya_midtrain.errors import UserError
from polya_midtrain.studies import REFERENCE
from polya_midtrain.tables import read
from polya_midtrain.tables.row import MEAN, PASS, Row
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
    before, after = _pooled(tables / "midtrain.csv"), _pooled(tables / "main.csv")
    ks = sorted({k for _, k in after})
    ends = sorted({ks[0], ks[-1]})
    header = ["arm"]
    for k in ends:
        header += [f"pass@{k} before RL", f"pass@{k} after RL"]
    header += [f"after RL, less {REFERENCE}: pass@{ks[-1]}", "Holm p", "significant"]
    lines = [_line(header), "|" + " --- |" * len(header)]
    for arm in dict.fromkeys(arm for arm, _ in after):
        if any((arm, k) not in before for k in ends):
            raise UserError(f"{tables / 'midtrain.csv'}: no pooled mean of arm {arm!r}; run `dvc repro`")
        cells = [arm]
        for k in ends:
            cells += [_interval(row.value, row.low, row.high) for row in (before[arm, k], after[arm, k])]
        last = after[arm, ks[-1]]
        cells += [_interval(last.diff, last.diff_low, last.diff_high), _short(last.p_holm), last.significant or "-"]
        lines.append(_line(cells))
    some = after[next(iter(after))]
    facts = (
        f"Profile {profile}: means over the benchmarks ({some.n_questions} questions, {some.n_samples} samples "
        f"each, training seeds {some.seeds}); brackets: {some.method}; p: Holm-corrected over the arms. "
        f"All k, benchmarks and seeds, with notes: {tables.as_posix()}/main.md and midtrain.md."
    )
    return "\n".join([*lines, "", escape_markdown(facts), ""])


def _pooled(path: Path) -> dict[tuple[str, int], Row]:
    """The pooled mean pass@k rows of a CSV by (arm, k); a seed's own row precedes the pooled one, which replaces it."""
    found = {
        (row.arm, row.k): row
        for row in read.read(path)
        if row.k is not None and (row.benchmark, row.metric) == (MEAN, PASS)
    }
    if not found:
        raise UserError(f"{path}:1: no mean {PASS} rows; run `dvc repro -f tables@{path.stem}`")
    return found


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    return "-" if value is None else f"{_short(value)} [{_short(low)}, {_short(high)}]"


def _short(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(escape_markdown(cell) for cell in cells)} |"
