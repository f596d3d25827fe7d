"""The lines of the ledger: arms found by what they are, effects read from their rows, claims in claims.yaml alone."""

from __future__ import annotations

import csv
import io
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.ledger import report, schema, select
from polya_midtrain.ledger.lines import Ledger, Line
from polya_midtrain.ledger.parts import holm, named
from polya_midtrain.ledger.schema import Arms, Claims, Compare, Trend
from polya_midtrain.params import Params
from polya_midtrain.tables import read, readme_table
from polya_midtrain.tables.row import Row
from polya_midtrain.tables.shared import render
from polya_midtrain.tools import claims_table

ROOT = Path(__file__).resolve().parents[1]
PARAMS = settings.load(ROOT / "profiles/tiny.yaml")
POOLED = "+".join(str(seed) for seed in PARAMS.runs)
LARGEST = max(PARAMS.tables.ks)


# Which rows


def compare(**changes: Any) -> Compare:
    content = {
        "kind": "compare",
        "table": "main",
        "metric": "pass@k",
        "column": "diff",
        "k": "largest",
        "arm": {"group": "heuristics"},
        "reference": {"group": "vanilla"},
        "direction": "up",
    }
    return Compare.model_validate(content | changes)


def arms(**changes: Any) -> Params:
    """The tiny profile with other arms."""
    chosen = {name: settings.Arm.model_validate(arm) for name, arm in changes.items()}
    return PARAMS.model_copy(update={"arms": {"vanilla": settings.Arm(traces="none"), **chosen}})


def pairs(test: Compare | Trend, params: Params = PARAMS) -> list[tuple[str, str]]:
    return [(one.arm, one.reference) for one in select.wanted(test, params)]


def test_arms_are_found_by_what_they_are() -> None:
    def chosen(**role: Any) -> str:
        return select.chosen(Arms.model_validate(role), PARAMS.arms)

    assert chosen(group="heuristics") == "n16"
    assert chosen(group="heuristics", n="largest", up_to=4) == "n4"
    assert chosen(group="heuristics", n="smallest") == "n1"
    assert chosen(group="star") == "star"
    assert chosen(group="distilled") == "distil"
    assert chosen(group="as distilled") == "n16"
    assert chosen(group="wrong", up_to=4) == "w4"
    assert chosen(group="mixed") == "m4"
    assert chosen(group="budget rows") == "b16"
    assert chosen(group="budget tokens") == "t16"
    several = arms(star16={"traces": "unprompted", "n": 16}, star={"traces": "unprompted", "n": 1})
    assert select.members("star", several.arms) == ["star", "star16"]  # by n, in whatever order they stand


def test_the_other_side_is_another_arm_or_a_word_of_the_table() -> None:
    assert pairs(compare(arm={"group": "wrong", "up_to": 2}, reference={"group": "right"})) == [("w1", "r4")]
    budget = compare(arm={"group": "budget rows"}, reference={"group": "budget rows", "n": "smallest"})
    assert pairs(budget) == [("b16", "n1")]
    assert pairs(compare(reference="before RL")) == [("n16", "before RL")]


def test_a_trend_goes_by_the_names_of_its_arms() -> None:
    trend = {"kind": "trend", "table": "main", "metric": "slope over log2 n", "direction": "down"}
    assert pairs(Trend.model_validate(trend | {"over": "wrong"})) == [("w1+w4", "")]
    assert pairs(Trend.model_validate(trend | {"over": "wrong", "less": "right"})) == [("w1+w4", "r1+r4")]
    assert pairs(Trend.model_validate(trend | {"over": "wrong", "arm": "by n", "reference": "before RL"})) == [
        ("by n", "before RL")
    ]


@pytest.mark.parametrize(
    ("test", "why"),
    [
        (compare(arm={"group": "distilled"}), "the profile has no arm for it (distilled, n largest)"),
        (compare(arm={"group": "heuristics", "up_to": 2}), "no arm for it (heuristics, n largest)"),
        (compare(reference={"group": "right"}), "no arm for it (right, n largest)"),
        (compare(reference={"group": "heuristics", "n": "largest"}), "nothing to compare it with"),
        (compare(benchmark={"transfer": ["humaneval"]}), "the profile has no transfer set of humaneval"),
    ],
)
def test_what_a_profile_lacks_is_not_tested(test: Compare, why: str) -> None:
    with pytest.raises(select.Absent) as caught:
        select.wanted(test, arms(n4={"traces": "heuristics", "n": 4}, w4={"traces": "wrong", "n": 4}))
    assert why in str(caught.value)


