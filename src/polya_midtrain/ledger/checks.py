"""What has to hold before a verdict: room for an effect, a judge that sees; and if a run is in the paper's premise.

A part that fails a check is not tested, whatever its effect: where vanilla answers 99% of the questions nothing can be
0.05 better, and a judge that misses what it looks for finds no change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from polya_midtrain.ledger import select
from polya_midtrain.ledger.schema import Premise, Statement, Trend
from polya_midtrain.ledger.select import Wanted
from polya_midtrain.params import Params
from polya_midtrain.tables.row import JUDGE, PRECISION, RECALL, RELATIVE, TWO, Row, tidy


def check(part: Statement, one: Wanted, params: Params, tables: Mapping[str, Sequence[Row]]) -> None:
    """Raises `select.Absent` with the reason where a part cannot be tested by this run."""
    rows = tables[part.test.table]
    if part.judge is not None:
        _judge(part.judge, rows)
    if part.room and part.sesoi is not None:
        _room(part, part.sesoi.size, one, params, rows)


def premise(of: Premise, params: Params, tables: Mapping[str, Sequence[Row]]) -> str:
    """Whether the run is in the paper's premise, as a reader sees it."""
    try:
        ours, above = (select.level(level, params, tables).value for level in (of.level, of.below))
    except select.Absent as absent:
        return f"In the paper's premise: unknown ({absent})."
    held = "yes" if ours < above else "no"
    return f"In the paper's premise: {held} ({of.statement}; here from {above:.3f} to {ours:.3f})."


def _judge(least: float, rows: Sequence[Row]) -> None:
    for metric in (PRECISION, RECALL):
        found = [row.value for row in rows if (row.arm, row.benchmark, row.metric) == (JUDGE, TWO, metric)]
        if not found:
            raise select.Absent(f"{metric} on chains of {TWO} was not measured, and has to be {least:g} or more")
        if found[0] < least:
            raise select.Absent(f"{metric} on chains of {TWO} is {found[0]:.3f}, and has to be {least:g} or more")


def _room(part: Statement, size: float, one: Wanted, params: Params, rows: Sequence[Row]) -> None:
    """Whether the start leaves room for ``size``: up to 1, or down to 0 where the claim is of a fall."""
    row = select.start(part.test, part.room, one, params, rows)
    if isinstance(part.test, Trend):
        ns = [params.arms[name].n for name in select.members(part.test.over, params.arms)]
        size *= math.log2(ns[-1] / ns[0])
    elif part.test.metric == RELATIVE:
        size *= row.value
    if tidy(size) >= tidy(1.0 - row.value if part.test.direction == "up" else row.value):
        way = "below 1" if part.test.direction == "up" else "above 0"
        raise select.Absent(f"no room: {row.arm} has {part.room} {row.value:.3f}, which is not {size:.3f} {way}")
