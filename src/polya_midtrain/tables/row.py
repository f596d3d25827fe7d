"""A line of a table in the long format: one number with its interval, its sizes and the paper's value."""

from __future__ import annotations

from dataclasses import dataclass, fields

PASS = "pass@k"
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
    ``detectable``: the smallest true difference that the comparison finds with probability 0.8. It, ``p_holm`` and
    ``significant`` need two training seeds or more.
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


COLUMNS = tuple(field.name for field in fields(Row))


def tidy(number: float) -> float:
    """Rounded to the CSV's decimals, so that every rendering starts from the same digits; no negative zero."""
    return round(float(number), DECIMALS) + 0.0