def test_a_trend_over_one_size_is_not_tested() -> None:
    trend = Trend(kind="trend", table="main", metric="slope", over="heuristics", direction="up")
    with pytest.raises(select.Absent, match="a trend takes two arms of different n"):
        select.wanted(trend, arms(n4={"traces": "heuristics", "n": 4}))


def test_sets_are_found_by_task_or_source() -> None:
    test = compare(benchmark={"transfer": ["story", "musr_murder"]}, k="smallest")
    assert select.wanted(test, PARAMS) == [select.Wanted("n16", "vanilla", "story", min(PARAMS.tables.ks))]


def row(arm: str = "n16", value: float = 0.5, **changes: Any) -> Row:
    made = Row(
        arm, "after", "mean", "pass@k", LARGEST, value, value - 0.1, value + 0.1, "share", 72, 72, POOLED, None, "m"
    )
    return replace(made, **changes)


def test_the_pooled_row_is_read_and_vanilla_may_go_unnamed() -> None:
    test = compare()
    [one] = select.wanted(test, PARAMS)
    wanted = row(diff=0.1)
    others = [row(seeds="1"), row("n4"), row(phase="before"), row(benchmark="pairs"), row(k=1), row(metric="truncated")]
    assert select.find([*others, wanted], test, one, PARAMS.runs) is wanted
    named = replace(wanted, reference="vanilla")
    assert select.find([*others, named], test, one, PARAMS.runs) is named
    what = f"arm n16, phase after, benchmark mean, metric pass@k, k {LARGEST}, reference vanilla"
    with pytest.raises(select.Absent) as absent:
        select.find([replace(wanted, reference="star")], test, one, PARAMS.runs)
    assert str(absent.value) == f"table main has no row with {what}"
    with pytest.raises(UserError) as caught:
        select.find([wanted, named], test, one, PARAMS.runs)
    assert str(caught.value) == (
        f"reports/tables/main.csv: 2 rows with {what}; run `dvc repro tables@main`, or correct claims.yaml"
    )


# The ledger


SESOI = {"size": 0.05, "why": "it is small"}


def claims(*tests: dict[str, Any], **part: Any) -> Claims:
    """Claim C1 with a part per test, the first one primary."""
    body = {"statement": "It works.", "paper": {"value": "unknown"}}
    primary = {"role": "primary", "sesoi": SESOI} | part
    parts = {
        letter: body | (primary if letter == "a" else {"role": "secondary"}) | {"test": test}
        for letter, test in zip("abcdef", tests, strict=False)
    }
    return Claims.model_validate({"claims": {"C1": {"statement": "Everything works.", "parts": parts}}})


BETTER = compare().model_dump()
TREND = {"kind": "trend", "table": "main", "metric": "slope", "over": "heuristics", "direction": "up"}
EFFECT = row(diff=0.06, diff_low=0.02, diff_high=0.1, p_holm=0.03, detectable=0.07, p=0.01)
SLOPE = row("n1+n4+n16", 0.02, metric="slope", k=None, low=-0.02, high=0.06, p_holm=0.3, p=0.2)


def judged(of: Claims, *rows: Row, params: Params = PARAMS, total: float = 0.0, **tables: Any) -> Ledger:
    return report.ledger(of, params, {"main": rows, **tables}, {"main": 3.0}, total, "rules.md")


def parts(ledger: Ledger) -> list[Line]:
    return [line for line in ledger.lines if line.part]


def verdict(ledger: Ledger) -> str:
    [claim] = ledger.claims
    return claim.verdict


def test_a_line_has_the_effect_in_its_rows_unit_and_the_way_to_make_it() -> None:
    paper = {"value": "0.40 -> 0.45", "source": "A, R", "size": 0.05, "error": 0.021}
    [line] = parts(judged(claims(BETTER, paper=paper), EFFECT))
    assert line == Line(
        claim="C1a",
        role="primary",
        statement="It works.",
        paper="0.40 -> 0.45 (A, R); its uncertainty: standard error 0.021",
        ours=0.06,
        low=0.02,
        high=0.1,
        sesoi=0.05,
        direction="up",
        paper_size=0.05,
        p=0.01,
        p_holm=0.01,
        verdict="replicated",
        reason=f"n16 against vanilla, pass@{LARGEST}, mean: +0.060 [+0.020, +0.100] (Holm p 0.010) "
        "lies above 0, as claimed",
        premise="",
        command="dvc repro tables@main",
        seconds=3.0,
        table="main",
    )
    [line] = parts(judged(claims(BETTER, paper={"value": "more", "source": "A"}), EFFECT))
    assert line.paper == "more (A); its uncertainty: unknown"


