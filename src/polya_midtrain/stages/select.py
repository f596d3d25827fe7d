"""Stage select: every arm's mid-training set, one response per (question, heuristic), and what it holds (paper, 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import PARAMS_FILE, Arm, Params
from polya_midtrain.prompting import heuristics
from polya_midtrain.records import Graded, Question, Scored, TrainingRow, by_id, read_records, write_records
from polya_midtrain.results.training_sets import TrainingSet, TrainingSets
from polya_midtrain.runtime.stage import stage
from polya_midtrain.traces import selection


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
        names = heuristics.load(params.prompts.catalogue).first(max(arm.n for arm in params.arms.values()))
        asked = by_id(read_records(source, Question))
        sets: dict[str, list[Graded]] = {name: [] for name in params.arms}
        for number in params.numbers:
            mine = {question.id for question in asked.values() if question.base == number}
            ours = [row for row in scored if row.question_id in mine]
            theirs = [row for row in taught if row.question_id in mine]
            for name, chosen_rows in of_one_base(ours, theirs, names, params).items():
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
            cards[name] = card(name, sets[name], len(asked), len(params.bases))
            this.numbers.update(
                {f"{name}/{what}": getattr(cards[name], what) for what in ("rows", "tokens", "questions")}
            )
        TrainingSets(cards).write(this.work / "training_sets.json")


def of_one_base(
    scored: Sequence[Scored], taught: Sequence[Graded], names: Sequence[str], params: Params
) -> dict[str, list[Graded]]:
    """The rows of every arm from the traces of one base and its teacher."""
    sets: dict[str, list[Graded]] = {}
    # An arm that is matched comes after the one it is matched to.
    for name, arm in sorted(params.arms.items(), key=lambda item: item[1].match is not None):
        sets[name] = chosen(arm, scored, taught, names, params)
        if arm.match is not None:
            sets[name] = matched(name, arm, sets, params.select.seed)
    return sets


def chosen(
    arm: Arm, scored: Sequence[Scored], taught: Sequence[Graded], names: Sequence[str], params: Params
) -> list[Graded]:
    """An arm's rows before they are matched to another's."""
    seed = params.select.seed
    first = names[: arm.n]
    if arm.traces == "none":
        return []
    if arm.traces == "unprompted":
        return list(selection.unprompted(scored, arm.n, seed))
    if arm.traces == "teacher":
        return list(selection.unprompted(taught, arm.n, seed))
    if arm.traces == "heuristics":
        return list(selection.best_per_heuristic(scored, first))
    pairs = selection.pairs(scored, first, params.select.length_tolerance)
    if arm.traces == "mixed":
        return list(selection.mixed(pairs, seed))
    return [wrong if arm.traces == "wrong" else right for right, wrong in pairs]


def matched(name: str, arm: Arm, sets: dict[str, list[Graded]], seed: int) -> list[Graded]:
    """An arm's rows cut to the rows or tokens of the arm that it is matched to."""
    assert arm.match is not None
    target, own = sets[arm.match.arm], sets[name]
    if arm.match.tokens:
        return selection.fit(own, seed, most_tokens=sum(row.tokens for row in target))
    if len(own) < len(target):
        more = "distil.samples" if arm.traces == "teacher" else f"arms.{name}.n"
        raise UserError(
            f"{PARAMS_FILE}: arm {name} has {len(own)} rows, fewer than the {len(target)} of {arm.match.arm}, "
            f"to which it is matched; raise {more}"
        )
    if arm.traces == "teacher":
        return selection.spread(own, Counter(row.question_id for row in target), len(target))
    return selection.fit(own, seed, most_rows=len(target))


def card(arm: str, rows: Sequence[Graded], asked: int, bases: int) -> TrainingSet:
    """What a training set holds."""
    scores = [row.score for row in rows if isinstance(row, Scored) and row.heuristic]
    return TrainingSet(
        arm=arm,
        rows=len(rows),
        tokens=sum(row.tokens for row in rows),
        questions=len({row.question_id for row in rows}),
        questions_asked=asked,
        bases=bases,
        rows_per_heuristic=dict(Counter(row.heuristic for row in rows)),
        mean_score=round(sum(scores) / len(scores), 6) if scores else None,
        right=sum(row.correct for row in rows),
        wrong=sum(not row.correct for row in rows),
    )
