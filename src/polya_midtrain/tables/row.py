"""A line of a table in the long format: one number with its interval, its sizes and the paper's value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from polya_midtrain.paths import base_of

PASS = "pass@k"
RELATIVE = "relative change"  # of an arm's pass@k to another's
PRECISION, RECALL = "judge precision", "judge recall"
JUDGE, TWO = "judge", "two or more"  # arm and benchmark of how well the judge knows a chain that composes
DECIMALS = 4
MEAN = "mean"  # the benchmark of an average over benchmarks


@dataclass(frozen=True)
class Row:
    """A line of the CSV, the fields in its columns' order; numbers are in ``unit``, a share being one of 1.

    ``phase``: before or after RL, or "training" for what a training set holds. ``low`` and ``high`` are empty where
    there is no interval. ``n_samples``: samples a question, 0 where nothing was sampled. ``seeds``: one training seed,
    or all of them joined by "+" for the pooled row. ``diff`` ...: the difference to ``reference`` ("" is vanilla),
    paired by question, on pooled pass@k rows; where ``metric`` is itself a difference, a relative change or a slope, it
    is the ``value``, ``reference`` names its other side, and arms that take part in a slope are joined by "+".
    ``detectable``: the smallest true difference that the comparison finds with probability 0.8. It, ``p_holm``,
    ``significant`` and ``p``, which is not corrected for the others, need two training seeds or more.
    """

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
    diff: float | None = None
    diff_low: float | None = None
    diff_high: float | None = None
    detectable: float | None = None
    p_holm: float | None = None
    significant: str = ""
    reference: str = ""
    p: float | None = None

    @property
    def runs(self) -> list[int]:
        """The training runs behind the value; none where training has no part in it."""
        return [int(run) for run in self.seeds.split("+") if run]

    @property
    def errors(self) -> tuple[float, float]:
        """The interval as lengths below and above the value; zeros where there is none."""
        below = self.value - (self.value if self.low is None else self.low)
        above = (self.value if self.high is None else self.high) - self.value
        return max(below, 0.0), max(above, 0.0)


COLUMNS = tuple(field.name for field in fields(Row))


class Rows:
    """Rows by what is asked of them: of each quantity the one that is pooled over most training seeds."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.by_metric: dict[str, list[Row]] = {}
        for row in rows:
            self.by_metric.setdefault(row.metric, []).append(row)

    def find(self, metric: str, **wanted: str | int | None) -> list[Row]:
        """The rows of a quantity whose fields are as wanted, in the table's order."""
        found: dict[tuple[str, str, str, int | None], Row] = {}
        for row in self.by_metric.get(metric, ()):
            if all(getattr(row, name) == value for name, value in wanted.items()):
                key = (row.arm, row.phase, row.benchmark, row.k)
                if key not in found or len(row.runs) > len(found[key].runs):
                    found[key] = row
        return list(found.values())

    def get(self, metric: str, **wanted: str | int | None) -> Row | None:
        """The first of them, if there is one."""
        return next(iter(self.find(metric, **wanted)), None)


def line(**columns: Any) -> Row:
    """A row; what is not given is empty, the unit a share, and nothing was sampled."""
    empty = {"benchmark": "", "k": None, "low": None, "high": None, "n_samples": 0, "seeds": "", "paper": None}
    return Row(**{"unit": "share"} | empty | columns)


def in_words(runs: Sequence[int]) -> str:
    """How many training runs, and on how many bases where they start from several."""
    bases = len({base_of(run) for run in runs})
    if bases > 1:
        return f"{len(runs)} training runs on {bases} bases"
    return f"{len(runs)} training seed{'' if len(runs) == 1 else 's'}"


def pooled_name(seeds: Sequence[int]) -> str:
    """The ``seeds`` of a row that pools them."""
    return "+".join(str(seed) for seed in seeds)


def tidy(number: float) -> float:
    """Rounded to the CSV's decimals, so that every rendering starts from the same digits; no negative zero."""
    return round(float(number), DECIMALS) + 0.0