def test_a_claim_is_the_verdict_of_its_primary_part_and_others_have_their_own_words() -> None:
    both = judged(claims(BETTER, TREND), EFFECT, SLOPE)
    assert [line.verdict for line in parts(both)] == ["replicated", "open"]
    assert (verdict(both), both.claims[0].reason) == ("replicated", "C1a replicated (primary); C1b open (secondary)")
    assert [line.says for line in parts(both)] == ["Primary: It works.", "Secondary: It works."]
    other = judged(claims(TREND, BETTER), EFFECT, SLOPE)
    assert [line.verdict for line in parts(other)] == ["inconclusive", "holds"]
    assert verdict(other) == "inconclusive"
    worse = replace(EFFECT, diff=-0.06, diff_low=-0.1, diff_high=-0.02)
    assert [line.verdict for line in parts(judged(claims(TREND, BETTER), worse, SLOPE))][1] == "does not hold"
    # Its own table's p decides nothing of a primary part, and of the others the family of the primary parts nothing.
    assert [line.p_holm for line in parts(both)] == [0.01, None]


def test_holm_is_over_the_primary_parts_and_one_without_a_test_keeps_its_place() -> None:
    assert holm({"a": 0.01, "b": 0.03, "c": 0.02}) == {"a": 0.03, "b": 0.04, "c": 0.04}
    assert holm({"a": 0.01, "b": None, "c": None}) == {"a": 0.03, "b": None, "c": None}
    content = claims(BETTER, TREND).model_dump()
    names = [f"C{number}" for number in range(1, 6)]
    five = Claims.model_validate({"claims": dict.fromkeys(names, content["claims"]["C1"])})
    ledger = judged(five, EFFECT, SLOPE)
    assert {line.p_holm for line in parts(ledger) if line.role == "primary"} == {0.05}
    assert {claim.verdict for claim in ledger.claims} == {"inconclusive"}  # 0.01 by itself, one of five


def test_the_test_in_a_row_with_a_difference_is_of_the_difference() -> None:
    moved = replace(SLOPE, value=0.1, low=0.06, high=0.14, diff=0.01, diff_low=-0.1, diff_high=0.1, p_holm=0.9)
    line = parts(judged(claims(BETTER, TREND), EFFECT, moved))[1]
    assert (line.verdict, line.ours, "Holm" in line.reason) == ("holds", 0.1, False)
    line = parts(judged(claims(BETTER, TREND | {"column": "diff"}), EFFECT, moved))[1]
    assert (line.verdict, line.ours, "Holm p 0.9" in line.reason) == ("open", 0.01, True)


def test_a_majority_of_all_is_judged_and_a_difference_that_never_varied_is_not() -> None:
    test = BETTER | {"column": "value", "metric": "risen", "zero": 0.5, "k": None, "reference": "closed form"}
    same = row(value=1.0, metric="risen", k=None, low=1.0, high=1.0, reference="closed form", diff=0.4, diff_low=0.3)
    line = parts(judged(claims(BETTER, test), EFFECT, same))[1]
    assert (line.verdict, line.high) == ("holds", 1.0)
    assert line.low == round(0.025 ** (1 / 72), 4)
    assert "against" not in line.reason  # the reference is that of the difference, which is not read
    assert parts(judged(claims(BETTER, test | {"zero": 0.0}), EFFECT, same))[1].verdict == "open"


def test_a_part_without_its_arms_is_not_tested_and_says_why() -> None:
    entry = judged(claims(TREND), params=arms(n4={"traces": "heuristics", "n": 4}))
    [line] = parts(entry)
    assert (verdict(entry), line.verdict, line.ours) == ("not tested", "not tested", None)
    assert line.reason.startswith("a trend takes two arms of different n")
    [line] = parts(judged(claims(BETTER)))
    assert (line.verdict, line.reason.startswith("table main has no row with arm n16")) == ("not tested", True)


