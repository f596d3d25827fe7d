"""Stage grade: the rule-based check of every generated answer; right and wrong are both kept (paper, 4)."""

from __future__ import annotations

from polya_midtrain import grading, paths
from polya_midtrain.grading.rows import grade_rows
from polya_midtrain.params import Params
from polya_midtrain.records import Completion, Graded, Question, by_id, read_records, write_records
from polya_midtrain.runtime.stage import stage


def run(params: Params) -> None:
    """Write data/traces/graded.parquet (records.Graded)."""
    source = paths.MID
    with stage(
        params,
        "grade",
        outputs={"graded.parquet": paths.GRADED},
    ) as this:
        rows = read_records(paths.GENERATED, Completion)
        golds = by_id(read_records(source, Question))
        graded = grade_rows(rows, golds, params, this.work)
        write_records(this.work / "graded.parquet", Graded, graded)
        this.numbers["completions"] = len(graded)
        this.numbers["correct"] = sum(row.correct for row in graded)
        for reason in grading.REASONS:
            this.numbers[f"reason/{reason}"] = sum(row.reason == reason for row in graded)
