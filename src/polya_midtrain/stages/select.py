"""Stage select: every arm's mid-training set, one response per (question, heuristic), and what it holds (paper, 5)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import PARAMS_FILE, Arm, Params
from polya_midtrain.prompting import heuristics
from polya_midtrain.records import Graded, Question, Scored, TrainingRow, by_id, read_records, write_records
from polya_midtrain.results.training_sets import TrainingSet, TrainingSets
from polya_midtrain.runtime.stage import stage
from polya_midtrain.traces import adherence, selection


def run(params: Params) -> None:
    """Write data/train/ARM.parquet (records.TrainingRow; empty without mid-training), and what each holds.

    The latter is results/counts/training_sets.json. All arms at once: some are matched to another's rows or tokens.
    An arm's stages depend on its own file alone.
    """
    source = paths.MID
    with stage(
        params,
        "select",
        outputs={"train": paths.TRAIN, "training_sets.json": paths.TRAINING_SETS},
        tasks=len(params.arms),
    ) as this:
        scored = read_records(paths.SCORED, Scored)
        taught = read_records(paths.DISTILLED, Graded)
        names = heuristics.load(params.prompts.catalogue).first(params.generate.heuristics)
        asked = by_id(read_records(source, Question))
        sets: dict[str, list[Graded]] = {name: [] for name in params.arms}
        for number in params.numbers:
            mine = {name: question for name, question in asked.items() if question.base == number}
            ordered = selection.places(mine, names, params.select.order, params.select.seed)
            least = least_score(policy.resolve(paths.reward(number)), params)
            ours = following([row for row in scored if row.question_id in mine], least)
            theirs = [row for row in taught if row.question_id in mine]
            for name, chosen_rows in of_one_base(ours, theirs, ordered, params).items():
                sets[name] += chosen_rows
        cards = {}
        for name in params.arms:
            rows = [
                TrainingRow(
                    row.question_id,
                    row.heuristic,
                    asked[row.question_id].question,
                    row.text,
                    row.tokens,
                    row.score if isinstance(row, Scored) else 0.0,
                    asked[row.question_id].kind,
                    asked[row.question_id].base,
                )
                for row in sets[name]
            ]
            write_records(this.work / "train" / f"{name}.parquet", TrainingRow, rows)
            cards[name] = card(name, sets[name], asked, len(params.bases))
            told = {what: getattr(cards[name], what) for what in ("rows", "tokens", "questions", "follow")}
            this.numbers.update({f"{name}/{what}": value for what, value in told.items() if value is not None})
        TrainingSets(cards).write(this.work / "training_sets.json")


def following(scored: Sequence[Scored], least: float) -> list[Scored]:
    """The traces that follow their heuristic by the score, and those that have none."""
    return [row for row in scored if not row.heuristic or row.score >= least]


def least_score(reward: Path, params: Params) -> float:
    """The score from which on a trace counts as following its heuristic, by the reward model in folder ``reward``."""
    precision = params.select.adherence
    if precision == "none":
        return -math.inf
    least = adherence.threshold(adherence.HeldOut.read(reward / paths.HELD_OUT), precision)
    if least is None:
        raise UserError(
            f"{PARAMS_FILE}: select.adherence: of the traces of held-out pairs above any score fewer than {precision} "
            "follow their heuristic; lower it, or train the reward model longer (reward.pairs, reward.epochs)"
        )
    return least


def of_one_base(
    scored: Sequence[Scored], taught: Sequence[Graded], ordered: selection.Places, params: Params
) -> dict[str, list[Graded]]:
    """The rows of every arm from the traces of one base and its teacher."""
    sets: dict[str, list[Graded]] = {}
    # An arm that is matched comes after the one it is matched to.
    for name, arm in sorted(params.arms.items(), key=lambda item: item[1].match is not None):
        sets[name] = chosen(arm, scored, taught, ordered, params)
        if arm.match is not None:
            sets[name] = matched(name, arm, sets, params.select.seed)
    return sets


def chosen(
    arm: Arm, scored: Sequence[Scored], taught: Sequence[Graded], ordered: selection.Places, params: Params
) -> list[Graded]:
    """An arm's rows before they are matched to another's."""
    seed = params.select.seed
    if arm.traces == "none":
        return []
    if arm.traces == "unprompted":
        return list(selection.unprompted(scored, arm.n, seed))
    if arm.traces == "teacher":
        return list(selection.unprompted(taught, arm.n, seed))
    if arm.traces == "heuristics":
        return list(selection.best_per_heuristic(scored, ordered, arm.n))
    pairs = selection.pairs(scored, ordered, arm.n, params.select.length_tolerance)
    if arm.traces == "mixed":
        return list(selection.mixed(pairs, seed))
    return [wrong if arm.traces == "wrong" else right for right, wrong in pairs]


def matched(name: str, arm: Arm, sets: dict[str, list[Graded]], seed: int) -> list[Graded]:
    """An arm's rows cut to the rows or tokens of the arm that it is matched to, or repeated to its steps."""
    assert arm.match is not None
    target, own = sets[arm.match.arm], sets[name]
    if arm.match.tokens:
        return selection.fit(own, seed, most_tokens=sum(row.tokens for row in target))
    if arm.match.steps:
        return selection.repeated(own, len(target))
    plain = {"teacher": "distil.samples", "unprompted": "generate.unprompted"}
    if len(own) < len(target):
        more = plain.get(arm.traces, f"arms.{name}.n")
        raise UserError(
            f"{PARAMS_FILE}: arm {name} has {len(own)} rows, fewer than the {len(target)} of {arm.match.arm}, "
            f"to which it is matched; raise {more}"
        )
    if arm.traces in plain:
        return selection.spread(own, Counter(row.question_id for row in target), len(target))
    return selection.fit(own, seed, most_rows=len(target))


def card(arm: str, rows: Sequence[Graded], asked: Mapping[str, Question], bases: int) -> TrainingSet:
    """What a training set holds."""
    scores = [row.score for row in rows if isinstance(row, Scored) and row.heuristic]
    follow = adherence.share(rows, asked)
    return TrainingSet(
        arm=arm,
        rows=len(rows),
        tokens=sum(row.tokens for row in rows),
        questions=len({row.question_id for row in rows}),
        questions_asked=len(asked),
        bases=bases,
        rows_per_heuristic=dict(Counter(row.heuristic for row in rows)),
        mean_score=round(sum(scores) / len(scores), 6) if scores else None,
        follow=None if follow is None else round(follow, 6),
        right=sum(row.correct for row in rows),
        wrong=sum(not row.correct for row in rows),
    )
