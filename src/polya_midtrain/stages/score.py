"""Stage score: how well each correct response follows its intended heuristic, by the reward model (paper, 5)."""

from __future__ import annotations

from dataclasses import asdict

from polya_midtrain import heuristics, paths, policy
from polya_midtrain.params import Params
from polya_midtrain.records import Graded, Question, Scored, by_id, read_records, write_records
from polya_midtrain.runtime.stage import stage


def run(params: Params) -> None:
    """Write data/traces/scored.parquet (records.Scored): correct responses under a heuristic, scored.

    Unprompted responses intend no heuristic: they are kept with score 0.
    """
    source = paths.MID
    with stage(
        params,
        "score",
        inputs=[source, paths.VERIFIED, paths.REWARD, params.prompts.catalogue],
        settings={"score": params.score.model_dump()},
        outputs={"scored.parquet": paths.SCORED},
        unit="responses",
    ) as this:
        from polya_midtrain.reward_model import RewardModel

        policy.quiet()
        asked = by_id(read_records(source, Question))
        correct = [row for row in read_records(paths.VERIFIED, Graded) if row.correct]
        prompted = [row for row in correct if row.heuristic]
        catalogue = heuristics.load(params.prompts.catalogue)
        model = RewardModel.load(paths.REWARD, params.machine, params.score.batch)
        values = model.scores(
            [(catalogue.get(row.heuristic), asked[row.question_id].question, row.text) for row in prompted],
            lambda done, total: this.line.update(0, done, total),
        )
        scores = dict(zip((id(row) for row in prompted), values, strict=True))
        rows = [Scored(**asdict(row), score=scores.get(id(row), 0.0)) for row in correct]
        write_records(this.work / "scored.parquet", Scored, rows)
        this.numbers["scored"] = len(prompted)
        this.numbers["mean"] = sum(values) / len(values) if values else 0.0