def test_of_several_sets_all_have_to_show_the_effect() -> None:
    test = BETTER | {"benchmark": {"transfer": ["program", "story"]}}
    shown = [replace(EFFECT, benchmark=name) for name in ("program", "story")]
    assert verdict(judged(claims(test), *shown)) == "replicated"
    null = replace(shown[1], diff=0.0, diff_low=-0.06, diff_high=0.06, p=0.9)
    both = judged(claims(test), shown[0], null)
    assert (verdict(both), parts(both)[0].p) == ("inconclusive", 0.9)


def test_a_row_without_a_difference_is_refused() -> None:
    with pytest.raises(UserError, match=r"reports/tables/main.csv: no difference with arm n16, metric pass@k"):
        judged(claims(BETTER), row())


# Checks before a verdict


@pytest.mark.parametrize(("way", "level"), [("up", 0.95), ("down", 0.05)])
def test_where_an_effect_of_interest_has_no_room_nothing_is_tested(way: str, level: float) -> None:
    """A tenth of a percent of room more, and it is judged."""
    test = claims(BETTER | {"direction": way}, room="pass@k")
    inside = level - 0.001 if way == "up" else level + 0.001
    entry = judged(test, EFFECT, row("vanilla", value=level))
    [line] = parts(entry)
    assert (line.verdict, line.ours, line.p) == ("not tested", None, None)
    assert line.reason == f"no room: vanilla has pass@k {level:.3f}, which is not 0.050 " + (
        "below 1" if way == "up" else "above 0"
    )
    assert parts(judged(test, EFFECT, row("vanilla", value=inside)))[0].verdict != "not tested"
    [line] = parts(judged(test, EFFECT))
    assert line.reason.startswith("table main has no row with phase after")


def test_the_room_of_a_slope_is_that_of_all_its_doublings_and_of_a_ratio_that_of_its_level() -> None:
    def tested(test: dict[str, Any], start: Row, *rows: Row) -> bool:
        return verdict(judged(claims(test, room="pass@k"), start, *rows)) != "not tested"

    trend = TREND | {"k": "largest"}
    slope = replace(SLOPE, k=LARGEST)
    assert tested(trend, row("n1", value=0.79), slope)  # four doublings of 0.05
    assert not tested(trend, row("n1", value=0.8), slope)
    ratio = BETTER | {"metric": "relative change", "column": "value"}
    change = row(metric="relative change", value=0.1, p=0.5, reference="vanilla")
    assert tested(ratio, row("vanilla", value=0.952), change)
    assert not tested(ratio, row("vanilla", value=0.953), change)
    before = BETTER | {"reference": "before RL"}
    after = replace(EFFECT, reference="before RL")
    assert tested(before, row(phase="before", value=0.9), after)
    assert not tested(before, row(phase="before", value=0.96), after)


def test_a_judge_that_was_not_measured_or_misses_much_decides_nothing() -> None:
    def measured(precision: float, recall: float) -> list[Row]:
        shares = {"judge precision": precision, "judge recall": recall}
        return [row("judge", value, phase="labelled", benchmark="two or more", metric=m) for m, value in shares.items()]

    test = claims(BETTER, judge=0.8)
    [line] = parts(judged(test, EFFECT))
    assert line.reason == "judge precision on chains of two or more was not measured, and has to be 0.8 or more"
    [line] = parts(judged(test, EFFECT, *measured(0.9, 0.79)))
    assert line.reason == "judge recall on chains of two or more is 0.790, and has to be 0.8 or more"
    assert verdict(judged(test, EFFECT, *measured(0.7, 0.9))) == "not tested"
    assert verdict(judged(test, EFFECT, *measured(0.8, 0.8))) == "replicated"


def test_whether_a_run_is_in_the_papers_premise_stands_beside_its_claim() -> None:
    content = claims(BETTER).model_dump()
    level = {"table": "main", "metric": "pass@k", "phase": "after", "k": "largest", "arm": {"group": "vanilla"}}
    below = level | {"table": "midtrain", "phase": "before"}
    content["claims"]["C1"]["premise"] = {"statement": "RL alone lowers it", "level": level, "below": below}
    with_premise = Claims.model_validate(content)
    assert with_premise.tables == ["main", "midtrain"]

    def said(before: float, after: float) -> str:
        rows = [row("vanilla", before, phase="before")]
        return judged(with_premise, EFFECT, row("vanilla", after), midtrain=rows).claims[0].says

    assert said(0.8, 0.7) == (
        "Everything works. In the paper's premise: yes (RL alone lowers it; here from 0.800 to 0.700)."
    )
    assert "premise: no (" in said(0.7, 0.7)
    lacking = judged(with_premise, EFFECT, midtrain=[]).claims[0]
    assert lacking.premise.startswith("In the paper's premise: unknown (table main has no row with arm vanilla")
    assert lacking.verdict == "replicated"  # said, and no check


