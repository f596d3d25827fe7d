"""What the figures read: the long CSVs of reports/tables and the training curves of results/curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.results.curves import Curves
from polya_midtrain.results.small import refusal
from polya_midtrain.tables import read
from polya_midtrain.tables.row import Row, Rows, in_words


class Table(Rows):
    """One table's rows."""

    def __init__(self, name: str) -> None:
        self.name, self.path = name, paths.TABLES / f"{name}.csv"
        super().__init__(read.read(self.path))

    def need(self, metric: str, **wanted: str | int | None) -> list[Row]:
        """As `find`, but having none is a `UserError`."""
        found = self.find(metric, **wanted)
        if not found:
            what = ", ".join(f"{name} {value}" for name, value in wanted.items())
            raise UserError(
                f"{self.path}: no row of {metric!r}{' with ' if what else ''}{what}; run `dvc repro tables@{self.name}`"
            )
        return found


def largest_k(points: Sequence[Row]) -> int:
    """The largest k of some pass@k rows."""
    return max(point.k for point in points if point.k is not None)


Curve = dict[str, list[float]]  # "step" and the quantities measured at it, NaN where one is missing


def curves(arm: str, quantities: Sequence[str]) -> dict[str, Curve]:
    """The training curves of an arm by seed: results/curves/ARM.json; a fault is a one-line `UserError`."""
    path = paths.CURVES / f"{arm}.json"
    seeds = Curves.of(paths.CURVES, arm).seeds
    found: dict[str, Curve] = {}
    for seed, points in seeds.items():
        for place, point in enumerate(points):
            if absent := {"step", *quantities} - point.keys():
                raise refusal(path, ["seeds", seed, place], f"no {min(absent)!r}")
        values = {name: [point[name] for point in points] for name in ("step", *quantities)}
        found[seed] = {name: [math.nan if x is None else float(x) for x in held] for name, held in values.items()}
    if not found or any(curve["step"] != next(iter(found.values()))["step"] for curve in found.values()):
        raise refusal(path, ["seeds"], "the seeds do not have the same steps")
    if len(next(iter(found.values()))["step"]) < 2:
        raise refusal(path, ["seeds"], "fewer than two steps, which make no curve")
    return found


def sizes(point: Row) -> str:
    """How much a value rests on, in words."""
    parts = [count(point.n_questions, "question")] if point.n_questions else []
    if point.n_samples:
        parts.append(f"{count(point.n_samples, 'sample')} of each")
    if point.runs:
        parts.append(in_words(point.runs))
    return ", ".join(parts)


def count(number: int, noun: str) -> str:
    """A number with its noun, such as "1 seed" or "4 seeds"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def interval(point: Row, params: Params) -> str:
    """What a band or bar shows, in words."""
    if point.low is None:
        return "no interval"
    return f"{params.tables.confidence:.0%} interval, {point.method.split(';')[0]}"


def percent(value: float, decimals: int = 1) -> str:
    """A signed share as per cent."""
    return f"{value:+.{decimals}%}"
