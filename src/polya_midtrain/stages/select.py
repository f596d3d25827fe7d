"""Stage select: an arm's mid-training set, one response per (question, heuristic), with its data card (paper, 5)."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from polya_midtrain import heuristics, paths
from polya_midtrain.params import Params
from polya_midtrain.records import Question, Scored, TrainingRow, by_id, read_records, write_records
from polya_midtrain.runtime.stage import stage
from polya_midtrain.science import selection


def run(params: Params, arm: str) -> None:
    """Write data/train/ARM.parquet (records.TrainingRow; empty for an arm without mid-training) and ARM.json."""
    settings = params.arm(arm)
    source = paths.MID
    with stage(
        params,
        "select",
        arm=arm,
        inputs=[source, paths.SCORED, params.prompts.catalogue],
        settings={"arm": settings.model_dump(), "select": params.select.model_dump()},
        outputs={"rows.parquet": paths.TRAIN / f"{arm}.parquet", "card.json": paths.TRAIN / f"{arm}.json"},
    ) as this:
        scored = read_records(paths.SCORED, Scored)
        names = heuristics.load(params.prompts.catalogue).first(settings.n if settings.traces == "heuristics" else 1)
        if settings.traces == "heuristics":
            chosen = selection.best_per_heuristic(scored, names)
        elif settings.traces == "unprompted":
            chosen = selection.unprompted(scored, settings.n, params.select.seed)
        else:
            chosen = []
        asked = by_id(read_records(source, Question))
        rows = [
            TrainingRow(
                row.question_id, row.heuristic, asked[row.question_id].question, row.text, row.tokens, row.score
            )
            for row in chosen
        ]
        write_records(this.work / "rows.parquet", TrainingRow, rows)
        (this.work / "card.json").write_text(json.dumps(card(arm, rows, len(asked)), indent=2) + "\n")
        this.numbers.update({"rows": len(rows), "tokens": sum(row.tokens for row in rows)})


def card(arm: str, rows: list[TrainingRow], asked: int) -> dict[str, Any]:
    """What a training set holds: rows, response tokens, questions covered, rows per heuristic."""
    return {
        "arm": arm,
        "rows": len(rows),
        "tokens": sum(row.tokens for row in rows),
        "questions": len({row.question_id for row in rows}),
        "questions_asked": asked,
        "rows_per_heuristic": dict(Counter(row.heuristic for row in rows)),
    }
