"""From finished runs to the expected file: which numbers are held, and within which range."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from polya_midtrain import __version__
from polya_midtrain.ledger import report
from polya_midtrain.ledger.schema import Claims
from polya_midtrain.runtime import cores
from polya_midtrain.tables.row import DECIMALS, MEAN, PASS, Row
from polya_midtrain.verify import compare, ranges
from polya_midtrain.verify.compare import Key
from polya_midtrain.verify.expected import Cell, Column, Expected, Made, Shape, Table
from polya_midtrain.verify.runs import Run

Held = tuple[str, Key, Column]  # table, row, column
RULE = (
    "Each range is the prediction interval of one more run, mean ± t s sqrt(1 + 1/{runs}), with the variance moved "
    "towards those of the same metric and k (Smyth 2004), at level {level}**(1/{numbers}) for each of the {numbers} "
    "numbers: of 100 sound runs about {share:.0f} have one outside by chance. Rounded outward, at least {floor} on "
    "either side. Held are what claims.yaml reads, the same metrics of every arm, and pass@k at the largest k, each "
    "over all training seeds and benchmarks."
)


def expected(runs: Sequence[Run], claims: Claims) -> Expected:
    """The expected file of runs that `runs.check` has passed."""
    pooled = [{name: compare.pooled(rows, run.params.seeds) for name, rows in run.tables.items()} for run in runs]
    known = [held for held in candidates(runs[0], claims) if all(_number(one, held) is not None for one in pooled)]
    values = np.array([[_number(one, held) for held in known] for one in pooled], dtype=np.float64)
    lows, highs = ranges.predict(values, [f"{key[3]}, {key[4]}, {column}" for _, key, column in known])
    cells: dict[str, list[Cell]] = {name: [] for name in runs[0].tables}
    for (table, key, column), mean, low, high in zip(known, values.mean(axis=0), lows, highs, strict=True):
        ends = ranges.outward(float(low), float(high))
        numbers = {"column": column, "mean": round(float(mean), DECIMALS), "low": ends[0], "high": ends[1]}
        cells[table].append(Cell.model_validate(dict(zip(compare.NAMES, key, strict=True)) | numbers))
    rule = RULE.format(
        runs=len(runs), level=ranges.LEVEL, numbers=len(known), share=100 * (1 - ranges.LEVEL), floor=ranges.FLOOR
    )
    return Expected(
        profile=runs[0].params.profile,
        made=Made(
            date=datetime.date.today().isoformat(),
            machine=machine(),
            commit=", ".join(sorted({run.commit for run in runs})),
            version=__version__,
            rule=rule,
        ),
        runs=[run.seeds for run in runs],
        settings=runs[0].settings,
        tables={name: Table(shape=_shape([run.tables[name] for run in runs]), cells=cells[name]) for name in cells},
    )


def candidates(run: Run, claims: Claims) -> list[Held]:
    """The numbers worth holding, table by table (see `RULE`)."""
    read = report.rows_read(claims, run.params, run.tables)
    metrics = {(name, row.metric, row.k) for _, name, row, _ in read}
    found: dict[Held, None] = {(name, compare.key_of(row), column): None for _, name, row, column in read}
    for name, rows in run.tables.items():
        for key, row in compare.pooled(rows, run.params.seeds).items():
            headline = (row.metric, row.k) == (PASS, max(run.params.tables.ks))
            if row.benchmark in (MEAN, "") and (headline or (name, row.metric, row.k) in metrics):
                found[name, key, "value"] = None
    return list(found)


def machine() -> str:
    """The machine that this runs on, as far as results may depend on it."""
    info = Path("/proc/cpuinfo")
    models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    count = f"{cores.available()} cores"
    return ", ".join(
        [*models[:1], count, platform.machine(), f"Python {platform.python_version()}", f"torch {version('torch')}"]
    )


def _number(tables: Mapping[str, Mapping[Key, Row]], held: Held) -> float | None:
    table, key, column = held
    row = tables[table].get(key)
    return None if row is None else compare.number_of(row, column)


def _shape(runs: Sequence[Sequence[Row]]) -> Shape:
    everywhere = set.intersection(*({row.arm for row in rows} for rows in runs))
    arms = [arm for arm in dict.fromkeys(row.arm for row in runs[0]) if arm in everywhere]
    counts = {len(rows) for rows in runs}
    return Shape(columns=compare.columns(), arms=arms, rows=counts.pop() if len(counts) == 1 else None)
