"""The rows that travel between stages, and their parquet files.

Every stage reads and writes these record types and nothing else, so that a file can be opened with any
parquet reader and understood from this page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from polya_midtrain.errors import UserError


@dataclass(frozen=True, slots=True)
class Question:
    """One problem. ``kind`` names the grader (maths, code, choice); ``answer`` is the gold it compares with.

    ``base``: of a training set, the number of the base that is asked it.
    """

    id: str
    question: str
    answer: str
    kind: str
    source: str
    base: int = 1


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled answer. ``heuristic`` is "" for an unprompted one; ``finish`` is "stop" or "length"."""

    question_id: str
    heuristic: str
    sample: int
    text: str
    tokens: int
    finish: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Graded(Completion):
    """A completion with the verifier's verdict. ``extracted`` is "" where no answer was found."""

    correct: bool
    extracted: str
    reason: str


@dataclass(frozen=True, slots=True)
class Scored(Graded):
    """A completion with the reward model's adherence score for its intended heuristic (0 where it intends none)."""

    score: float


@dataclass(frozen=True, slots=True)
class Answer(Graded):
    """A graded completion of a benchmark's question, and the policy that gave it: its training seed, and whether it is
    that "before" or "after" RL."""

    phase: str
    seed: int
    benchmark: str


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One supervised example: the plain question, its kind, and the response to learn, with its origin.

    ``base``: the number of the base that learns it.
    """

    question_id: str
    heuristic: str
    question: str
    response: str
    tokens: int
    score: float
    kind: str
    base: int = 1


R = TypeVar("R")
B = TypeVar("B", Question, TrainingRow)

_ARROW = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}


def arrow_schema(record: type[Any]) -> pa.Schema:
    """The parquet schema of a record type, its fields in declaration order."""
    return pa.schema([pa.field(f.name, _ARROW[str(f.type)], nullable=False) for f in fields(record)])


def write_records(path: Path, record: type[R], rows: Iterable[R]) -> int:
    """Write ``rows`` to ``path`` (its folder is made) and return how many there were."""
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = arrow_schema(record)
    held = list(rows)
    # By column: dataclasses.asdict copies every value deeply, which takes longer than all else that is done here.
    table = pa.table({name: [getattr(row, name) for row in held] for name in schema.names}, schema=schema)
    pq.write_table(table, path, compression="zstd")
    return table.num_rows


def read_records(path: Path, record: type[R]) -> list[R]:
    """Read the rows of one record type; a missing or foreign file is a one-line `UserError`."""
    if not path.exists():
        raise UserError(f"{path}: missing; run `dvc repro` (it makes every input of a stage before the stage)")
    names = [f.name for f in fields(record)]  # type: ignore[arg-type]
    try:
        table = pq.read_table(path, columns=names)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: not a file of {record.__name__} rows ({reason}); delete it and run `dvc repro` again"
        ) from error
    absent = sorted(set(names) - set(table.column_names))
    if absent:
        raise UserError(f"{path}: column {absent[0]!r} is missing; delete the file and run `dvc repro`")
    return [record(**row) for row in table.to_pylist()]


def extended(row: Any, record: type[R], **more: Any) -> R:
    """The row as a record type that adds fields to its own (dataclasses.asdict would copy every value deeply)."""
    return record(**{f.name: getattr(row, f.name) for f in fields(row)}, **more)


def of_base(rows: Sequence[B], number: int) -> list[B]:
    """The questions or training rows of one base."""
    return [row for row in rows if row.base == number]


def by_id(questions: Sequence[Question]) -> dict[str, Question]:
    """Index questions by id."""
    return {question.id: question for question in questions}
