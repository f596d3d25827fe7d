"""Stage score: how well a response follows its intended heuristic, by the reward model (paper, 5)."""

from __future__ import annotations

import functools

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.params import Params
from polya_midtrain.prompting import heuristics
from polya_midtrain.records import Graded, Question, Scored, by_id, extended, read_records, write_records
from polya_midtrain.runtime.stage import Stage, stage
from polya_midtrain.traces import selection


def run(params: Params) -> None:
    """Write data/traces/scored.parquet (records.Scored): correct responses, and wrong ones to be paired with them.

    Unprompted responses intend no heuristic: they are kept with score 0.
    """
    source = paths.MID
    with stage(
        params,
        "score",
        outputs={"scored.parquet": paths.SCORED},
        unit="responses",
    ) as this:
        from polya_midtrain.traces.reward_model import RewardModel

        policy.quiet()
        asked = by_id(read_records(source, Question))
        kept = selection.candidates(read_records(paths.GRADED, Graded))
        prompted = [row for row in kept if row.heuristic]
        catalogue = heuristics.load(params.prompts.catalogue)
        scores: dict[int, float] = {}
        for number in params.numbers:
            ours = [row for row in prompted if asked[row.question_id].base == number]
            model = RewardModel.load(policy.resolve(paths.reward(number)), params.machine, params.score.batch)
            values = model.scores(
                [(catalogue.get(row.heuristic), asked[row.question_id].question, row.text) for row in ours],
                functools.partial(_report, this, len(scores), len(prompted)),
            )
            scores |= dict(zip((id(row) for row in ours), values, strict=True))
        rows = [extended(row, Scored, score=scores.get(id(row), 0.0)) for row in kept]
        write_records(this.work / "scored.parquet", Scored, rows)
        this.numbers["scored"] = len(prompted)
        for name, right in (("right", True), ("wrong", False)):
            found = [row.score for row in rows if row.heuristic and row.correct is right]
            this.numbers[f"mean/{name}"] = sum(found) / len(found) if found else 0.0


def _report(this: Stage, before: int, total: int, done: int, _: int) -> None:
    this.line.update(0, before + done, total)
