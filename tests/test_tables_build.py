"""Tables from synthetic counts: complete, consistent between the formats, reproducible to the byte."""

from __future__ import annotations

import csv
import io
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polya_midtrain.errors import UserError
from polya_midtrain.params import Arm, EasySet, FileSet, Machine, Params, Questions, Tables
from polya_midtrain.stages import tables as stage
from polya_midtrain.tables.row import Row
from polya_midtrain.tables.shared import render

ARMS = {
    "vanilla": Arm(traces="none"),
    "star": Arm(traces="unprompted", n=1),
    "n4": Arm(traces="heuristics", n=4),
    "n16": Arm(traces="heuristics", n=16),
}
OTHERS = list(ARMS)[1:]
SETS: dict[str, Any] = {
    "easy": EasySet(source="easy", steps=[1], count=6),
    "math500": FileSet(source="math500", split="test"),
}
BENCHMARKS = list(SETS)
SEEDS, KS, SAMPLES, QUESTIONS = [1, 2, 3], [1, 8, 64], 72, {"easy": 6, "math500": 9}
FIRST_COLUMNS = "arm,phase,benchmark,metric,k,value,low,high,unit,n_questions,n_samples,seeds,paper,"
NUMBER = re.compile(r"[+-]?\d\.\d{3}\b")
Csv = list[dict[str, str]]


