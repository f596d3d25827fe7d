"""From a test to the rows that it speaks of: arms by what they are, sets by their task, k by its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.ledger.schema import Arms, Compare, Group, Level, Sets, Trend
from polya_midtrain.params import Arm, Params, WorldSet, studies
from polya_midtrain.tables.row import Row, pooled_name


class Absent(Exception):
    """There is nothing to test by: the profile has no such arms or sets, or the table no such row; the message says."""


@dataclass(frozen=True)
class Wanted:
    """The row that holds an effect, by its columns."""

    arm: str
    reference: str
    benchmark: str
    k: int | None


def wanted(test: Compare | Trend, params: Params) -> list[Wanted]:
    """The rows that a test speaks of, one a set; raises `Absent` where there are none."""
    arm, reference = _sides(test, params.arms)
    return [Wanted(arm, reference, name, _k(test, params)) for name in _benchmarks(test.benchmark, params)]


def members(group: Group, arms: Mapping[str, Arm]) -> list[str]:
    """The arms of a group, by n."""
    if group in ("budget rows", "budget tokens"):
        return studies.budget(arms, group.removeprefix("budget "))
    if group == "heuristics":
        return studies.by_n(arms)
    if group == "distilled":
        return studies.distilled(arms)
    if group == "as distilled":
        return [match.arm for name in studies.distilled(arms) if (match := arms[name].match) is not None]
    if group in ("right", "wrong", "mixed"):
        return [name for name in studies.correctness(arms) if arms[name].traces == group]
    if group == "star":
        return sorted(studies.stars(arms), key=lambda name: arms[name].n)
    return [name for name, arm in studies.usual(arms).items() if arm.traces == "none"]


def chosen(role: Arms, arms: Mapping[str, Arm]) -> str:
    """The arm that is meant; raises `Absent` where the profile has none."""
    group = [name for name in members(role.group, arms) if role.up_to is None or arms[name].n <= role.up_to]
    if not group:
        raise Absent(f"the profile has no arm for it ({role.group}, n {role.n})")
    return group[-1 if role.n == "largest" else 0]


def find(rows: Sequence[Row], test: Compare | Trend, one: Wanted, seeds: Sequence[int]) -> Row:
    """The row that holds an effect: over all training seeds, or of none of them.

    Raises `Absent` where there is none (tables leave out what there is nothing to measure by, such as a ratio to a mean
    of 0), and `UserError` where there are several.
    """
    what = {"arm": one.arm, "phase": test.phase, "benchmark": one.benchmark, "metric": test.metric, "k": one.k}
    return _only(rows, test.table, what | {"reference": one.reference}, seeds)


def start(test: Compare | Trend, metric: str, one: Wanted, params: Params, rows: Sequence[Row]) -> Row:
    """Where an effect starts from, as ``metric`` of the same table has it: the arm that is compared with, the same arm
    before RL, or the smallest n of a trend. Raises as `find`."""
    where: dict[str, str | int | None] = {"phase": test.phase, "benchmark": one.benchmark, "metric": metric, "k": one.k}
    if isinstance(test, Trend):
        where["arm"] = members(test.over, params.arms)[0]
    elif isinstance(test.reference, Arms):
        where["arm"] = one.reference
    else:
        where |= {"arm": one.arm, "phase": "before"}
    return _only(rows, test.table, where, params.runs)


def level(of: Level, params: Params, tables: Mapping[str, Sequence[Row]]) -> Row:
    """The row of an arm's number. Raises as `find`."""
    where = {"arm": chosen(of.arm, params.arms), "phase": of.phase, "benchmark": of.benchmark, "metric": of.metric}
    return _only(tables[of.table], of.table, where | {"k": _k(of, params)}, params.runs)


def _only(rows: Sequence[Row], table: str, where: Mapping[str, str | int | None], seeds: Sequence[int]) -> Row:
    """The one pooled row whose columns are as in ``where``; vanilla may go unnamed as a reference."""
    pooled = ("", pooled_name(seeds))
    sides = ("", studies.REFERENCE) if where.get("reference") == studies.REFERENCE else (where.get("reference"),)
    other = {name: value for name, value in where.items() if name != "reference"}
    found = [
        row
        for row in rows
        if all(getattr(row, name) == value for name, value in other.items())
        and ("reference" not in where or row.reference in sides)
        and row.seeds in pooled
    ]
    named = ", ".join(f"{name} {value}" for name, value in where.items() if value not in ("", None))
    if not found:
        raise Absent(f"table {table} has no row with {named}")
    if len(found) > 1:
        raise UserError(
            f"{paths.TABLES / table}.csv: {len(found)} rows with {named}; "
            f"run `dvc repro tables@{table}`, or correct {paths.CLAIMS}"
        )
    return found[0]


def _k(of: Compare | Trend | Level, params: Params) -> int | None:
    return None if of.k is None else max(params.tables.ks) if of.k == "largest" else min(params.tables.ks)


def _sides(test: Compare | Trend, arms: Mapping[str, Arm]) -> tuple[str, str]:
    if isinstance(test, Trend):
        groups = [members(group, arms) for group in (test.over, test.less) if group is not None]
        for names in groups:
            if len({arms[name].n for name in names}) < 2:
                raise Absent("a trend takes two arms of different n, and the profile has not got them")
        joined = ["+".join(names) for names in groups]
        return test.arm or joined[0], test.reference or "".join(joined[1:])
    arm = chosen(test.arm, arms)
    reference = chosen(test.reference, arms) if isinstance(test.reference, Arms) else test.reference
    if arm == reference:
        raise Absent(f"the profile has one arm of its kind ({test.arm.group}), with nothing to compare it with")
    return arm, reference


def _benchmarks(benchmark: str | Sets, params: Params) -> list[str]:
    if isinstance(benchmark, str):
        return [benchmark]
    found = [
        name
        for name, spec in params.questions.transfer.items()
        if (spec.task if isinstance(spec, WorldSet) else spec.source) in benchmark.transfer
    ]
    if not found:
        raise Absent(f"the profile has no transfer set of {' or '.join(benchmark.transfer)}")
    return found
