"""Tables budget, correctness and transfer, from synthetic results in which the truth is known."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polya_midtrain.errors import UserError
from polya_midtrain.params import Arm, FileSet, Machine, Match, Params, Questions, Tables, WorldSet
from polya_midtrain.stages import tables as stage

SEEDS, KS, SAMPLES = [1, 2, 3], [1, 8, 64], 72
SIZES = {"easy": 14, "hard": 10, "code": 8, "stories": 6}
BENCHMARKS = ["easy", "hard"]
ROWS, TOKENS = Match(rows="n1"), Match(tokens="n1")
ARMS = {
    "vanilla": Arm(traces="none"),
    "star": Arm(traces="unprompted", n=1),
    "n1": Arm(traces="heuristics", n=1),
    "n16": Arm(traces="heuristics", n=16),
    "b4": Arm(traces="heuristics", n=4, match=ROWS),
    "b16": Arm(traces="heuristics", n=16, match=ROWS),
    "t16": Arm(traces="heuristics", n=16, match=TOKENS),
    **{f"r{n}": Arm(traces="right", n=n) for n in (1, 2, 4)},
    **{f"w{n}": Arm(traces="wrong", n=n) for n in (1, 2, 4)},
    "m4": Arm(traces="mixed", n=4),
    "distil": Arm(traces="teacher", n=16, match=Match(rows="n16")),
}
# Each arm's chance of a right sample after RL, as a multiple of vanilla's; wrong traces cost 15% and 10% per doubling.
LEVELS = {"b16": 1.4, "t16": 1.3, "n16": 1.7, "m4": 0.8, **{f"w{n}": 0.85 - 0.1 * log2(n) for n in (1, 2, 4)}}
BUDGET = ["vanilla", "n1", "b4", "b16", "t16"]
CORRECTNESS = ["vanilla", "r1", "r2", "r4", "m4", "w1", "w2", "w4"]
MAIN = ["vanilla", "star", "n1", "n16", "distil"]
POOLED = "1+2+3"
NUMBER = re.compile(r"[+-]?\d\.\d{3}\b")
Csv = list[dict[str, str]]


def parameters(**changes: Any) -> Params:
    """The blocks that the stage reads; the others are absent, so that reading one would fail."""
    world = WorldSet(source="world", task="chain", parts=[2], pool="seen", count=6)
    transfer = {"code": FileSet(source="humaneval", split="test"), "stories": world}
    settings = {
        "profile": "synthetic",
        "machine": Machine(),
        "seeds": SEEDS,
        "bases": [{}],
        "arms": ARMS,
        "questions": Questions.model_construct(benchmarks=dict.fromkeys(BENCHMARKS), transfer=transfer),
        "tables": Tables(ks=KS, resamples=400, seed=5, confidence=0.95, means={}),
    }
    return Params.model_construct(**settings | changes)


def card(arm: str) -> dict[str, Any]:
    n = ARMS[arm].n
    rows = 0 if arm == "vanilla" else 60 if arm[0] in "bt" else 30 * n
    wrong = {"w": rows, "m": rows // 2}.get(arm[0], 0)
    return {
        "arm": arm,
        "rows": rows,
        "tokens": 31 * rows,
        "questions": min(rows, 24),
        "questions_asked": 40,
        "bases": 1,
        "rows_per_heuristic": {"forward": rows},
        "mean_score": 1.25 if arm[0] in "rwm" else None,
        "follow": 0.75 if arm[0] in "rwm" else None,
        "right": rows - wrong,
        "wrong": wrong,
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(1)
    (tmp_path / "results/counts").mkdir(parents=True)
    hardness = {name: rng.uniform(0.05, 0.2, size=size) for name, size in SIZES.items()}
    for arm in ARMS:
        rows = [
            {
                "phase": phase,
                "seed": seed,
                "benchmark": name,
                "question": f"{name}-{number}",
                "n": SAMPLES,
                "c": int(rng.binomial(SAMPLES, chance * (LEVELS.get(arm, 1.0) if phase == "after" else 1.0))),
                "truncated": 1,
                "no_answer": 0,
            }
            for phase in ("before", "after")
            for seed in SEEDS
            for name in SIZES
            for number, chance in enumerate(hardness[name])
        ]
        content = {"arm": arm, "samples": SAMPLES, "decoding": {"temperature": 1.0}, "rows": rows}
        (tmp_path / f"results/counts/{arm}.json").write_text(json.dumps(content), encoding="utf-8")
    save_cards(tmp_path, {arm: card(arm) for arm in ARMS})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_cards(folder: Path, cards: dict[str, Any]) -> None:
    (folder / "results/counts/training_sets.json").write_text(json.dumps(cards, indent=2), encoding="utf-8")


def edit_counts(arm: str, edit: Callable[[dict[str, Any]], Any]) -> None:
    path = Path(f"results/counts/{arm}.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    for row in content["rows"]:
        edit(row)
    path.write_text(json.dumps(content), encoding="utf-8")


def built(table: str, **changes: Any) -> Csv:
    stage.run(parameters(**changes), table)
    return list(csv.DictReader(io.StringIO(Path(f"reports/tables/{table}.csv").read_text(encoding="utf-8"))))


def page(table: str) -> str:
    return Path(f"reports/tables/{table}.md").read_text(encoding="utf-8")


def some(records: Csv, **fields: str) -> Csv:
    return [record for record in records if all(record[name] == value for name, value in fields.items())]


def one(records: Csv, **fields: str) -> dict[str, str]:
    found = some(records, **fields)
    assert len(found) == 1
    return found[0]


def mean(arm: str, names: tuple[str, ...] = ("easy", "hard")) -> float:
    """Mean pass@1 of an arm after RL, from its counts."""
    rows = json.loads(Path(f"results/counts/{arm}.json").read_text(encoding="utf-8"))["rows"]
    right = [[row["c"] for row in rows if (row["phase"], row["benchmark"]) == ("after", name)] for name in names]
    return float(np.mean([np.mean(counts) for counts in right])) / SAMPLES


@pytest.mark.parametrize(("table", "arms"), [("budget", BUDGET), ("correctness", CORRECTNESS), ("transfer", MAIN)])
def test_a_table_holds_its_own_arms_each_number_once_and_the_same_in_every_format(
    project: Path, table: str, arms: list[str]
) -> None:
    records = built(table)
    scores = some(records, metric="pass@k", k="1", benchmark="mean", seeds=POOLED, phase="after")
    assert [record["arm"] for record in scores] == arms
    names = ("arm", "phase", "benchmark", "metric", "k", "seeds", "reference")
    keys = [tuple(record[name] for name in names) for record in records]
    assert len(set(keys)) == len(keys)
    sets = {record["benchmark"] for record in records if record["metric"] == "pass@k"}
    assert sets == ({"code", "stories"} if table == "transfer" else set(BENCHMARKS)) | {"mean"}
    compared = [record for record in scores if record["arm"] != "vanilla"]
    assert all(record["reference"] == "vanilla" and record["diff"] and record["p_holm"] for record in compared)
    latex = Path(f"reports/tables/{table}.tex").read_text(encoding="utf-8")
    lines = [line for line in page(table).splitlines() if line.startswith("| ") and "---" not in line]
    assert [NUMBER.findall(line) for line in lines] == [
        NUMBER.findall(line) for line in latex.splitlines() if line.endswith(r"\\")
    ]
    metrics = json.loads(Path(f"results/metrics/tables@{table}.json").read_text(encoding="utf-8"))
    prefix = "after/" if table == "transfer" else ""
    assert all(f"{prefix}{arm}/pass_at_{k}" in metrics for arm in arms for k in (1, 64))


def test_an_arms_score_is_the_same_in_every_table(project: Path) -> None:
    wanted = {"arm": "n1", "benchmark": "mean", "metric": "pass@k", "k": "8", "seeds": POOLED}
    ends = [[one(built(table), **wanted)[name] for name in ("value", "low", "high")] for table in ("main", "budget")]
    assert ends[0] == ends[1]


def test_the_main_table_compares_with_every_baseline_and_shows_the_trend(project: Path) -> None:
    records = built("main")
    found = some(records, metric="difference", k="1")
    assert [(record["arm"], record["reference"]) for record in found] == [
        ("n1", "star"), ("n16", "star"), ("n16", "distil"),
    ]  # fmt: skip
    for record in found:
        assert float(record["value"]) == pytest.approx(mean(record["arm"]) - mean(record["reference"]), abs=1e-4)
    assert [record["significant"] for record in found] == ["no", "yes", "yes"]  # n16 is the better one
    trend = one(records, metric="slope over log2 n", k="1")
    assert (trend["arm"], trend["reference"]) == ("n1+n16", "")
    assert float(trend["value"]) == pytest.approx((mean("n16") - mean("n1")) / 4, abs=6e-5)
    line = next(line for line in page("main").splitlines() if line.startswith("| n16 less star"))
    assert line.endswith("| +0.0240 at pass@64 (A, R) |")
    alone = built("main", arms={name: ARMS[name] for name in ("vanilla", "star", "n1")})
    assert some(alone, metric="slope over log2 n") == []


def test_the_budget_is_printed_in_rows_tokens_and_approaches_per_question(project: Path) -> None:
    records = built("budget")
    for arm in BUDGET[1:]:
        for metric, unit, value in (
            ("rows", "rows", card(arm)["rows"]),
            ("tokens", "tokens", card(arm)["tokens"]),
            ("questions", "questions", card(arm)["questions"]),
            ("approaches per question", "rows per question", card(arm)["rows"] / card(arm)["questions"]),
        ):
            record = one(records, arm=arm, metric=metric, phase="training")
            assert (float(record["value"]), record["unit"]) == (pytest.approx(value, abs=5e-5), unit)
            assert (record["low"], record["high"], record["n_samples"]) == ("", "", "0")
    assert "| b16 | 16 | rows to n1 | 60 | 1860 | 24 | 2.50 | 16 x 463 (A) |" in page("budget")
    assert "| t16 | 16 | tokens to n1 | 60 | 1860 | 24 | 2.50 | - |" in page("budget")


def test_a_relative_change_is_to_the_matched_arm_with_the_differences_p(project: Path) -> None:
    records = built("budget")
    changes = some(records, metric="relative change")
    assert {(record["arm"], record["k"]) for record in changes} == {(a, str(k)) for a in BUDGET[2:] for k in KS}
    for record in changes:
        assert (record["reference"], record["benchmark"], record["seeds"]) == ("n1", "mean", POOLED)
        assert float(record["low"]) < float(record["value"]) < float(record["high"])
        difference = one(records, metric="difference", arm=record["arm"], k=record["k"])
        assert (difference["p_holm"], difference["reference"]) == (record["p_holm"], "n1")
        assert np.sign(float(difference["value"])) == np.sign(float(record["value"]))
    at_1 = {record["arm"]: record for record in changes if record["k"] == "1"}
    for arm in ("b4", "b16", "t16"):
        assert float(at_1[arm]["value"]) == pytest.approx(mean(arm) / mean("n1") - 1, abs=1e-4)
    assert [at_1[arm]["significant"] for arm in ("b4", "b16")] == ["no", "yes"]
    assert float(at_1["b16"]["low"]) < 0.4 < float(at_1["b16"]["high"])  # the truth
    # The paper's value stands with 16 approaches matched in rows, at the largest k, and says what is not known of it.
    shown = [record for record in records if record["paper"] and record["metric"] != "pass@k"]
    assert [(record["arm"], record["k"], record["paper"]) for record in shown] == [("b16", "64", "0.0700")]
    assert shown[0]["method"].endswith("; paper: k not stated")
    assert "+0.070 (A; k not stated)" in page("budget")


def test_a_change_from_almost_nothing_has_no_interval_and_from_nothing_no_value(project: Path) -> None:
    def rare(row: dict[str, Any]) -> None:
        row["c"] = 20 if row["question"] == "hard-0" else 0

    edit_counts("n1", rare)
    changes = some(built("budget"), metric="relative change", k="1")
    assert [(record["low"], record["high"]) for record in changes] == [("", "")] * 3
    assert {record["method"].partition(";")[0] for record in changes} == {"none: a mean is too near 0 for a ratio"}
    assert re.search(r"\| b16 to n1 \| \+\d+\.\d{3}(\\\*)? \| ", page("budget"))
    edit_counts("n1", lambda row: row.update(c=0))
    records = built("budget")
    assert some(records, metric="relative change") == []
    assert len(some(records, metric="difference", k="1")) == 3


def test_right_and_wrong_are_compared_at_the_same_n(project: Path) -> None:
    records = built("correctness")
    found = some(records, metric="difference", k="1")
    assert [(record["arm"], record["reference"]) for record in found] == [
        ("m4", "r4"), ("w1", "r1"), ("w2", "r2"), ("w4", "r4"),
    ]  # fmt: skip
    for record in found:
        gap = mean(record["arm"]) - mean(record["reference"])
        assert float(record["value"]) == pytest.approx(gap, abs=1e-4)
        assert float(record["low"]) < gap < float(record["high"])
    assert one(found, arm="w4")["significant"] == "yes"
    below = some(records, metric="pass@k", benchmark="mean", k="1", seeds=POOLED, significant="yes")
    assert {record["arm"] for record in below} >= {"w2", "w4"}
    assert {record["arm"] for record in below}.isdisjoint({"r1", "r2", "r4"})
    assert "| w4 | wrong | 4 | 120 | 0 | 120 | 24 | 3720 | 31.0 | 1.250 | 0.750 |" in page("correctness")
    assert one(records, arm="m4", metric="adherence")["value"] == "1.2500"
    assert (
        one(records, arm="m4", metric="right")["value"] == one(records, arm="m4", metric="wrong")["value"] == "60.0000"
    )


def test_the_trend_is_the_line_through_the_means(project: Path) -> None:
    records = built("correctness")
    slopes = {}
    for kind in ("r", "w"):
        expected = np.polyfit([0, 1, 2], [mean(f"{kind}{n}") for n in (1, 2, 4)], 1)[0]
        record = one(records, arm=f"{kind}1+{kind}2+{kind}4", metric="slope over log2 n", k="1", reference="")
        slopes[kind] = float(record["value"])
        assert slopes[kind] == pytest.approx(expected, abs=6e-5)
        assert record["unit"] == "share per doubling of n"
        assert float(record["low"]) < expected < float(record["high"])
        assert record["significant"] == ("yes" if kind == "w" else "no")
    less = one(records, arm="w1+w2+w4", metric="slope over log2 n", k="1", reference="r1+r2+r4")
    assert float(less["value"]) == pytest.approx(slopes["w"] - slopes["r"], abs=2e-4)
    line = next(line for line in page("correctness").splitlines() if line.startswith("| wrong | -"))
    assert line.endswith("| worse as n grows (A; no number known) |")
    assert page("correctness").count("below vanilla (A; no number known)") == 3


def test_transfer_shows_both_phases_of_the_transfer_sets_and_the_paper_where_it_is_known(project: Path) -> None:
    records = built("transfer")
    assert {record["phase"] for record in records} == {"before", "after"}
    after = one(records, arm="n16", phase="after", benchmark="code", metric="pass@k", k="1", seeds=POOLED)
    assert float(after["value"]) == pytest.approx(mean("n16", names=("code",)), abs=6e-5)
    shown = [record for record in records if record["paper"]]
    assert [(record["arm"], record["phase"], record["benchmark"], record["k"]) for record in shown] == [
        ("vanilla", "after", "code", "1")  # a set's source says which it is, not its name
    ]
    assert shown[0]["paper"] == "0.5114"
    assert shown[0]["method"] == "bootstrap over questions and seeds; paper: k not stated"
    text = page("transfer")
    assert re.search(r"\| humaneval, vanilla \| 0\.5114 \(R\) \| 0\.\d{3} \[", text)
    assert "| humaneval, n64 | 0.5282 (R) | - | - |" in text  # an arm that this run lacks
    assert r"| musr\_team, n32 | 0.3907 (R) | - | - |" in text
    assert "Chance:" in text
    assert "k not stated" in text


@pytest.mark.parametrize("table", ["budget", "correctness"])
def test_a_profile_without_such_arms_says_so(project: Path, table: str) -> None:
    records = built(table, arms={name: ARMS[name] for name in ("vanilla", "star", "n1")})
    assert {record["arm"] for record in records} == {"vanilla"}
    assert "nothing to compare" in page(table)


@pytest.mark.parametrize("table", ["budget", "correctness"])
def test_one_training_seed_is_compared_but_not_tested(project: Path, table: str) -> None:
    records = built(table, seeds=[2])
    changed = [
        record for record in records if record["metric"] in ("relative change", "difference", "slope over log2 n")
    ]
    assert changed
    assert {(record["p_holm"], record["significant"], record["detectable"]) for record in records} == {("", "", "")}
    assert {record["method"].removeprefix("log ratio, ").partition(";")[0] for record in changed} == {
        "bootstrap over questions"
    }


def test_a_kind_with_one_n_has_no_slope(project: Path) -> None:
    records = built("correctness", arms={name: ARMS[name] for name in ("vanilla", "r1", "r4", "w1", "m4")})
    assert [record["arm"] for record in records if "slope" in record["metric"] and record["k"] == "1"] == ["r1+r4"]


def drop(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda cards: cards.pop(name)


def change(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda cards: cards["b4"].update(fields)


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (drop("b4"), ":1: b4: missing, and it is in params.yaml; delete the file and run `dvc repro`"),
        (change(arm="b5"), ": b4.arm: expected 'b4', found 'b5'; delete the file and run `dvc repro`"),
        (change(rows="60"), ": b4.rows: Input should be a valid integer"),
        (change(rows=-1), ": b4.rows: Input should be greater than or equal to 0"),
        (change(wrong=5), ": b4: the 60 rows of 'b4' do not fit their right and wrong ones or their questions"),
        (change(questions=50), ": b4: the 60 rows of 'b4' do not fit"),
        (lambda cards: cards["b4"].pop("tokens"), ": b4.tokens: Field required"),
    ],
)
def test_malformed_training_sets_are_one_line_errors_and_leave_the_table(
    project: Path, edit: Callable[[dict[str, Any]], Any], what: str
) -> None:
    built("budget")
    earlier = Path("reports/tables/budget.csv").read_bytes()
    cards = {arm: card(arm) for arm in ARMS}
    edit(cards)
    save_cards(project, cards)
    with pytest.raises(UserError) as caught:
        stage.run(parameters(), "budget")
    message = str(caught.value)
    assert re.match(r"results/counts/training_sets\.json:\d+: ", message)
    assert what in message
    assert "\n" not in message
    assert Path("reports/tables/budget.csv").read_bytes() == earlier


def test_missing_results_are_one_line_errors(project: Path) -> None:
    Path("results/counts/training_sets.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"^results/counts/training_sets\.json:1: not valid JSON; "):
        stage.run(parameters(), "budget")
    Path("results/counts/training_sets.json").unlink()
    with pytest.raises(UserError, match=r"^results/counts/training_sets\.json: missing; run `dvc repro`"):
        stage.run(parameters(), "correctness")
    Path("results/counts/distil.json").unlink()
    with pytest.raises(UserError, match=r"^results/counts/distil\.json: missing, and arm 'distil' is in params"):
        stage.run(parameters(), "transfer")