def test_csv_and_page_tell_the_same() -> None:
    ledger = judged(claims(BETTER, TREND), EFFECT, SLOPE, total=1234.0)
    records = list(csv.DictReader(io.StringIO(report.csv_text(ledger))))
    assert ",".join(records[0]) == (
        "claim,role,statement,paper,ours,low,high,sesoi,direction,paper_size,p,p_holm,verdict,reason,premise,command,seconds,table"
    )
    names = ("claim", "role", "ours", "sesoi", "p", "p_holm", "seconds", "table")
    assert [tuple(one[name] for name in names) for one in records] == [
        ("C1", "", "", "", "", "", "", "main"),
        ("C1a", "primary", "0.0600", "0.0500", "0.0100", "0.0100", "3", "main"),
        ("C1b", "secondary", "0.0200", "", "", "", "3", "main"),
    ]
    text = render.markdown(report.page(ledger, PARAMS.profile))
    assert "**1 claims: 1 replicated**" in text
    assert (
        "| C1a | Primary: It works. | unknown | +0.060 [+0.020, +0.100] | 0.05 | 0.0100; 0.0100 | replicated |" in text
    )
    assert "- Rules: rules.md" in text
    assert "over the 1 primary parts" in text
    assert "took 1234 s" in text
    assert "took" not in str(judged(claims(BETTER), EFFECT).notes).partition("All stages")[2]
    assert Ledger.model_validate_json(ledger.text()) == ledger


# The files


