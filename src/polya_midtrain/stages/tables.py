"""Stage tables@TABLE: one table of the study as CSV, Markdown and LaTeX, from results/counts alone.

Restyling a table therefore recomputes nothing, and a reader without checkpoints can rebuild every table.
"""

from __future__ import annotations

import importlib

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.runtime.stage import stage
from polya_midtrain.tables import counts, render
from polya_midtrain.tables.long import PASS
from polya_midtrain.tables.paper_values import MEAN

TABLES = ("main", "midtrain")  # modules of tables/; only the one that is asked for is loaded (see dvc.yaml)


def run(params: Params, table: str) -> None:
    """Write reports/tables/TABLE.{csv,md,tex}, and to results/metrics the pooled means at the smallest and largest k.

    Raises `UserError` for an unknown table and for counts that are missing, malformed or incomplete.
    """
    if table not in TABLES:
        raise UserError(f"no table {table!r}; the tables are {', '.join(TABLES)}")
    benchmarks = list(params.questions.benchmarks)
    with stage(
        params,
        f"tables@{table}",
        inputs=[paths.COUNTS],
        settings={"tables": params.tables.model_dump(), "arms": list(params.arms), "benchmarks": benchmarks},
        outputs={f"{table}.{suffix}": paths.TABLES / f"{table}.{suffix}" for suffix in ("csv", "md", "tex")},
        seeds=params.seeds,
    ) as this:
        module = importlib.import_module(f"polya_midtrain.tables.{table}")
        rows, page = module.build(counts.read(paths.COUNTS, list(params.arms), benchmarks, params.seeds), params)
        for suffix, text in (
            ("csv", render.csv_text(rows)),
            ("md", render.markdown(page)),
            ("tex", render.latex(page)),
        ):
            (this.work / f"{table}.{suffix}").write_text(text, encoding="utf-8", newline="\n")
        pooled = "+".join(str(seed) for seed in params.seeds)
        ends = {min(params.tables.ks), max(params.tables.ks)}
        this.numbers |= {
            f"{row.arm}/pass_at_{row.k}": row.value
            for row in rows
            if (row.benchmark, row.metric, row.seeds) == (MEAN, PASS, pooled) and row.k in ends
        }