def parameters(**changes: Any) -> Params:
    """The blocks that the stage reads; the others are absent, so that reading one would fail."""
    settings = {
        "profile": "synthetic",
        "machine": Machine(),
        "seeds": SEEDS,
        "bases": [{}],
        "arms": ARMS,
        "questions": Questions.model_construct(benchmarks=SETS),
        "tables": Tables(ks=KS, resamples=400, seed=5, confidence=0.95, means={}),
    }
    return Params.model_construct(**settings | changes)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with counts in which n16 is clearly better than vanilla after RL and nothing else differs."""
    rng = np.random.default_rng(1)
    (tmp_path / "results/counts").mkdir(parents=True)
    hardness = {name: rng.uniform(0.02, 0.1, size=size) for name, size in QUESTIONS.items()}
    for arm in ARMS:
        rows = []
        for phase, seed, benchmark in product(("before", "after"), SEEDS, BENCHMARKS):
            gain = 0.3 if (arm, phase) == ("n16", "after") else 0.0
            for number, chance in enumerate(hardness[benchmark]):
                correct = int(rng.binomial(SAMPLES, chance + gain))
                row = {"phase": phase, "seed": seed, "benchmark": benchmark, "question": f"q{number}", "n": SAMPLES}
                rows.append(row | {"c": correct, "truncated": seed, "no_answer": 9})
        decoding = {"temperature": 1.0, "max_tokens": 64, "system": "", "suffix": "\nAnswer:"}
        content = {"arm": arm, "samples": SAMPLES, "decoding": decoding, "rows": rows}
        (tmp_path / f"results/counts/{arm}.json").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def built(table: str, **changes: Any) -> Csv:
    stage.run(parameters(**changes), table)
    return list(csv.DictReader(io.StringIO(Path(f"reports/tables/{table}.csv").read_text(encoding="utf-8"))))


def scores(table: str) -> Csv:
    """The rows of single arms, without the comparisons that follow them."""
    return [record for record in built(table) if record["metric"] in ("pass@k", "truncated", "no_answer")]


def one(records: Csv, **fields: str) -> dict[str, str]:
    found = [record for record in records if all(record[name] == value for name, value in fields.items())]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(("table", "phase"), [("main", "after"), ("midtrain", "before")])
def test_every_arm_benchmark_metric_k_and_seed_is_there_once_and_in_order(
    project: Path, table: str, phase: str
) -> None:
    records = scores(table)
    assert Path(f"reports/tables/{table}.csv").read_text(encoding="utf-8").startswith(FIRST_COLUMNS)
    assert {(record["phase"], record["unit"]) for record in records} == {(phase, "share")}
    metrics = [*(("pass@k", str(k)) for k in KS), ("truncated", ""), ("no_answer", "")]
    keys = [tuple(record[name] for name in ("arm", "benchmark", "metric", "k", "seeds")) for record in records]
    assert keys == [
        (arm, benchmark, *metric, seeds)
        for arm, benchmark, metric, seeds in product(ARMS, [*BENCHMARKS, "mean"], metrics, ["1", "2", "3", "1+2+3"])
    ]


def test_values_are_those_of_the_counts(project: Path) -> None:
    records = built("main")
    rows = json.loads(Path("results/counts/star.json").read_text(encoding="utf-8"))["rows"]
    means = []
    for benchmark in BENCHMARKS:
        right = [row["c"] for row in rows if row["phase"] == "after" and row["benchmark"] == benchmark]
        means.append(np.mean(right) / SAMPLES)
        record = one(records, arm="star", benchmark=benchmark, metric="pass@k", k="1", seeds="1+2+3")
        assert record["value"] == f"{means[-1]:.4f}"
        assert (record["n_questions"], record["n_samples"]) == (str(QUESTIONS[benchmark]), str(SAMPLES))
    mean = one(records, arm="star", benchmark="mean", metric="pass@k", k="1", seeds="1+2+3")
    assert float(mean["value"]) == pytest.approx(np.mean(means), abs=5.1e-5)
    assert mean["n_questions"] == "15"
    assert one(records, arm="n4", benchmark="mean", metric="truncated", seeds="2")["value"] == f"{2 / SAMPLES:.4f}"
    assert one(records, arm="n4", benchmark="easy", metric="no_answer", seeds="1+2+3")["value"] == "0.1250"


def test_intervals_hold_their_value_and_name_their_method(project: Path) -> None:
    for record in scores("main"):
        assert 0 <= float(record["low"]) <= float(record["value"]) <= float(record["high"]) <= 1
        pooled = "+" in record["seeds"]
        assert record["method"] == "bootstrap over questions" + (" and seeds" if pooled else "")


def test_only_the_arm_that_is_better_is_marked(project: Path) -> None:
    for table, better in (("main", {"n16"}), ("midtrain", set())):
        records = scores(table)
        tested = [record for record in records if record["p_holm"]]
        assert {(record["arm"], record["k"]) for record in tested} == {(a, str(k)) for a in OTHERS for k in KS}
        assert all(record["metric"] == "pass@k" and record["seeds"] == "1+2+3" for record in tested)
        at_1 = [record for record in tested if (record["benchmark"], record["k"]) == ("mean", "1")]
        assert {record["arm"] for record in at_1 if record["significant"] == "yes"} == better
        for record in tested:
            assert (record["significant"] == "yes") == (float(record["p_holm"]) < 0.05)
            vanilla = one(
                records, arm="vanilla", benchmark=record["benchmark"], metric="pass@k", k=record["k"], seeds="1+2+3"
            )
            gain = float(record["value"]) - float(vanilla["value"])
            assert float(record["diff"]) == pytest.approx(gain, abs=1.1e-4)
            assert float(record["diff_low"]) <= float(record["diff"]) <= float(record["diff_high"])


def test_the_papers_values_stand_where_they_belong_and_nowhere_else(project: Path) -> None:
    def shown(table: str) -> dict[tuple[str, str, str], str]:
        records = [record for record in built(table) if record["paper"]]
        assert {record["seeds"] for record in records} == {"1+2+3"}
        return {(record["arm"], record["benchmark"], record["k"]): record["paper"] for record in records}

    assert shown("main") == {
        ("vanilla", "mean", "64"): "0.4421",
        ("star", "mean", "64"): "0.4569",
        ("n16", "mean", "64"): "0.4809",
        ("vanilla", "math500", "64"): "0.8342",
    }
    assert shown("midtrain") == {("vanilla", "mean", "64"): "0.4630", ("star", "mean", "64"): "0.4632"}
    assert "math500 0.8627" in Path("reports/tables/main.md").read_text(encoding="utf-8")


def test_the_papers_values_stand_beside_what_an_arm_and_a_set_are_whatever_their_names(project: Path) -> None:
    names = {"star": "n64", "n4": "n16", "n16": "wide"}  # of the arms, and n16 is no longer the paper's
    for old, new in reversed(names.items()):
        content = json.loads(Path(f"results/counts/{old}.json").read_text(encoding="utf-8")) | {"arm": new}
        Path(f"results/counts/{new}.new").write_text(json.dumps(content), encoding="utf-8")
    for new in names.values():
        Path(f"results/counts/{new}.new").replace(f"results/counts/{new}.json")
    arms = {"vanilla": ARMS["vanilla"], **{new: ARMS[old] for old, new in names.items()}}
    sets = Questions.model_construct(benchmarks={"easy": SETS["math500"], "math500": SETS["easy"]})
    records = [record for record in built("main", arms=arms, questions=sets) if record["paper"]]
    assert {(record["arm"], record["benchmark"]): record["paper"] for record in records} == {
        ("vanilla", "mean"): "0.4421",
        ("n64", "mean"): "0.4569",
        ("wide", "mean"): "0.4809",
        ("vanilla", "easy"): "0.8342",
    }
    text = Path("reports/tables/main.md").read_text(encoding="utf-8")
    assert "vanilla 0.4421 (A), n64 0.4569 (R), wide 0.4809 (A)" in text
    assert "easy 0.8627" in text


GLANCE = "At a glance, mean over benchmarks"


def test_markdown_and_latex_show_the_numbers_of_the_csv(project: Path) -> None:
    records = built("main")
    markdown = Path("reports/tables/main.md").read_text(encoding="utf-8")
    latex = Path("reports/tables/main.tex").read_text(encoding="utf-8")
    in_markdown = [
        NUMBER.findall(line) for line in markdown.splitlines() if line.startswith("| ") and "---" not in line
    ]
    in_latex = [NUMBER.findall(line) for line in latex.splitlines() if line.endswith(r"\\")]
    assert in_markdown == in_latex
    short = {
        f"{float(record[name]):{sign}.3f}"
        for record in records
        for name in ("value", "low", "high", "paper", "diff", "diff_low", "diff_high", "p_holm", "detectable")
        for sign in ("", "+")
        if record[name]
    } | {"0.001"}  # of a p below it
    assert {number for line in in_markdown for number in line} <= short
    glance, means = (markdown.splitlines().index(f"**{name}**") + 4 for name in (GLANCE, "Mean over benchmarks"))
    for arm, line in zip(ARMS, markdown.splitlines()[glance:], strict=False):
        first = [cell.strip() for cell in line.strip("|").split("|")]
        record = one(records, arm=arm, benchmark="mean", metric="pass@k", k=str(KS[-1]), seeds="1+2+3")
        shown = f"{float(record['diff']):+.3f}" if record["diff"] else "-"
        assert [first[0], first[3].split(" ")[0]] == [arm, shown]
    for arm, line in zip(ARMS, markdown.splitlines()[means:], strict=False):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[0] == arm
        for k, cell in zip(KS, cells[1:], strict=False):
            record = one(records, arm=arm, benchmark="mean", metric="pass@k", k=str(k), seeds="1+2+3")
            value, low, high = (f"{float(record[name]):.3f}" for name in ("value", "low", "high"))
            assert cell == f"{value} [{low}, {high}]" + (r"\*" if record["significant"] == "yes" else "")
    assert r"0.4809 (A)" in markdown
    assert r"decoding: max\_tokens 64, suffix '\textbackslash{}nAnswer:', temperature 1.0. " in latex


def test_two_runs_give_the_same_bytes_and_another_seed_other_intervals(project: Path) -> None:
    def files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(Path("reports/tables").iterdir())}

    built("main")
    first = files()
    assert set(first) == {"main.csv", "main.json", "main.md", "main.tex"}
    built("main")
    assert files() == first
    built("main", tables=Tables(ks=KS, resamples=400, seed=6, confidence=0.95, means={}))
    assert files()["main.csv"] != first["main.csv"]


def test_an_arms_numbers_do_not_depend_on_the_other_arms(project: Path) -> None:
    everything = built("main")
    alone = built("main", arms={"vanilla": ARMS["vanilla"]})
    assert alone == [record for record in everything if record["arm"] == "vanilla"]
    assert "Difference to vanilla" not in Path("reports/tables/main.md").read_text(encoding="utf-8")


def edit_counts(arm: str, edit: Any) -> None:
    path = Path(f"results/counts/{arm}.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def width(record: dict[str, str], low: str = "low", high: str = "high") -> float:
    return float(record[high]) - float(record[low])


def test_seeds_are_not_paired_between_arms(project: Path) -> None:
    rows = json.loads(Path("results/counts/vanilla.json").read_text(encoding="utf-8"))["rows"]
    edit_counts("n4", lambda content: content.update(rows=rows))
    twin = one(built("main"), arm="n4", benchmark="mean", metric="pass@k", k="1", seeds="1+2+3")
    # The same counts, question by question; yet other runs of either arm would have differed.
    assert (twin["diff"], twin["significant"]) == ("0.0000", "no")
    assert width(twin, "diff_low", "diff_high") > 0.005


def test_questions_are_drawn_within_each_benchmark(project: Path) -> None:
    def twin_benchmarks(content: dict[str, Any]) -> None:
        easy = [row for row in content["rows"] if row["benchmark"] == "easy"]
        content["rows"] = easy + [row | {"benchmark": "math500"} for row in easy]

    for arm in ARMS:
        edit_counts(arm, twin_benchmarks)
    records = built("main")
    single, mean = (one(records, arm="n16", benchmark=b, metric="pass@k", k="1", seeds="1") for b in ("easy", "mean"))
    assert single["value"] == mean["value"]
    assert width(mean) < 0.8 * width(single)  # two sets of questions tell more than one


def test_the_mark_follows_the_confidence_and_the_corrected_p(project: Path) -> None:
    names = ("arm", "benchmark", "metric", "k", "seeds")
    tested = [record for record in built("main") if record["p_holm"]]
    middling = next(record for record in tested if 0.01 < float(record["p_holm"]) < 0.45)
    for step, mark in ((0.001, "yes"), (-0.001, "no")):
        settings = Tables(ks=KS, resamples=400, seed=5, confidence=1 - float(middling["p_holm"]) - step, means={})
        found = one(built("main", tables=settings), **{name: middling[name] for name in names})
        assert (found["p_holm"], found["significant"]) == (middling["p_holm"], mark)


def test_more_arms_need_a_larger_difference(project: Path) -> None:
    wanted = {"arm": "n16", "benchmark": "mean", "metric": "pass@k", "k": "1", "seeds": "1+2+3"}
    among_three = one(built("main"), **wanted)
    on_its_own = one(built("main", arms={name: ARMS[name] for name in ("vanilla", "n16")}), **wanted)
    assert float(among_three["detectable"]) > 1.1 * float(on_its_own["detectable"])
    assert among_three["diff"] == on_its_own["diff"]


def test_one_training_seed_is_compared_but_not_tested(project: Path) -> None:
    records = built("main", seeds=[2])
    assert {(record["seeds"], record["method"]) for record in records} == {("2", "bootstrap over questions")}
    assert one(records, arm="n16", benchmark="mean", metric="pass@k", k="1")["diff"]
    assert {(record["p_holm"], record["significant"], record["detectable"]) for record in records} == {("", "", "")}
    assert "One training seed" in Path("reports/tables/main.md").read_text(encoding="utf-8")


def test_metrics_are_the_pooled_means_at_both_ends_of_ks(project: Path) -> None:
    records = built("midtrain")
    metrics = json.loads(Path("results/metrics/tables@midtrain.json").read_text(encoding="utf-8"))
    assert metrics.pop("seconds") >= 0
    assert set(metrics) == {f"{arm}/pass_at_{k}" for arm in ARMS for k in (1, 64)}
    for name, value in metrics.items():
        arm, k = name.split("/pass_at_")
        record = one(records, arm=arm, benchmark="mean", metric="pass@k", k=k, seeds="1+2+3")
        assert f"{value:.4f}" == record["value"]


def test_refusals_leave_the_earlier_table_as_it_was(project: Path) -> None:
    built("main")
    before = Path("reports/tables/main.csv").read_bytes()
    with pytest.raises(UserError, match="no table 'maim'; the tables are main, midtrain"):
        stage.run(parameters(), "maim")
    with pytest.raises(UserError, match=r"params.yaml: tables.ks: k=100, but the counts hold 72 samples"):
        stage.run(
            parameters(tables=Tables(ks=[1, 100], resamples=400, seed=5, confidence=0.95, means={})),
            "main",
        )
    Path("results/counts/n4.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"results/counts/n4.json:1: not valid JSON"):
        stage.run(parameters(), "main")
    assert Path("reports/tables/main.csv").read_bytes() == before


def test_a_weak_sandbox_is_said_by_every_format_of_a_table(project: Path) -> None:
    plain = built("main")
    allowed = built("main", machine=Machine(sandbox="weak"))
    assert all(stage.WEAK in record["method"] for record in allowed)
    assert not any(stage.WEAK in record["method"] for record in plain)
    assert [record["method"].split("; ")[0] for record in allowed] == [
        record["method"].split("; ")[0] for record in plain
    ]
    values = [[record | {"method": ""} for record in records] for records in (plain, allowed)]
    assert values[0] == values[1]
    for suffix in ("md", "tex"):
        assert stage.WEAK in Path(f"reports/tables/main.{suffix}").read_text()


def test_csv_floats_are_fixed_and_unknown_values_empty() -> None:
    row = Row("a", "after", "b", "pass@k", 4, 0.5, 0.0, 1.0, "share", 3, 8, "1+2", None, "m", diff=-0.25)
    line = render.csv_text([row]).splitlines()[1]
    assert line == "a,after,b,pass@k,4,0.5000,0.0000,1.0000,share,3,8,1+2,,m,-0.2500,,,,,,,"


def test_text_is_escaped_for_each_format() -> None:
    page = render.Page(
        title="50% & more",
        grids=[render.Grid(caption="a_b", header=["x|y", "z"], rows=[["#1*", "{}~^\\<>$"]])],
        notes=["`n`"],
    )
    markdown, latex = render.markdown(page), render.latex(page)
    assert r"| x\|y | z |" in markdown
    assert r"\`n\`" in markdown
    assert r"\caption{50\% \& more. a\_b}" in latex
    assert r"\#1$^{*}$ & \{\}\textasciitilde{}\textasciicircum{}\textbackslash{}$<$$>$\$ \\" in latex


def test_a_named_mean_stands_beside_the_mean_over_all(project: Path) -> None:
    """Of one benchmark it is that benchmark; over all it is the mean; neither changes a row that was there before."""
    for table in ("main", "midtrain"):
        plain = built(table)
        text = Path(f"reports/tables/{table}.md").read_text()
        means = {"known": ["math500"], "whole": list(reversed(BENCHMARKS))}
        named = built(table, tables=Tables(ks=KS, resamples=400, seed=5, means=means, confidence=0.95))
        assert [row for row in named if row["benchmark"] not in means] == plain
        for name, twin in (("known", "math500"), ("whole", "mean")):
            ours = [row | {"benchmark": "", "paper": ""} for row in named if row["benchmark"] == name]
            twins = [row | {"benchmark": "", "paper": ""} for row in plain if row["benchmark"] == twin]
            assert ours == [row for row in twins if row["metric"] in ("pass@k", "truncated", "no_answer")]
            assert ours
        page = Path(f"reports/tables/{table}.md").read_text()
        assert "Mean 'known', over 1 of them: math500" in page
        assert "'known'" not in text
        lines = [line for line in page.splitlines() if line not in text.splitlines()]
        assert len(lines) == 2 * (3 + len(ARMS))  # a caption, a header, a rule and the arms


def test_a_mean_named_mean_says_which_benchmarks_every_mean_takes(project: Path) -> None:
    """Of one benchmark, the mean, its differences and its trends are those of that benchmark."""
    chosen = Tables(ks=KS, resamples=400, seed=5, means={"mean": ["math500"]}, confidence=0.95)
    rows = built("main", tables=chosen)
    text = Path("reports/tables/main.md").read_text()
    assert "Means over benchmarks, and differences of them, take math500." in text
    empty = {"benchmark": "", "paper": ""}
    shown = [[row | empty for row in rows if row["benchmark"] == name] for name in ("mean", "math500")]
    assert shown[1] == [row for row in shown[0] if row["metric"] in ("pass@k", "truncated", "no_answer")]
    everything = built("main")
    assert [row for row in everything if row["benchmark"] != "mean"] == [r for r in rows if r["benchmark"] != "mean"]
    assert "Means over benchmarks, and" not in Path("reports/tables/main.md").read_text()
    assert chosen.averaged(["program", "story"]) == ["program", "story"]
    assert chosen.beside == {}


@pytest.mark.parametrize(
    ("bases", "seeds", "alone", "difference", "said"),
    [
        (2, [1, 2], [0.175, 0.025, 0.8, 0.0], [0.0, 1.0, 0.0, 0.0], "taken as 0"),
        (2, [1], [0.2, None, 0.8, 0.0], [None, None, None, None], "base has the share of both"),
        (1, [1, 2], [None, 1 / 17, 16 / 17, 0.0], [None, 1.0, 0.0, 0.0], "There is one base"),
        (1, [1], [None] * 4, [None] * 4, "it cannot be told"),
    ],
)
def test_whence_the_variance_comes(
    project: Path, bases: int, seeds: list[int], alone: list[Any], difference: list[Any], said: str
) -> None:
    """Counts in which base, seed and question add up; a seed moves n16 the other way than vanilla."""
    for arm, sign in (("vanilla", 1), ("n16", -1)):
        rows = []
        for phase, base, seed, number in product(("before", "after"), range(bases), seeds, (0, 1)):
            right = 36 + (8 if base else -8) + 4 * sign * (3 - 2 * seed) * (len(seeds) - 1) + (16 if number else -16)
            row = {"phase": phase, "seed": 100 * base + seed, "benchmark": "easy", "question": f"q{number}"}
            rows.append(row | {"n": SAMPLES, "c": right, "truncated": 0, "no_answer": 0})
        content = {"arm": arm, "samples": SAMPLES, "decoding": {}, "rows": rows}
        Path(f"results/counts/{arm}.json").write_text(json.dumps(content), encoding="utf-8")
    changes = {"seeds": seeds, "bases": [{}] * bases, "arms": {name: ARMS[name] for name in ("vanilla", "n16")}}
    questions = Questions.model_construct(benchmarks={"easy": SETS["easy"]})
    records = [record for record in built("main", questions=questions, **changes) if record["k"] == "1"]
    for arm, reference, shares in (("vanilla", "", alone), ("n16", "", alone), ("n16", "vanilla", difference)):
        for part, share in zip(("base", "seed", "question", "rest"), shares, strict=True):
            about = {"arm": arm, "reference": reference, "metric": f"share of variance: {part}"}
            found = [record["value"] for record in records if about.items() <= record.items()]
            assert found == ([] if share is None else [f"{share:.4f}"])
    assert said in Path("reports/tables/main.md").read_text(encoding="utf-8")