def test_a_table_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    rows = [EFFECT, SLOPE, row(low=None, high=None, paper=0.25, reference="vanilla", k=None)]
    path = tmp_path / "main.csv"
    path.write_text(render.csv_text(rows), encoding="utf-8")
    assert read.read(path) == rows
    # A kept run may be older than the last columns.
    older = [line.rpartition(",")[0] for line in render.csv_text(rows).splitlines()]
    path.write_text("\n".join(older), encoding="utf-8")
    assert read.read(path) == [replace(one, p=None) for one in rows]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text.replace("metric", "measure"), ":1: its columns are not those of the long format"),
        (lambda text: text.replace("0.5000", "half"), ":2: value is 'half', which is no number"),
        (lambda text: text.replace("0.5000", "nan"), ":2: value is 'nan', which is no number"),
        (lambda text: text.replace("0.5000", ""), ":2: value is '', which is no number"),
        (lambda text: text.replace(",share,", ",share,,"), ":2: 23 cells for 22 columns"),
        (lambda text: "", ":1: its columns"),
    ],
)
def test_a_table_that_is_none_is_refused_with_its_line(tmp_path: Path, edit: Any, message: str) -> None:
    path = tmp_path / "main.csv"
    path.write_text(edit(render.csv_text([row()])), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read.read(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert str(caught.value).endswith("; run `dvc repro -f tables@main`")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"main.csv: missing; run `dvc repro tables@main`"):
        read.read(tmp_path / "main.csv")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("direction: up", "direction: upward", "direction: Input should be 'up' or 'down'"),
        ("group: star", "group: sta", "reference.group: Input should be"),
        ("table: main", "tabel: main", "tabel: no such setting; correct its name or remove it"),
        ("kind: compare", "kind: compares", "found using 'kind' does not match any of the expected tags"),
        ("source: A, size", "size", "a value needs its source"),
        ("source: A, size: 0.0388", "source: A, error: 0.0388", "an error is that of a size"),
        ("size: 0.0388", "size: -0.0388", "size: Input should be greater than 0"),
        ("role: secondary", "role: primary", "a primary part needs its smallest effect of interest"),
        ("role: primary", "role: control", "and no other part has one"),
        ("      b:", "      bb:", "parts.bb"),
        ("up_to: 16", "up_to: 16, n: smallest", "n is there twice"),
        ("n: largest, up_to: 16", "n: each, up_to: 16", "arm.n: Input should be 'largest' or 'smallest'"),
    ],
)
def test_a_fault_of_claims_yaml_is_one_line_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (ROOT / "claims.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "claims.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    changed = path.read_text(encoding="utf-8").splitlines()
    place = next(
        number
        for number, line in enumerate(zip(changed, text.splitlines(), strict=True), start=1)
        if line[0] != line[1]
    )
    with pytest.raises(UserError) as caught:
        schema.load(path)
    fault = str(caught.value)
    assert "\n" not in fault
    assert message in fault
    assert int(fault.removeprefix(f"{path}:").partition(":")[0]) in range(place - 6, place + 2)


def test_a_claim_has_one_primary_part_and_room_is_that_for_its_size() -> None:
    content = claims(BETTER, BETTER).model_dump()
    for role in ("a", "b"):
        one = claims(BETTER, BETTER).model_dump()
        part = one["claims"]["C1"]["parts"][role]
        part |= {"role": "control", "sesoi": None} if role == "a" else {"role": "primary", "sesoi": SESOI}
        with pytest.raises(ValueError, match="a claim needs one primary part"):
            Claims.model_validate(one)
    content["claims"]["C1"]["parts"]["b"]["room"] = "pass@k"
    with pytest.raises(ValueError, match="room is that for a smallest effect of interest"):
        Claims.model_validate(content)


# The claims of the paper

COMMITTED = schema.load(ROOT / "claims.yaml")


def test_the_claims_are_those_of_the_paper_and_every_value_has_a_source() -> None:
    assert list(COMMITTED.claims) == [f"C{number}" for number in range(1, 9)]
    content = yaml.safe_load((ROOT / "claims.yaml").read_text(encoding="utf-8"))
    for name, claim in content["claims"].items():
        for letter, part in claim["parts"].items():
            known = part["paper"]["value"] != "unknown"
            assert bool(part["paper"].get("source")) == known, f"{name}{letter}"
            assert known == (part["role"] != "control"), f"{name}{letter}: what the paper does not say is a control"


def test_what_a_judge_found_is_judged_by_a_judge_that_was_measured_and_a_share_where_it_has_room() -> None:
    for name, part in named(COMMITTED).items():
        assert (part.judge is not None) == (part.test.table == "composition"), name
        shares = part.test.table not in ("diversity", "modes")
        assert bool(part.room) == (part.role == "primary" and shares), name


def test_one_arm_is_compared_within_and_out_of_the_domain() -> None:
    """None is the best of several: which one is meant stands in the file."""
    compared = [part.test for part in named(COMMITTED).values() if isinstance(part.test, Compare)]
    chosen = {test.table: test.arm for test in compared if test.arm.group == "heuristics"}
    assert chosen.keys() == {"main", "composition", "transfer", "modes"}
    assert set(map(repr, chosen.values())) == {repr(Arms(group="heuristics", n="largest", up_to=16))}
    assert len([test for test in compared if test.table == "transfer"]) == 3


def test_the_preregistration_has_the_primary_parts_of_claims_yaml(tmp_path: Path) -> None:
    copy = Path(shutil.copy(ROOT / paths.RULES, tmp_path))
    text = copy.read_text(encoding="utf-8")
    for name, claim in COMMITTED.claims.items():
        part = claim.parts[claim.primary]
        assert part.sesoi is not None
        sign = "+" if part.test.direction == "up" else "-"
        [line] = [line for line in text.splitlines() if line.startswith(f"| {name}{claim.primary} |")]
        assert f"| {part.statement} |" in line
        assert f"| {sign}{part.sesoi.size:g} | {part.sesoi.why} |" in line
    assert readme_table.renew(copy, {"primary": lambda: claims_table.primaries(COMMITTED)}) is False, (
        "docs/preregistration.md is stale: run `polya readme`"
    )


@pytest.mark.parametrize("profile", sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml")))
def test_every_profile_tests_what_its_arms_allow(profile: str) -> None:
    params = settings.load(ROOT / f"profiles/{profile}.yaml")
    tested = []
    for name, claim in COMMITTED.claims.items():
        for letter, part in claim.parts.items():
            with suppress(select.Absent):
                tested += [f"{name}{letter}"] * bool(select.wanted(part.test, params))
    assert ("C1a" in tested) is any(arm.traces == "heuristics" for arm in params.arms.values())
    if profile in ("tiny", "smoke", "study"):
        assert len(tested) == sum(len(claim.parts) for claim in COMMITTED.claims.values())
