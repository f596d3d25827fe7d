"""What the figures read: the long CSVs of reports/tables and the training curves of results/curves."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params

MEAN = "mean"  # the scope of an average over benchmarks
PASS = "pass@k"
PHASES = ("before", "after")  # RL
TABLES = ("main", "midtrain", "budget", "correctness", "composition", "diversity", "transfer", "modes")


@dataclass(frozen=True)
class Point:
    """A row of a table: the columns that figures use, in the units of the table; None where a field is empty."""

    arm: str
    phase: str
    benchmark: str
    metric: str
    k: int | None
    value: float
    low: float | None
    high: float | None
    unit: str
    n_questions: int
    n_samples: int
    seeds: str
    paper: float | None
    method: str

    @property
    def n_seeds(self) -> int:
        """Training seeds behind the value; 0 where training has no part in it."""
        return len(self.seeds.split("+")) if self.seeds else 0

    @property
    def errors(self) -> tuple[float, float]:
        """The interval as lengths below and above the value; zeros where there is none."""
        below = self.value - (self.value if self.low is None else self.low)
        above = (self.value if self.high is None else self.high) - self.value
        return max(below, 0.0), max(above, 0.0)


class Table:
    """One table's rows, of each quantity the one that is pooled over most training seeds."""

    def __init__(self, name: str) -> None:
        self.name, self.path = name, paths.TABLES / f"{name}.csv"
        self.rows: dict[tuple[str, str, str, str, int | None], Point] = {}
        for point in self._read():
            key = (point.arm, point.phase, point.benchmark, point.metric, point.k)
            held = self.rows.get(key)
            if held is None or point.n_seeds > held.n_seeds:
                self.rows[key] = point

    def find(self, metric: str, **wanted: str | int | None) -> list[Point]:
        """The rows of a quantity whose fields are as wanted, in the table's order."""
        return [
            point
            for point in self.rows.values()
            if point.metric == metric and all(getattr(point, name) == value for name, value in wanted.items())
        ]

    def need(self, metric: str, **wanted: str | int | None) -> list[Point]:
        """As `find`, but having none is a `UserError`."""
        found = self.find(metric, **wanted)
        if not found:
            what = ", ".join(f"{name} {value}" for name, value in wanted.items())
            raise UserError(
                f"{self.path}: no row of {metric!r}{' with ' if what else ''}{what}; run `dvc repro tables@{self.name}`"
            )
        return found

    def _read(self) -> Iterator[Point]:
        try:
            with self.path.open(encoding="utf-8", newline="") as stream:
                reader = csv.DictReader(stream)
                missing = {field.name for field in fields(Point)} - set(reader.fieldnames or ())
                if missing:
                    raise UserError(f"{self.path}:1: no column {min(missing)!r}; run `dvc repro -f tables@{self.name}`")
                for record in reader:
                    yield _point(record)
        except FileNotFoundError as error:
            raise UserError(f"{self.path}: missing; run `dvc repro tables@{self.name}`") from error
        except (ValueError, TypeError) as error:
            raise UserError(f"{self.path}:{reader.line_num}: {error}; run `dvc repro -f tables@{self.name}`") from error


def _point(record: dict[str, str]) -> Point:
    values: dict[str, str | int | float | None] = {}
    for field in fields(Point):
        text = record[field.name]
        if field.type == "str":
            values[field.name] = text
        elif text == "" and field.type.endswith("None"):
            values[field.name] = None
        else:
            number = float(text)
            if not math.isfinite(number):
                raise ValueError(f"{field.name} is {text}")
            values[field.name] = int(text) if field.type.startswith("int") else number
    return Point(**values)  # type: ignore[arg-type]


def largest_k(points: Sequence[Point]) -> int:
    """The largest k of some pass@k rows."""
    return max(point.k for point in points if point.k is not None)


Curve = dict[str, list[float]]  # "step" and the quantities measured at it


def curves(arm: str, quantities: Sequence[str]) -> dict[str, Curve]:
    """The training curves of an arm by seed: results/curves/ARM.json; a fault is a one-line `UserError`."""
    path = paths.CURVES / f"{arm}.json"
    remedy = f"run `dvc repro rl@{arm}`"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = {
            seed: {name: [float(point[name]) for point in points] for name in ("step", *quantities)}
            for seed, points in content["seeds"].items()
        }
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; {remedy}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: not the curves of an arm ({type(error).__name__}: {error}); {remedy}") from error
    if not found or any(curve["step"] != next(iter(found.values()))["step"] for curve in found.values()):
        raise UserError(f"{path}: the seeds do not have the same steps; {remedy}")
    if len(next(iter(found.values()))["step"]) < 2:
        raise UserError(f"{path}: fewer than two steps, which make no curve; {remedy}")
    return found


def sizes(point: Point) -> str:
    """How much a value rests on, in words."""
    parts = [count(point.n_questions, "question")] if point.n_questions else []
    if point.n_samples:
        parts.append(f"{count(point.n_samples, 'sample')} of each")
    if point.n_seeds:
        parts.append(count(point.n_seeds, "training seed"))
    return ", ".join(parts)


def count(number: int, noun: str) -> str:
    """A number with its noun, such as "1 seed" or "4 seeds"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def interval(point: Point, params: Params) -> str:
    """What a band or bar shows, in words."""
    if point.low is None:
        return "no interval"
    return f"{params.tables.confidence:.0%} interval, {point.method.split(';')[0]}"


def percent(value: float, decimals: int = 1) -> str:
    """A signed share as per cent."""
    return f"{value:+.{decimals}%}"
