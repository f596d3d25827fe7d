"""Every part of every claim judged: its rows, the checks before it, Holm's correction over the primary parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.ledger import checks, select
from polya_midtrain.ledger.evaluate import WORDS, Evidence, Judgement, judge, together, unanimous
from polya_midtrain.ledger.schema import PRIMARY, Claims, Compare, Statement, Trend
from polya_midtrain.params import Params
from polya_midtrain.params.studies import REFERENCE
from polya_midtrain.science import compare
from polya_midtrain.tables.row import Row, tidy

Tables = Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class Judged:
    """A part with its verdict. ``p``: of its test by itself, ``p_holm``: over all primary parts; of these alone."""

    part: Statement
    judgement: Judgement
    p: float | None = None
    p_holm: float | None = None


def named(claims: Claims) -> dict[str, Statement]:
    """Every part by its name, such as C1a, in the file's order."""
    return {f"{name}{letter}": part for name, claim in claims.claims.items() for letter, part in claim.parts.items()}


def rows_of(part: Statement, params: Params, tables: Tables) -> list[Row]:
    """The rows that a part reads, one a set; raises `select.Absent` where there are none."""
    return [
        select.find(tables[part.test.table], part.test, one, params.runs) for one in select.wanted(part.test, params)
    ]


def judge_all(claims: Claims, params: Params, tables: Tables) -> dict[str, Judged]:
    """The parts by name, judged."""
    alpha = tidy(1.0 - params.tables.confidence)
    found: dict[str, list[Row] | Judgement] = {}
    for name, part in named(claims).items():
        try:
            found[name] = rows_of(part, params, tables)
            for one in select.wanted(part.test, params):
                checks.check(part, one, params, tables)
        except select.Absent as absent:
            found[name] = Judgement("not tested", str(absent))
    alone = {name: _p(found[name]) for name, part in named(claims).items() if part.role == PRIMARY}
    corrected = holm(alone)
    judged = {}
    for name, part in named(claims).items():
        rows = found[name]
        if isinstance(rows, Judgement):
            judged[name] = Judged(part, rows)
            continue
        effects = [_evidence(row, part.test, alpha) for row in rows]
        if part.sesoi is not None:
            effects = [replace(effect, p=corrected[name]) for effect in effects]
        size = part.sesoi.size if part.sesoi else None
        verdict = together([judge(effect, part.test.direction, size, alpha) for effect in effects])
        if part.role != PRIMARY:
            verdict = replace(verdict, verdict=WORDS[verdict.verdict])
        judged[name] = Judged(part, verdict, alone.get(name), corrected.get(name))
    return judged


def holm(alone: Mapping[str, float | None]) -> dict[str, float | None]:
    """Holm's p over all primary parts; one without a test counts in the family as if its p were 1."""
    found = compare.holm(np.array([[1.0 if p is None else p] for p in alone.values()]))[:, 0]
    return {name: None if p is None else tidy(c) for (name, p), c in zip(alone.items(), found, strict=True)}


def _p(rows: list[Row] | Judgement) -> float | None:
    """Of several sets, which all have to show an effect, the largest."""
    if isinstance(rows, Judgement):
        return None
    found = [row.p for row in rows]
    return None if None in found else max(p for p in found if p is not None)


def _evidence(row: Row, test: Compare | Trend, alpha: float) -> Evidence:
    """The effect in a row. Its test and detectable difference are those of ``diff`` where the row has one."""
    diff = test.column == "diff"
    value, low, high = (row.diff, row.diff_low, row.diff_high) if diff else (row.value, row.low, row.high)
    if value is None:
        where = f"arm {row.arm}, metric {row.metric}, benchmark {row.benchmark}"
        raise UserError(f"{paths.TABLES / test.table}.csv: no difference with {where}; correct {paths.CLAIMS}")
    mine = diff or row.diff is None
    bases = len({paths.base_of(run) for run in row.runs})
    effect = Evidence(
        what=_what(row, (row.reference or (REFERENCE if diff else "")) if mine else ""),
        value=value,
        low=low,
        high=high,
        questions=row.n_questions,
        units=bases if bases > 1 else len(row.runs),
        unit="base" if bases > 1 else "training seed",
        p=row.p_holm if mine else None,
        detectable=row.detectable if mine else None,
        zero=test.zero,
    )
    # A share that is asked to be above or below another: a majority. Of differences all being 1 is no such thing.
    return unanimous(effect, alpha) if row.unit == "share" and 0.0 < test.zero < 1.0 else effect


def _what(row: Row, other: str) -> str:
    at = "" if row.k is None else f" at k={row.k}"
    metric = row.metric.replace("@k", f"@{row.k}") if "@k" in row.metric else f"{row.metric}{at}"
    sides = f"{row.arm} against {other}" if other else row.arm
    return ", ".join([sides, metric, *([row.benchmark] if row.benchmark else [])]) + ":"
