"""From a test to the rows that it speaks of: arms by what they are, sets by their task, k by its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polya_midtrain import paths, studies
from polya_midtrain.errors import UserError
from polya_midtrain.ledger.schema import Arms, Compare, Group, Sets, Trend
from polya_midtrain.params import Arm, Params, WorldSet
from polya_midtrain.tables.row import Row


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
    """The rows that a test speaks of, all arms of a set one after the other; raises `Absent` where there are none."""
    largest, smallest = max(params.tables.ks), min(params.tables.ks)
    k = None if test.k is None else largest if test.k == "largest" else smallest
    return [
        Wanted(arm, reference, benchmark, k)
        for benchmark in _benchmarks(test.benchmark, params)
        for arm, reference in _pairs(test, params.arms)
    ]


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
        return studies.stars(arms)
    return [name for name in arms if arms[name].traces == "none"]


def find(rows: Sequence[Row], test: Compare | Trend, one: Wanted, seeds: Sequence[int]) -> Row:
    """The row that holds an effect: over all training seeds, or of none of them.

    Raises `Absent` where there is none (tables leave out what there is nothing to measure by, such as a ratio to a mean
    of 0), and `UserError` where there are several.
    """
    pooled = ("", "+".join(str(seed) for seed in seeds))
    references = (one.reference, "") if one.reference == studies.REFERENCE else (one.reference,)
    found = [
        row
        for row in rows
        if (row.arm, row.benchmark, row.metric, row.k) == (one.arm, one.benchmark, test.metric, one.k)
        and row.phase == test.phase
        and row.reference in references
        and row.seeds in pooled
    ]
    what = {"arm": one.arm, "phase": test.phase, "benchmark": one.benchmark, "metric": test.metric, "k": one.k}
    known = {name: value for name, value in (what | {"reference": one.reference}).items() if value not in ("", None)}
    named = ", ".join(f"{name} {value}" for name, value in known.items())
    if not found:
        raise Absent(f"table {test.table} has no row with {named}")
    if len(found) > 1:
        raise UserError(
            f"{paths.TABLES / test.table}.csv: {len(found)} rows with {named}; "
            f"run `dvc repro tables@{test.table}`, or correct {paths.CLAIMS}"
        )
    return found[0]


def _pairs(test: Compare | Trend, arms: Mapping[str, Arm]) -> list[tuple[str, str]]:
    if isinstance(test, Trend):
        groups = [members(group, arms) for group in (test.over, test.less) if group is not None]
        for names in groups:
            if len({arms[name].n for name in names}) < 2:
                raise Absent("a trend takes two arms of different n, and the profile has not got them")
        joined = ["+".join(names) for names in groups]
        return [(test.arm or joined[0], test.reference or "".join(joined[1:]))]
    found = []
    for name in _chosen(test.arm, arms, None):
        references = (
            _chosen(test.reference, arms, arms[name].n) if isinstance(test.reference, Arms) else [test.reference]
        )
        found += [(name, reference) for reference in references if reference != name]
    if not found:
        raise Absent(f"the profile has one arm of its kind ({test.arm.group}), with nothing to compare it with")
    return found


def _chosen(role: Arms, arms: Mapping[str, Arm], same: int | None) -> list[str]:
    group = [name for name in members(role.group, arms) if role.up_to is None or arms[name].n <= role.up_to]
    if role.n in ("largest", "smallest"):
        found = group[-1:] if role.n == "largest" else group[:1]
    else:
        n = same if role.n == "same" else role.n
        found = [name for name in group if role.n == "each" or arms[name].n == n]
    if not found:
        raise Absent(f"the profile has no arm for it ({role.group}, n {role.n if same is None else same})")
    return found


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
