"""The lines of the ledger: arms found by what they are, effects read from their rows, claims in claims.yaml alone."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from polya_midtrain import params as settings
from polya_midtrain.errors import UserError
from polya_midtrain.ledger import report, schema, select
from polya_midtrain.ledger.lines import Ledger, Line
from polya_midtrain.ledger.schema import Arms, Claims, Compare, Trend
from polya_midtrain.params import Params
from polya_midtrain.tables import read
from polya_midtrain.tables.row import Row
from polya_midtrain.tables.shared import render

ROOT = Path(__file__).resolve().parents[1]
PARAMS = settings.load(ROOT / "profiles/tiny.yaml")
POOLED = "+".join(str(seed) for seed in PARAMS.seeds)
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
    def chosen(**role: Any) -> list[str]:
        return [arm for arm, _ in pairs(compare(arm=role))]

    assert chosen(group="heuristics") == ["n16"]
    assert chosen(group="heuristics", n="largest", up_to=4) == ["n4"]
    assert chosen(group="heuristics", n="smallest") == ["n1"]
    assert chosen(group="heuristics", n=8) == ["n8"]
    assert chosen(group="heuristics", n="each", up_to=4) == ["n1", "n2", "n4"]
    assert chosen(group="star") == ["star"]
    assert chosen(group="distilled") == ["distil"]
    assert chosen(group="as distilled") == ["n16"]
    assert chosen(group="wrong", n="each") == ["w1", "w2", "w4", "w8"]
    assert chosen(group="mixed") == ["m4"]
    assert chosen(group="budget rows") == ["b16"]
    assert chosen(group="budget tokens") == ["t16"]


def test_the_other_side_is_another_arm_or_a_word_of_the_table() -> None:
    right = Arms(group="right", n="same")
    assert pairs(compare(arm={"group": "wrong", "n": "each", "up_to": 2}, reference=right)) == [
        ("w1", "r1"),
        ("w2", "r2"),
    ]
    budget = compare(arm={"group": "budget rows", "n": "each"}, reference={"group": "budget rows", "n": "smallest"})
    assert pairs(budget) == [("b2", "n1"), ("b4", "n1"), ("b8", "n1"), ("b16", "n1")]
    assert pairs(compare(reference="before RL")) == [("n16", "before RL")]


def test_a_trend_goes_by_the_names_of_its_arms() -> None:
    trend = {"kind": "trend", "table": "main", "metric": "slope over log2 n", "direction": "down"}
    assert pairs(Trend.model_validate(trend | {"over": "wrong"})) == [("w1+w2+w4+w8", "")]
    assert pairs(Trend.model_validate(trend | {"over": "wrong", "less": "right"})) == [("w1+w2+w4+w8", "r1+r2+r4+r8")]
    assert pairs(Trend.model_validate(trend | {"over": "wrong", "arm": "by n", "reference": "before RL"})) == [
        ("by n", "before RL")
    ]


@pytest.mark.parametrize(
    ("test", "why"),
    [
        (compare(arm={"group": "distilled"}), "the profile has no arm for it (distilled, n largest)"),
        (compare(arm={"group": "heuristics", "n": 16}), "no arm for it (heuristics, n 16)"),
        (compare(reference={"group": "right", "n": "same"}), "no arm for it (right, n 4)"),
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
    others = [row(seeds="1"), row("n8"), row(phase="before"), row(benchmark="pairs"), row(k=1), row(metric="truncated")]
    assert select.find([*others, wanted], test, one, PARAMS.seeds) is wanted
    named = replace(wanted, reference="vanilla")
    assert select.find([*others, named], test, one, PARAMS.seeds) is named
    what = f"arm n16, phase after, benchmark mean, metric pass@k, k {LARGEST}, reference vanilla"
    with pytest.raises(select.Absent) as absent:
        select.find([replace(wanted, reference="star")], test, one, PARAMS.seeds)
    assert str(absent.value) == f"table main has no row with {what}"
    with pytest.raises(UserError) as caught:
        select.find([wanted, named], test, one, PARAMS.seeds)
    assert str(caught.value) == (
        f"reports/tables/main.csv: 2 rows with {what}; run `dvc repro tables@main`, or correct claims.yaml"
    )


# The ledger


def claims(*tests: dict[str, Any], **part: Any) -> Claims:
    """Claim C1 with a part per test."""
    body = {"statement": "It works.", "paper": {"value": "unknown"}} | part
    parts = {letter: body | {"test": test} for letter, test in zip("abcdef", tests, strict=False)}
    return Claims.model_validate({"claims": {"C1": {"statement": "Everything works.", "parts": parts}}})


BETTER = compare().model_dump()
TREND = {"kind": "trend", "table": "main", "metric": "slope", "over": "heuristics", "direction": "up"}
EFFECT = row(diff=0.06, diff_low=0.02, diff_high=0.1, p_holm=0.01, detectable=0.07)
SLOPE = row("n1+n2+n4+n8+n16", 0.02, metric="slope", k=None, low=-0.02, high=0.06, p_holm=0.3)


def judged(of: Claims, *rows: Row, params: Params = PARAMS, total: float = 0.0) -> Ledger:
    return report.ledger(of, params, {"main": rows}, {"main": 3.0}, total)


def parts(ledger: Ledger) -> list[Line]:
    return [line for line in ledger.lines if line.part]


def verdict(ledger: Ledger) -> str:
    [claim] = ledger.claims
    return claim.verdict


def test_a_line_has_the_effect_in_its_rows_unit_and_the_way_to_make_it() -> None:
    paper = {"value": "0.40 -> 0.45", "source": "A, R", "size": 0.05}
    [line] = parts(judged(claims(BETTER, paper=paper), EFFECT))
    assert line == Line(
        claim="C1a",
        statement="It works.",
        paper="0.40 -> 0.45 (A, R)",
        ours=0.06,
        low=0.02,
        high=0.1,
        verdict="replicated",
        reason=f"n16 against vanilla, pass@{LARGEST}, mean: +0.060 [+0.020, +0.100] (Holm p 0.010) "
        "lies above 0, as claimed",
        command="dvc repro tables@main",
        seconds=3.0,
        table="main",
    )


def test_a_claim_is_the_verdict_of_its_parts_without_controls() -> None:
    both = judged(claims(BETTER, TREND), EFFECT, SLOPE)
    assert [line.verdict for line in parts(both)] == ["replicated", "inconclusive"]
    assert (verdict(both), both.claims[0].reason) == ("inconclusive", "C1a replicated; C1b inconclusive")
    content = claims(BETTER, TREND).model_dump()
    content["claims"]["C1"]["parts"]["b"]["control"] = True
    controlled = judged(Claims.model_validate(content), EFFECT, SLOPE)
    assert verdict(controlled) == "replicated"
    assert controlled.claims[0].reason == "C1a replicated; C1b inconclusive (control)"
    assert parts(controlled)[1].statement == "Control: It works."


def test_the_test_in_a_row_with_a_difference_is_of_the_difference() -> None:
    moved = replace(SLOPE, value=0.1, low=0.06, high=0.14, diff=0.01, diff_low=-0.1, diff_high=0.1, p_holm=0.9)
    [line] = parts(judged(claims(TREND), moved))
    assert (line.verdict, line.ours, "Holm" in line.reason) == ("replicated", 0.1, False)


def test_a_majority_of_all_is_judged_and_a_difference_that_never_varied_is_not() -> None:
    test = BETTER | {"column": "value", "metric": "risen", "zero": 0.5, "k": None, "reference": "closed form"}
    same = row(value=1.0, metric="risen", k=None, low=1.0, high=1.0, reference="closed form", diff=0.4, diff_low=0.3)
    [line] = parts(judged(claims(test), same))
    assert (line.verdict, line.high) == ("replicated", 1.0)
    assert line.low == round(0.025 ** (1 / 72), 4)
    assert "against" not in line.reason  # the reference is that of the difference, which is not read
    assert verdict(judged(claims(test | {"zero": 0.0}), same)) == "inconclusive"


def test_a_part_without_its_arms_is_not_tested_and_says_why() -> None:
    entry = judged(claims(TREND), params=arms(n4={"traces": "heuristics", "n": 4}))
    [line] = parts(entry)
    assert (verdict(entry), line.verdict, line.ours) == ("not tested", "not tested", None)
    assert line.reason.startswith("a trend takes two arms of different n")
    [line] = parts(judged(claims(BETTER)))
    assert (line.verdict, line.reason.startswith("table main has no row with arm n16")) == ("not tested", True)


def test_any_asks_for_one_arm_on_each_set() -> None:
    test = BETTER | {
        "arm": {"group": "heuristics", "n": "each"},
        "rule": "any",
        "benchmark": {"transfer": ["program", "story"]},
    }
    null = row(diff=0.0, diff_low=-0.05, diff_high=0.05, p_holm=1.0)
    rows = {
        (name, place): replace(null, arm=name, benchmark=place)
        for name in ("n1", "n2", "n4", "n8", "n16")
        for place in ("program", "story")
    }
    assert verdict(judged(claims(test), *rows.values())) == "inconclusive"
    rows["n2", "story"] = replace(EFFECT, arm="n2", benchmark="story")
    assert verdict(judged(claims(test), *rows.values())) == "inconclusive"
    rows["n8", "program"] = replace(EFFECT, arm="n8", benchmark="program")
    assert verdict(judged(claims(test), *rows.values())) == "replicated"
    # Without Holm's p the interval is the Bonferroni one for five arms: 0.06 -+ 0.04 becomes 0.06 -+ 0.0526.
    for key, effect in rows.items():
        rows[key] = replace(effect, p_holm=None)
    assert verdict(judged(claims(test), *rows.values())) == "replicated"
    rows["n8", "program"] = replace(rows["n8", "program"], diff=0.045, diff_low=0.005, diff_high=0.085)
    assert verdict(judged(claims(test), *rows.values())) == "inconclusive"


def test_a_row_without_a_difference_is_refused() -> None:
    with pytest.raises(UserError, match=r"reports/tables/main.csv: no difference with arm n16, metric pass@k"):
        judged(claims(BETTER), row())


def test_csv_and_page_tell_the_same() -> None:
    ledger = judged(claims(BETTER, TREND), EFFECT, SLOPE, total=1234.0)
    records = list(csv.DictReader(io.StringIO(report.csv_text(ledger))))
    assert ",".join(records[0]) == "claim,statement,paper,ours,low,high,verdict,reason,command,seconds,table"
    assert [(one["claim"], one["ours"], one["seconds"], one["table"]) for one in records] == [
        ("C1", "", "", "main"),
        ("C1a", "0.0600", "3", "main"),
        ("C1b", "0.0200", "3", "main"),
    ]
    text = render.markdown(report.page(ledger, PARAMS.profile))
    assert "**1 claims: 1 inconclusive**" in text
    assert "| C1a | It works. | unknown | +0.060 [+0.020, +0.100] | replicated |" in text
    assert "took 1234 s" in text
    assert "took" not in str(judged(claims(BETTER), EFFECT).notes).partition("All stages")[2]
    assert Ledger.model_validate_json(ledger.text()) == ledger


# The files


def test_a_table_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    rows = [EFFECT, SLOPE, row(low=None, high=None, paper=0.25, reference="vanilla", k=None)]
    path = tmp_path / "main.csv"
    path.write_text(render.csv_text(rows), encoding="utf-8")
    assert read.read(path) == rows


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text.replace("metric", "measure"), ":1: its columns are not those of the long format"),
        (lambda text: text.replace("0.5000", "half"), ":2: value is 'half', which is no number"),
        (lambda text: text.replace("0.5000", "nan"), ":2: value is 'nan', which is no number"),
        (lambda text: text.replace("0.5000", ""), ":2: value is '', which is no number"),
        (lambda text: text.replace(",share,", ",share,,"), ":2: 22 cells for 21 columns"),
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
        ("size: 0.0388", "size: -0.0388", "size: Input should be greater than 0"),
        ("      b:", "      bb:", "parts.bb"),
        ("up_to: 16", "up_to: 16, n: same", "n is there twice"),
        (
            "{group: heuristics, n: largest, up_to: 16}",
            "{group: heuristics, n: same}",
            "`n: same` is for the reference",
        ),
    ],
)
def test_a_fault_of_claims_yaml_is_one_line_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (ROOT / "claims.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "claims.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    changed = path.read_text(encoding="utf-8").splitlines()
    place = next(number for number, line in enumerate(changed, start=1) if line not in text.splitlines())
    with pytest.raises(UserError) as caught:
        schema.load(path)
    fault = str(caught.value)
    assert "\n" not in fault
    assert message in fault
    assert int(fault.removeprefix(f"{path}:").partition(":")[0]) in range(place - 6, place + 2)


def test_controls_alone_make_no_claim() -> None:
    with pytest.raises(ValueError, match="a claim needs a part that is no control"):
        claims(BETTER, control=True)


# The claims of the paper

COMMITTED = schema.load(ROOT / "claims.yaml")


def test_the_claims_are_those_of_the_paper_and_every_value_has_a_source() -> None:
    assert list(COMMITTED.claims) == [f"C{number}" for number in range(1, 9)]
    content = yaml.safe_load((ROOT / "claims.yaml").read_text(encoding="utf-8"))
    for name, claim in content["claims"].items():
        for letter, part in claim["parts"].items():
            known = part["paper"]["value"] != "unknown"
            assert bool(part["paper"].get("source")) == known, f"{name}{letter}"
            assert known or part.get("control"), f"{name}{letter}: what the paper does not say is a control"


@pytest.mark.parametrize("profile", sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml")))
def test_every_profile_tests_what_its_arms_allow(profile: str) -> None:
    params = settings.load(ROOT / f"profiles/{profile}.yaml")
    tested = []
    for name, claim in COMMITTED.claims.items():
        for letter, part in claim.parts.items():
            with suppress(select.Absent):
                tested += [f"{name}{letter}"] * bool(select.wanted(part.test, params))
    assert "C1a" in tested
    if profile in ("tiny", "smoke", "study"):
        assert len(tested) == sum(len(claim.parts) for claim in COMMITTED.claims.values())
