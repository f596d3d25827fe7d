"""Stage questions: the training sets and the benchmarks, in one schema, disjoint from each other."""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import EasySet, FileSet, Params, Questions, QuestionSet, ReadSet, WorldSet
from polya_midtrain.records import Question, write_records
from polya_midtrain.runtime.stage import stage
from polya_midtrain.seeding import derive

TRAINING = ("mid", "reward", "rl")
EVALUATED = ("benchmarks", "transfer")


def run(params: Params) -> None:
    """Write data/questions/{mid,reward,rl}.parquet, {benchmarks,transfer}/NAME.parquet and summary.json (counts)."""
    settings = params.questions
    with stage(params, "questions", outputs={"questions": paths.QUESTIONS}) as this:
        specs = sets_of(settings)
        sets, dropped = build(specs, settings.seed, len(params.bases))
        removed = decontaminate(sets)
        for name in TRAINING:
            if name in sets:
                sets[name] = shared(sets[name], specs[name], len(params.bases))
        folder = this.work / "questions"
        for name, rows in {**{name: [] for name in TRAINING}, **sets}.items():
            write_records(folder / f"{name}.parquet", Question, rows)
        summary = {
            name: {
                "questions": len(rows),
                "dropped": dropped[name],
                **removed.get(name, Removed()).card(),
                "read": origin(specs[name]),
            }
            for name, rows in sets.items()
        }
        for name, lost in removed.items():
            for pair in lost.pairs:
                print(f"questions.{name}: left out {pair}")
        (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
        this.numbers.update(numbers(sets, dropped, removed))


def sets_of(settings: Questions) -> dict[str, QuestionSet]:
    """The question sets by name: mid, reward if there is one, rl, benchmarks/NAME, transfer/NAME."""
    specs: dict[str, QuestionSet] = {name: getattr(settings, name) for name in TRAINING}
    specs = {name: spec for name, spec in specs.items() if spec is not None}
    for kind in EVALUATED:
        specs |= {f"{kind}/{name}": spec for name, spec in getattr(settings, kind).items()}
    return specs


@dataclass
class Removed:
    """What decontamination took from a training set.

    ``questions``: how many; ``causes``: how many for each benchmark and way of agreeing (`overlaps` has them:
    ``amc23/whole``) and for each earlier training set that has the question. One that several benchmarks hold counts
    for each. ``pairs``: each of its questions that a benchmark holds, with the benchmark's.
    """

    questions: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    pairs: list[str] = field(default_factory=list)

    def card(self) -> dict[str, Any]:
        """Its part of summary.json."""
        return {
            "removed": self.questions,
            "contaminated": dict(sorted(self.causes.items())),
            "contaminated_by": self.pairs,
        }


def numbers(
    sets: dict[str, list[Question]], dropped: dict[str, dict[str, int]], removed: dict[str, Removed]
) -> dict[str, float]:
    """The sizes of all sets, and for `dvc metrics` what each lost and why: only where it lost something."""
    found: dict[str, float] = {name: len(rows) for name, rows in sets.items()}
    for name, reasons in dropped.items():
        found |= {f"{name}_dropped_{reason}": count for reason, count in reasons.items() if count}
    for name, lost in removed.items():
        found |= {f"{name}_removed": lost.questions} if lost.questions else {}
        found |= {f"{name}_removed_{cause}": count for cause, count in lost.causes.items()}
    return {re.sub(r"[/ ]", "_", name): count for name, count in found.items()}


def build(
    specs: dict[str, QuestionSet], seed: int, bases: int = 1
) -> tuple[dict[str, list[Question]], dict[str, dict[str, int]]]:
    """The sets by name, and how many rows each source lost, by reason.

    Of a training set that is made here as many questions as settings say for each of the ``bases``.
    """
    sets: dict[str, list[Question]] = {}
    dropped: dict[str, dict[str, int]] = {}
    taken: set[Any] = set()
    for name, spec in specs.items():
        if isinstance(spec, WorldSet):
            count = spec.count * (bases if name in TRAINING else 1)
            sets[name], dropped[name] = world_set(name, spec, seed, taken, count), {}
        elif isinstance(spec, EasySet):
            count = spec.count * (bases if name in TRAINING else 1)
            sets[name], dropped[name] = easy_set(name, spec, seed, taken, count), {}
        else:
            sets[name], dropped[name] = file_set(name, spec, seed)
    return sets, dropped


def shared(rows: list[Question], spec: QuestionSet, bases: int) -> list[Question]:
    """A training set with the base that each question is for.

    Made questions are dealt out, so that every base has others; of a set that is read every base has all.
    """
    if isinstance(spec, WorldSet | EasySet):
        # In turns of a whole round of lengths, so that every base has as many of each.
        turn = len(spec.parts if isinstance(spec, WorldSet) else spec.steps)
        return [replace(row, base=index // turn % bases + 1) for index, row in enumerate(rows)]
    return [
        replace(row, id=row.id if number == 1 else f"{row.id} base {number}", base=number)
        for number in range(1, bases + 1)
        for row in rows
    ]


def world_set(name: str, spec: WorldSet, seed: int, taken: set[Any], count: int) -> list[Question]:
    """Questions of a task of the embedded world; ``taken`` keeps all sets disjoint."""
    from polya_midtrain.world import problems
    from polya_midtrain.world.tasks import TASKS

    rng = random.Random(derive(seed, "questions", name))
    task = TASKS[spec.task]
    drawn = problems.distinct(rng, spec.parts, spec.pool, count, taken, task.sample)
    return [
        Question(f"{name}/{index}", task.text(item), task.gold(item), task.kind, "world")
        for index, item in enumerate(drawn)
    ]


def easy_set(name: str, spec: EasySet, seed: int, taken: set[Any], count: int) -> list[Question]:
    """Easy word problems; ``taken`` keeps all sets disjoint."""
    from polya_midtrain.question_sets import easy

    rng = random.Random(derive(seed, "questions", name))
    drawn = easy.distinct(rng, spec.steps, count, taken)
    return [Question(f"{name}/{index}", item.question, item.gold, "maths", "easy") for index, item in enumerate(drawn)]


def file_set(name: str, spec: ReadSet, seed: int) -> tuple[list[Question], dict[str, int]]:
    """A slice of a published set or of one's own: filtered (with the reasons counted), shuffled by seed, then cut."""
    from polya_midtrain.question_sets import filters, load, own

    if isinstance(spec, FileSet):
        rows = load.load(spec.source, spec.split, data_folder())
    else:
        rows = own.load(f"questions.{name.replace('/', '.')}", spec)
    kept, reasons = filters.drop(rows, max_chars=spec.max_chars, latin_only=True)
    random.Random(derive(seed, "slice", *spec.place)).shuffle(kept)
    start = spec.start or 0
    chosen = kept[start : None if spec.limit is None else start + spec.limit]
    if not chosen:
        raise UserError(
            f"params.yaml: questions.{name.replace('/', '.')}: start {start} is past the {len(kept)} questions of "
            f"{'/'.join(spec.place)}; lower it"
        )
    return chosen, reasons


def origin(spec: QuestionSet) -> list[dict[str, Any]]:
    """What a set was read from: files with their sha256, the hub's address, or nothing where they are made here."""
    from polya_midtrain.question_sets import load, own

    if isinstance(spec, WorldSet | EasySet):
        return []
    return (
        load.provenance(spec.source, spec.split, data_folder()) if isinstance(spec, FileSet) else own.provenance(spec)
    )


def data_folder() -> Path | None:
    """The local folder of public data sets that POLYA_DATA names; without it they come from the hub."""
    folder = os.environ.get("POLYA_DATA")
    return Path(folder) if folder else None


def decontaminate(sets: dict[str, list[Question]]) -> dict[str, Removed]:
    """Remove, in place, training questions that overlap a benchmark or an earlier training set, and count them."""
    from polya_midtrain.question_sets import normal
    from polya_midtrain.question_sets.decontaminate import overlaps

    evaluated = {name.split("/")[1]: rows for name, rows in sets.items() if name.startswith(EVALUATED)}
    removed: dict[str, Removed] = {}
    earlier: dict[str, str] = {}  # question, as `normal` spells it -> the training set that has it
    for name in [name for name in TRAINING if name in sets]:
        hits = overlaps(sets[name], evaluated)
        lost = removed[name] = Removed()
        kept = []
        for row in sets[name]:
            found = hits.get(row.id, {})
            causes = [f"{benchmark}/{hit.how}" for benchmark, hit in found.items()]
            lost.pairs += [f"{row.id}: {benchmark}/{hit.how} {hit.question.id}" for benchmark, hit in found.items()]
            if not causes and (held := earlier.get(normal.question(row.question))):
                causes = [f"earlier set {held}"]
            if causes:
                lost.questions += 1
                lost.causes.update(causes)
            else:
                kept.append(row)
        if not kept:
            raise UserError(
                f"params.yaml: questions.{name}: every question overlaps a benchmark or an earlier set; "
                "take another slice"
            )
        earlier |= {normal.question(row.question): name for row in kept}
        sets[name] = kept
    return removed
