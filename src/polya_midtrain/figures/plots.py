"""Small CSVs of the curves, which `dvc plots` draws with the template .dvc/plots/arms.json."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from polya_midtrain.figures.data import Table, curves
from polya_midtrain.figures.passk import TABLE
from polya_midtrain.params import Params, studies
from polya_midtrain.tables.row import MEAN, PASS

QUANTITIES = ("reward", "entropy", "length")


def write(params: Params, folder: Path) -> None:
    """``passk.csv``: the means over benchmarks and seeds; ``training.csv``: each step's mean over seeds."""
    passes = [
        (f"{phase} RL", point.arm, point.k, point.value)
        for phase, name in TABLE.items()
        for point in Table(name).need(PASS, benchmark=MEAN, phase=phase)
    ]
    _write(folder / "passk.csv", ("panel", "arm", "k", "share"), passes)
    steps = []
    for arm in studies.main(params.arms):
        found = list(curves(arm, QUANTITIES).values())
        for place, step in enumerate(found[0]["step"]):
            means = (_mean([curve[name][place] for curve in found]) for name in QUANTITIES)
            steps.append(("mean over seeds", arm, int(step), *means))
    _write(folder / "training.csv", ("panel", "arm", "step", *QUANTITIES), steps)


def _mean(values: Sequence[float]) -> float | str:
    """The mean of what is not missing; an empty cell where all of it is."""
    there = [value for value in values if not math.isnan(value)]
    return round(sum(there) / len(there), 6) if there else ""


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
