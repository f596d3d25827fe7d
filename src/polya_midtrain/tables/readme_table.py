"""The README's result table, made from the committed CSVs so that it cannot drift from them."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from polya_midtrain.errors import UserError
from polya_midtrain.studies import REFERENCE
from polya_midtrain.tables.long import PASS
from polya_midtrain.tables.paper_values import MEAN
from polya_midtrain.tables.render import COLUMNS, escape_markdown

BEGIN, END = "<!-- table:main -->", "<!-- /table -->"
Record = dict[str, str]


def inject(readme: Path, tables: Path, profile: str) -> bool:
    """Put the table between the README's markers; True if that changed the file.

    ``tables``: the folder of midtrain.csv (before RL) and main.csv (after RL); ``profile``: whose run they are.
    Raises `UserError` when a file or the markers are missing, or a CSV is not in the long format.
    """
    try:
        text = readme.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{readme}: no such file; run this from the project's root") from error
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise UserError(f"{readme}: the lines {BEGIN} and {END} must be there once; restore them around the table")
    block = f"{BEGIN}\n{build(tables, profile)}{END}"
    renewed = pattern.sub(lambda _: block, text)
    if renewed != text:
        readme.write_text(renewed, encoding="utf-8", newline="\n")
    return renewed != text


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
            cells += [_interval(before[arm, k]), _interval(after[arm, k])]
        last = after[arm, ks[-1]]
        cells += [_interval(last, "diff"), _short(last["p_holm"]) or "-", last["significant"] or "-"]
        lines.append(_line(cells))
    some = after[next(iter(after))]
    facts = (
        f"Profile {profile}: means over the benchmarks ({some['n_questions']} questions, {some['n_samples']} samples "
        f"each, training seeds {some['seeds']}); brackets: {some['method']}; p: Holm-corrected over the arms. "
        f"All k, benchmarks and seeds, with notes: {tables.as_posix()}/main.md and midtrain.md."
    )
    return "\n".join([*lines, "", escape_markdown(facts), ""])


def _pooled(path: Path) -> dict[tuple[str, int], Record]:
    """The pooled mean pass@k rows of a CSV by (arm, k); a seed's own row precedes the pooled one, which replaces it."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            records = list(reader)
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; run `dvc repro`") from error
    found = {
        (record["arm"], int(record["k"])): record
        for record in records
        if tuple(reader.fieldnames or ()) == COLUMNS and (record["benchmark"], record["metric"]) == (MEAN, PASS)
    }
    if not found:
        raise UserError(f"{path}:1: no mean {PASS} rows in the long format; run `dvc repro`")
    return found


def _interval(record: Record, name: str = "value") -> str:
    low, high = ("low", "high") if name == "value" else (f"{name}_low", f"{name}_high")
    if not record[name]:
        return "-"
    return f"{_short(record[name])} [{_short(record[low])}, {_short(record[high])}]"


def _short(number: str) -> str:
    return f"{float(number):.3f}" if number else ""


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(escape_markdown(cell) for cell in cells)} |"
