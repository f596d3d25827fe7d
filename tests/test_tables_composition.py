"""Table composition from synthetic counts: values by hand, intervals, trends, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polya_midtrain.errors import UserError
from polya_midtrain.params import Arm, Compose, Machine, Params, Tables
from polya_midtrain.results.composition import FIELDS
from polya_midtrain.tables.composition import table as composition
from polya_midtrain.tables.shared import render
from polya_midtrain.tables.shared.render import Page

SAMPLES, QUESTIONS = 40, {"pairs": 5, "mixed": 7}
PARTS = {"pairs": [2] * 5, "mixed": [3] * 7}
NEEDS = {"pairs": [1, 1, 1, 2, 2], "mixed": [1, 2, 2, 2, 2, 3, 3]}
ARMS = {
    "vanilla": Arm(traces="none"),
    "n1": Arm(traces="heuristics", n=1),
    "n4": Arm(traces="heuristics", n=4),
    "n16": Arm(traces="heuristics", n=16),
    "wrong": Arm(traces="wrong", n=4),
}
MAIN = ["vanilla", "n1", "n4", "n16"]
RATES = {"vanilla": (0.2, 0.2), "n1": (0.1, 0.3), "n4": (0.2, 0.5), "n16": (0.3, 0.7)}  # composed before, after RL
TRAINED = {"rows": 30, "questions": 20, "composed": 5, "combinations": {"a+b": 2, "a+b+c": 3}}
UNTRAINED = {"rows": 0, "questions": 0, "composed": 0, "combinations": {}}
Csv = list[dict[str, str]]


def parameters(seeds: list[int], **changes: Any) -> Params:
    """The blocks that the table reads; the others are absent, so that reading one would fail."""
    settings = {
        "profile": "synthetic",
        "machine": Machine(),
        "seeds": seeds,
        "bases": [{}],
        "arms": ARMS,
        "compose": Compose(judge="world", benchmarks=list(QUESTIONS), labelled=10, seed=1),
        "tables": Tables(ks=[1], resamples=400, seed=5, confidence=0.95, means={}),
    }
    return Params.model_construct(**settings | changes)


def phase_counts(rng: np.random.Generator, rate: float, seeds: int) -> dict[str, Any]:
    fields: dict[str, dict[str, list[list[int]]]] = {field: {} for field in FIELDS}
    for name, questions in QUESTIONS.items():
        shape = (seeds, questions)
        correct = rng.binomial(SAMPLES, 0.4, shape)
        composed = rng.binomial(SAMPLES, rate, shape)
        both = rng.binomial(np.minimum(correct, composed), 0.8)
        room = np.array(PARTS[name]) > np.array(NEEDS[name])
        values = {
            "correct": correct,
            "composed": composed,
            "composed_correct": both,
            "spare": rng.binomial(both, rate) * room,
            "new": rng.binomial(composed, 0.25),
            "new_correct": rng.binomial(both, 0.2),
            "silent": rng.binomial(SAMPLES - composed, 0.1),
        }
        for field, matrix in values.items():
            fields[field][name] = matrix.tolist()
    return fields | {"distinct": 9}


def frequency(chains: int, seeds: int) -> dict[str, Any]:
    """All chains in the first question of each benchmark, by the first seed."""
    return {
        "chains": 2 * chains,
        "correct": chains,
        "by_seed": {name: [chains] + [0] * (seeds - 1) for name in QUESTIONS},
        "by_question": {name: [chains] + [0] * (size - 1) for name, size in QUESTIONS.items()},
    }


def document(seeds: list[int]) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    size = len(seeds)
    arms = {}
    for arm, (before, after) in RATES.items():
        trained = arm != "vanilla"
        arms[arm] = {
            "midtraining": TRAINED if trained else UNTRAINED,
            "before": phase_counts(rng, before, size),
            "after": phase_counts(rng, after, size),
            "frequent": {
                "a+b": {"midtraining": 5 * trained, "before": frequency(4, size), "after": frequency(10, size)},
                "a+d": {"midtraining": 0, "before": frequency(0, size), "after": frequency(8, size)},
            },
        }
    return {
        "judge": "world",
        "samples": SAMPLES,
        "decoding": {"temperature": 1.0, "system": ""},
        "seeds": seeds,
        "benchmarks": {
            name: {"questions": [f"{name}/{i}" for i in range(count)], "parts": PARTS[name], "needs": NEEDS[name]}
            | {"single": int(name == "pairs")}
            for name, count in QUESTIONS.items()
        },
        "validation": {
            "label": "what the writer did",
            "habits": {"slip": 0.06},
            "chains": 100,
            "heuristics": {"a": [45, 5, 10], "b": [30, 0, 2], "c": [0, 0, 0]},
            "confused": {"a": {"b": 4, "": 6}, "": {"a": 1}},
            "composed": [40, 2, 8, 50],
        },
        "arms": arms,
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Writes results/composition.json of some seeds, changed by a function, and returns it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()

    def write(
        seeds: list[int] | None = None, change: Callable[[dict[str, Any]], Any] = lambda found: None
    ) -> dict[str, Any]:
        found = document(seeds or [1, 2, 3])
        change(found)
        Path("results/composition.json").write_text(json.dumps(found), encoding="utf-8")
        return found

    write()
    return write


def built(seeds: list[int] | None = None, **changes: Any) -> tuple[Csv, Page]:
    rows, page = composition.build(parameters(seeds or [1, 2, 3], **changes))
    return list(csv.DictReader(io.StringIO(render.csv_text(rows)))), page


def where(records: Csv, **fields: str) -> Csv:
    return [record for record in records if all(record[name] == value for name, value in fields.items())]


def one(records: Csv, **fields: str) -> dict[str, str]:
    [found] = where(records, **fields)
    return found


def share(found: dict[str, Any], arm: str, phase: str, part: str, of: str = "") -> float:
    """By hand: benchmarks count alike, and in a benchmark every seed and question."""
    counts = found["arms"][arm][phase]
    parts = [np.mean(counts[part][name]) for name in QUESTIONS]
    return float(np.mean(parts) / (np.mean([np.mean(counts[of][name]) for name in QUESTIONS]) if of else SAMPLES))


@pytest.mark.parametrize(
    ("metric", "part", "of"),
    [
        ("composition rate", "composed", ""),
        ("composition rate of correct chains", "composed_correct", "correct"),
        ("new combination rate", "new", "composed"),
        ("new combination rate of correct chains", "new_correct", "composed_correct"),
        ("chains without a heuristic", "silent", ""),
    ],
)
def test_rates_are_those_of_the_counts(project: Any, metric: str, part: str, of: str) -> None:
    found = project()
    records, _ = built()
    for phase in ("before", "after"):
        record = one(records, arm="n4", phase=phase, benchmark="mean", metric=metric, seeds="1+2+3")
        assert float(record["value"]) == pytest.approx(share(found, "n4", phase, part, of), abs=5.1e-5)
        assert record["method"] == "bootstrap over questions and seeds"
    moved = share(found, "n4", "after", part, of) - share(found, "n4", "before", part, of)
    assert float(record["diff"]) == pytest.approx(moved, abs=5.1e-5)
    assert record["reference"] == "before RL"
    for counts in found["arms"]["n4"]["after"].values():
        for matrix in counts.values() if isinstance(counts, dict) else ():
            matrix[:] = matrix[1:2]
    second = one(records, arm="n4", phase="after", benchmark="mean", metric=metric, seeds="2")
    assert float(second["value"]) == pytest.approx(share(found, "n4", "after", part, of), abs=5.1e-5)
    assert (second["method"], second["diff"]) == ("bootstrap over questions", "")
    assert one(records, arm="n4", phase="after", benchmark="pairs", metric=metric)["n_questions"] == "5"


def test_only_questions_with_room_to_spare_tell_of_free_composition(project: Any) -> None:
    found = project()
    counts = found["arms"]["n16"]["after"]
    part = [np.mean(counts["spare"][name]) for name in QUESTIONS]
    room = {name: np.array(PARTS[name]) > np.array(NEEDS[name]) for name in QUESTIONS}
    whole = [np.mean(np.array(counts["correct"][name]) * room[name]) for name in QUESTIONS]
    records, page = built()
    record = one(records, arm="n16", phase="after", benchmark="mean", metric="free composition rate", seeds="1+2+3")
    assert float(record["value"]) == pytest.approx(np.mean(part) / np.mean(whole), abs=5.1e-5)
    assert record["n_questions"] == "8"  # 3 of pairs, 5 of mixed
    assert any("8 of the 12 questions have parts of different families" in note for note in page.notes)
    assert any("on the 8 questions with more parts than that" in note for note in page.notes)
    assert any("(1 of one part, where nothing can be combined, left out)" in note for note in page.notes)


def test_intervals_hold_their_values(project: Any) -> None:
    records, _ = built()
    for record in records:
        if record["low"]:
            low, value, high = (float(record[name]) for name in ("low", "value", "high"))
            assert low <= value <= high
            assert record["unit"] != "share" or 0.0 <= low <= high <= 1.0
        else:
            assert record["method"].startswith("none: ")
        if record["diff"]:
            assert float(record["diff_low"]) <= float(record["diff"]) <= float(record["diff_high"])


def test_a_rise_is_marked_and_no_rise_is_not(project: Any) -> None:
    records, page = built()
    rows = {
        record["arm"]: record
        for record in where(records, metric="composition rate", benchmark="mean")
        if record["diff"]
    }
    assert {arm: rows[arm]["significant"] for arm in MAIN} == {"vanilla": "no", "n1": "yes", "n4": "yes", "n16": "yes"}
    assert all(float(rows[arm]["p_holm"]) < 0.05 for arm in MAIN[1:])
    assert [row[3].endswith("*") for row in page.grids[0].rows] == [False, True, True, True]


def test_questions_and_seeds_are_paired(project: Any) -> None:
    def shift(found: dict[str, Any]) -> None:
        phases = found["arms"]["n4"]
        phases["after"]["composed"] = {
            name: (np.array(matrix) + 3).tolist() for name, matrix in phases["before"]["composed"].items()
        }

    project(change=shift)
    record = one(built()[0], arm="n4", phase="after", metric="composition rate", benchmark="mean", seeds="1+2+3")
    assert (record["diff"], record["diff_low"], record["diff_high"]) == (f"{3 / SAMPLES:.4f}",) * 3
    assert float(record["low"]) < float(record["high"])


def test_growth_with_n_is_a_slope_over_log2_n(project: Any) -> None:
    found = project()
    records, _ = built()
    name = "composition rate, slope over log2 n"
    for phase in ("before", "after"):
        record = one(records, arm="by n", phase=phase, metric=name)
        rates = [share(found, arm, phase, "composed") for arm in ("n1", "n4", "n16")]
        assert float(record["value"]) == pytest.approx(np.polyfit([0, 2, 4], rates, 1)[0], abs=5.1e-5)
        assert (record["unit"], record["reference"]) == (
            "share per doubling of n",
            "before RL" if phase == "after" else "",
        )
    assert float(record["low"]) > 0.0
    assert 0.0 < float(record["diff_low"]) < float(record["diff"]) == pytest.approx(0.05, abs=0.03)


def test_the_papers_values_stand_at_n_16_only(project: Any) -> None:
    records, page = built()
    known = {(r["arm"], r["phase"], r["benchmark"], r["metric"], r["seeds"]): r["paper"] for r in records if r["paper"]}
    assert known == {
        ("n16", "before", "mean", "composition rate", "1+2+3"): "0.2330",
        ("n16", "after", "mean", "composition rate", "1+2+3"): "0.5670",
    }
    assert [row[-2:] for row in page.grids[0].rows] == [["-", "-"]] * 3 + [["0.233", "0.567"]]
    assert any("0.233 before RL and 0.567 after RL (A)" in note for note in page.notes)


def test_combinations_stand_beside_their_count_in_mid_training(project: Any) -> None:
    records, page = built()
    after = one(records, arm="n4", phase="after", metric="combination", benchmark="a+b")
    by_hand = np.mean([10 / (3 * SAMPLES * size) for size in QUESTIONS.values()])
    assert float(after["value"]) == pytest.approx(by_hand, abs=5.1e-5)
    assert float(after["low"]) == 0.0
    counts = {
        (r["arm"], r["benchmark"]): (r["value"], r["unit"], r["phase"], r["n_questions"], r["n_samples"])
        for r in where(records, metric="combination in mid-training")
    }
    assert counts["n4", "a+b"] == ("5.0000", "chains", "training", "20", "0")
    assert counts["n4", "a+d"][0] == "0.0000"
    assert "vanilla" not in {arm for arm, _ in counts}  # it learnt from nothing, so never would be empty praise
    [grid] = [grid for grid in page.grids if grid.caption.startswith("Most frequent combinations")]
    assert ["n4", "a+b", "5 of 30"] in [[row[0], row[1], row[-1]] for row in grid.rows]
    assert ["vanilla", "a+b", "-"] in [[row[0], row[1], row[-1]] for row in grid.rows]
    assert {row[4] for row in grid.rows} == {"10 of 20", "8 of 16"}


def test_a_combination_has_the_interval_of_a_rate(project: Any) -> None:
    """Its counts are kept by seed and by question alone, which loses nothing."""

    def only_one_combination(found: dict[str, Any]) -> None:
        result = found["arms"]["n4"]
        for name, size in QUESTIONS.items():
            matrix = np.zeros((3, size), int)
            matrix[0, 0], matrix[1, 2], matrix[2, 2] = 9, 20, 30
            result["after"]["composed"][name] = matrix.tolist()
            result["frequent"]["a+b"]["after"]["by_seed"][name] = matrix.sum(axis=1).tolist()
            result["frequent"]["a+b"]["after"]["by_question"][name] = matrix.sum(axis=0).tolist()

    project(change=only_one_combination)
    records, _ = built()
    rate = one(records, arm="n4", phase="after", metric="composition rate", benchmark="mean", seeds="1+2+3")
    share = one(records, arm="n4", phase="after", metric="combination", benchmark="a+b")
    assert [rate[name] for name in ("value", "low", "high", "method", "n_questions")] == [
        share[name] for name in ("value", "low", "high", "method", "n_questions")
    ]


def test_the_judge_is_under_the_table(project: Any) -> None:
    records, page = built()
    values = {(r["benchmark"], r["metric"]): r for r in records if r["arm"] == "judge"}
    assert values["a", "judge precision"]["value"] == "0.9000"
    assert values["a", "judge recall"]["value"] == f"{45 / 55:.4f}"
    assert values["all heuristics", "judge precision"]["value"] == f"{75 / 80:.4f}"
    assert values["mean of heuristics", "judge recall"]["value"] == f"{(45 / 55 + 30 / 32) / 2:.4f}"
    assert values["two or more", "judge recall"]["value"] == f"{40 / 48:.4f}"
    assert ("c", "judge precision") not in values  # nothing to judge it by
    # Wilson (1927) by hand: 45 of 50 at 95%
    assert (values["a", "judge precision"]["low"], values["a", "judge precision"]["high"]) == ("0.7864", "0.9565")
    [grid] = [grid for grid in page.grids if grid.caption == "The judge on 100 labelled chains"]
    assert grid.rows[0][3:] == ["55", "10", "none 6, b 4"]
    [grid] = [grid for grid in page.grids if grid.caption.startswith("Labelled chains with two")]
    assert grid.rows == [["two or more", "40", "8"], ["fewer", "2", "50"]]
    assert any("0.480 of the labelled chains by label, 0.420 by the judge" in note for note in page.notes)


def test_a_judge_of_prose_knows_no_parts_and_tests_no_pairs(project: Any) -> None:
    def prose(found: dict[str, Any]) -> None:
        for asked in found["benchmarks"].values():
            asked |= {"parts": None, "needs": None, "single": 0}
        found["validation"] |= {"habits": {}, "composed": [0, 3, 0, 97]}

    project(change=prose)
    records, page = built()
    assert not where(records, metric="free composition rate")
    assert not where(records, arm="judge", benchmark="two or more")
    assert any("That label is noisy" in note and "finding two is not tested" in note for note in page.notes)
    assert not any("families" in note for note in page.notes)


def test_nothing_to_judge_by_is_unknown_and_not_zero(project: Any) -> None:
    def hopeless(found: dict[str, Any]) -> None:
        counts = found["arms"]["n1"]["before"]
        for field in ("correct", "composed_correct", "spare", "new_correct"):
            counts[field] = {name: np.zeros_like(matrix).tolist() for name, matrix in counts[field].items()}

    project(change=hopeless)
    records, page = built()
    metric = "composition rate of correct chains"
    assert not where(records, arm="n1", phase="before", metric=metric)
    assert one(records, arm="n1", phase="after", metric=metric, benchmark="mean", seeds="1+2+3")["diff"] == ""
    assert not where(records, arm="by n", metric=f"{metric}, slope over log2 n")
    [grid] = [grid for grid in page.grids if grid.caption.startswith("Correct chains alone")]
    assert [row[1] for row in grid.rows if row[0] == "n1"] == ["-"]


@pytest.mark.parametrize("count", [1, 2, 10])
def test_any_number_of_seeds(project: Any, count: int) -> None:
    seeds = list(range(1, count + 1))
    project(seeds)
    records, page = built(seeds)
    pooled = "+".join(map(str, seeds))
    rows = where(records, metric="composition rate", benchmark="mean", seeds=pooled)
    assert len(rows) == 2 * len(MAIN)
    assert all((row["p_holm"] != "") is (count > 1) for row in rows if row["phase"] == "after")
    singles = {row["seeds"] for row in records} - {pooled, ""}
    assert singles == ({str(seed) for seed in seeds} if count > 1 else set())
    assert any(note.startswith("One training seed") for note in page.notes) is (count == 1)


def test_a_study_with_one_size_has_no_trend(project: Any) -> None:
    records, page = built(arms={name: ARMS[name] for name in ("vanilla", "n4")})
    assert not where(records, arm="by n")
    assert not any("doubling" in grid.caption for grid in page.grids)
    assert {row["arm"] for row in records} == {"vanilla", "n4", "judge"}


def test_the_page_is_reproducible_and_every_number_of_it_is_in_the_csv(project: Any) -> None:
    records, page = built()
    assert render.markdown(page) == render.markdown(built()[1])
    assert "\\begin{tabular}" in render.latex(page)
    number = re.compile(r"\d\.\d{3}\b")
    known = {
        f"{abs(float(cell)):.3f}" for row in records for cell in row.values() if re.fullmatch(r"-?\d\.\d{4}", cell)
    }
    shown = {found for grid in page.grids for row in grid.rows for cell in row for found in number.findall(cell)}
    assert shown
    assert shown <= known


def test_an_arm_that_is_missing_is_one_line(project: Any) -> None:
    project(change=lambda found: found["arms"].pop("n4"))
    with pytest.raises(UserError, match=r"^results/composition\.json:\d+: arms\.n4: missing, .*run `dvc repro`$"):
        built()


def test_no_row_is_there_twice(project: Any) -> None:
    rows, _ = composition.build(parameters([1, 2, 3]))
    keys = [(row.arm, row.phase, row.benchmark, row.metric, row.k, row.seeds) for row in rows]
    assert len(set(keys)) == len(keys)
