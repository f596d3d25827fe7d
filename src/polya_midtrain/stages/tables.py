"""Stage tables@TABLE: one table of the study as CSV and JSON, and as Markdown and LaTeX made from the latter.

It reads small files of results/ alone. Restyling a table therefore recomputes nothing, and a reader without checkpoints
can rebuild every table.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.runtime.stage import stage
from polya_midtrain.tables.registry import TABLES
from polya_midtrain.tables.row import MEAN, PASS, Row, pooled_name
from polya_midtrain.tables.shared import render
from polya_midtrain.tables.shared.scores import RATES

WEAK = "weak sandbox: programs may have been graded without seccomp or Landlock"


def run(params: Params, table: str) -> None:
    """Write reports/tables/TABLE.{csv,json,md,tex}, and the table's `headline` to results/metrics.

    Raises `UserError` for an unknown table and for results that are missing, malformed or incomplete.
    """
    if table not in TABLES:
        raise UserError(f"no table {table!r}; the tables are {', '.join(TABLES)}")
    with stage(
        params,
        f"tables@{table}",
        outputs={f"{table}.{suffix}": paths.TABLES / f"{table}.{suffix}" for suffix in ("csv", "json", "md", "tex")},
        seeds=params.runs,
    ) as this:
        module = importlib.import_module(f"polya_midtrain.tables.{table}.table")
        rows, page = module.build(params)
        if params.machine.sandbox == "weak":
            rows, page = render.stamped(rows, page, WEAK)
        for suffix, text in (
            ("csv", render.csv_text(rows)),
            ("json", page.text()),
            ("md", render.markdown(page)),
            ("tex", render.latex(page)),
        ):
            (this.work / f"{table}.{suffix}").write_text(text, encoding="utf-8", newline="\n")
        this.numbers |= headline(rows, params.runs, {min(params.tables.ks), max(params.tables.ks)})


def headline(rows: Sequence[Row], seeds: Sequence[int], ends: set[int]) -> dict[str, float]:
    """A table's few numbers: the pooled means that have an interval, at both ends of k or where there is no k.

    Named ARM/METRIC or, for a change, ARM_to_REFERENCE/METRIC, with the phase before it where the table has both, and
    the k after it.
    """
    shown = [
        row
        for row in rows
        if row.benchmark in (MEAN, "")
        and row.seeds == pooled_name(seeds)
        and row.low is not None
        and row.metric not in RATES
        and (row.k is None or row.k in ends)
    ]
    phases = {row.phase for row in shown}
    found = {}
    for row in shown:
        arm = f"{row.arm} to {row.reference}" if row.reference and row.diff is None else row.arm
        metric = ("pass at" if row.metric == PASS else row.metric) + ("" if row.k is None else f" {row.k}")
        parts = [row.phase, arm, metric] if len(phases) > 1 else [arm, metric]
        found["/".join(re.sub(r"[^\w+]+", "_", part) for part in parts)] = row.value
    return found
