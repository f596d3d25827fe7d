"""What holds in every sound run, on any machine: each number follows from what stands beside it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import fields
from operator import attrgetter
from pathlib import Path

from pydantic import RootModel

from polya_midtrain import paths
from polya_midtrain.params import PARAMS_FILE
from polya_midtrain.params.studies import REFERENCE
from polya_midtrain.results import training_sets
from polya_midtrain.results.counts import CountFile
from polya_midtrain.results.small import PHASES, Small
from polya_midtrain.runtime import lock
from polya_midtrain.runtime.tracking import dvc_hash
from polya_midtrain.tables import read
from polya_midtrain.tables.row import DECIMALS, Row
from polya_midtrain.tools.compare.record import Record

UNIT = 1.01 * 10.0**-DECIMALS  # a last digit may be rounded otherwise on another machine
COLUMNS = [field.name for field in fields(Row) if field.name != "method"]  # where the stage notes a weak sandbox
ABOUT = attrgetter("phase", "benchmark", "metric", "k", "seeds")


class Numbers(RootModel[dict[str, float]], Small):
    """results/metrics/STAGE.json."""


def faults(run: Record) -> list[str]:
    """A line for whatever contradicts the rest in the run in the current folder."""
    miscounted = list(_counts(run))
    tables = [] if miscounted else _tables(run)
    return [*stale(run), *miscounted, *_training_sets(run), *tables]


def stale(run: Record) -> Iterator[str]:
    """Where files here are not those that were made, or a stage read other data, settings or seeds than there are."""
    made = {path: md5 for name in run.stages for path, md5 in run.made(name).items()}
    for path, md5 in made.items():
        kept = path.startswith(("results/", "reports/"))  # by git
        if kept and (not Path(path).exists() or dvc_hash(Path(path))[0] != md5):
            yield f"{path}: not what {lock.LOCK} says was made; `dvc repro` makes it again"
    for name in run.stages:
        for what, value in run.read(name).items():
            now = made.get(what, run.leaves.get(what, value))
            if now != value:
                yield f"{lock.LOCK}: stage {name} read {what} as {value}, and it is {now}; run `dvc repro`"


def _counts(run: Record) -> Iterator[str]:
    """Counts are of the arm and the seeds that they should be of, and as many are right as their stage noted."""
    for arm in run.params.arms:
        path, metrics = paths.COUNTS / f"{arm}.json", paths.METRICS / f"evaluate@{arm}.json"
        file = CountFile.read(path)
        found = (file.arm, sorted({row.seed for row in file.rows}), file.samples)
        if found != (wanted := (arm, sorted(run.params.runs), run.params.evaluate.samples)):
            yield f"{path}: arm, training seeds and samples are {found}, and {PARAMS_FILE} has {wanted}"
        noted = Numbers.read(metrics).root
        for phase in PHASES:
            rows = [row for row in file.rows if row.phase == phase]
            right = sum(row.c for row in rows) / max(sum(row.n for row in rows), 1)
            if rows and round(right, 6) != noted.get(f"{phase}/correct"):
                yield f"{path}: {phase} RL not as many right answers as {metrics} tells of"


def _training_sets(run: Record) -> Iterator[str]:
    """What an arm learnt from is of its kind of traces, of n a question at most, and as much as its match has."""
    arms = run.params.arms
    cards = training_sets.read(list(arms))
    for name, arm in arms.items():
        card, match = cards[name], arm.match and (arm.match.rows or arm.match.steps)
        found, plain = set(card.rows_per_heuristic), arm.traces in ("unprompted", "teacher")
        own = found <= {""} if plain else "" not in found
        once = card.rows <= arm.n * card.questions or bool(arm.match and arm.match.steps)
        foreign = {"none": card.rows, "wrong": card.right, "mixed": 0}.get(arm.traces, card.wrong)
        if foreign or not own or not once or (match and card.rows != cards[match].rows):
            yield f"{paths.TRAINING_SETS}: what arm {name} learnt from is not traces {arm.traces} with n = {arm.n}"


def _tables(run: Record) -> Iterator[str]:
    """Each cell of each table is made again from results/, and each difference from the two values beside it."""
    for name in (stage.partition("@")[2] for stage in run.stages if stage.startswith("tables@")):
        path = paths.TABLES / f"{name}.csv"
        rows = read.read(path)
        made, _ = importlib.import_module(f"polya_midtrain.tables.{name}.table").build(run.params)
        if len(rows) != len(made):
            yield f"{path}: {len(rows)} rows, and results/ make {len(made)}"
        values = {(row.arm, ABOUT(row)): row.value for row in rows}
        for line, (row, again) in enumerate(zip(rows, made, strict=False), start=2):
            for column in COLUMNS:
                one, other = getattr(row, column), getattr(again, column)
                if abs(one - other) > UNIT if isinstance(one, float) and isinstance(other, float) else one != other:
                    yield f"{path}:{line}: {column} is {one}, and results/ make it {other}"
            base = values.get((row.reference or REFERENCE, ABOUT(row)))
            if row.diff is not None and base is not None and abs(row.diff - (row.value - base)) > 2 * UNIT:
                yield f"{path}:{line}: diff is {row.diff}, and {row.value} less {base} is not"
