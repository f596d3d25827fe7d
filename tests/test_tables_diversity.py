"""Table diversity from made-up scores: numbers are those of the files, and what is not comparable is not compared."""

from __future__ import annotations

import csv
import io
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Arm, Machine, Match, Params, Questions, Tables
from polya_midtrain.results import counts
from polya_midtrain.tables.diversity import table as diversity
from polya_midtrain.tables.shared import render
from polya_midtrain.tables.shared.scores import Scores, against

ARMS = {
    "vanilla": Arm(traces="none"),
    "n1": Arm(traces="heuristics", n=1),
    "n16": Arm(traces="heuristics", n=16),
    "distil": Arm(traces="teacher", n=16, match=Match(rows="n16")),
}
KERNELS = ["names", "shapes"]
BENCHMARKS, SEEDS, KS = ["easy", "hard"], [1, 2], [1, 4]
POOLED = "1+2"
CENTRE = {"n16": 9.0, "distil": 7.0}
Csv = list[dict[str, str]]


def parameters(**changes: Any) -> Params:
    """The blocks that the table reads; the others are absent, so that reading one would fail."""
    settings = {
        "profile": "synthetic",
        "machine": Machine(),
        "seeds": SEEDS,
        "bases": [{}],
        "arms": ARMS,
        "questions": Questions.model_construct(benchmarks=dict.fromkeys(BENCHMARKS)),
        "tables": Tables(ks=KS, resamples=400, seed=5, confidence=0.95, means={}),
    }
    return Params.model_construct(**settings | changes)


def scores() -> dict[str, Any]:
    """n16 scores 9 and distil 7 (less by the second kernel); n1 has too few rows for a score."""
    rng = np.random.default_rng(1)
    sets, pairs = [], []
    for place, kernel in enumerate(KERNELS):
        for arm in ("n1", "n16", "distil"):
            draws = (CENTRE[arm] - place + rng.normal(0, 0.5, 40)).tolist() if arm in CENTRE else []
            sets.append({"kernel": kernel, "arm": arm, "rows": 50 if arm in CENTRE else 5, "draws": draws})
        base = rng.normal(0, 1, 40)
        halves = [[8 + x - place, 6 + x - place + y] for x, y in zip(base, rng.normal(0, 0.2, 40), strict=True)]
        asked = [[f"q{number}", 3, 2.0 + 0.1 * (number % 3), 1.5] for number in range(9)]
        whole = [9.5 - place, 7.5 - place]
        pairs.append(
            {"kernel": kernel, "arm": "n16", "other": "distil", "whole": whole, "halves": halves, "questions": asked}
        )
    return {"embedding": "world", "size": 20, "resamples": 40, "kernels": KERNELS, "sets": sets, "pairs": pairs}


def card(arm: str) -> dict[str, Any]:
    rows = {"vanilla": 0, "n1": 5}.get(arm, 50)
    sizes = {
        "rows": rows,
        "tokens": 20 * rows,
        "questions": rows // 5,
        "questions_asked": 12,
        "bases": 1,
        "right": rows,
        "wrong": 0,
    }
    return {"arm": arm, **sizes, "rows_per_heuristic": {}, "mean_score": None, "follow": None}


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(paths.DIVERSITY, scores())
    write(paths.TRAINING_SETS, {arm: card(arm) for arm in ARMS})
    rng = np.random.default_rng(2)
    chances = {"vanilla": 0.2, "n1": 0.3, "n16": 0.5, "distil": 0.4}
    for arm, chance in chances.items():
        rows = [
            {
                "phase": phase,
                "seed": seed,
                "benchmark": name,
                "question": f"q{number}",
                "n": 8,
                "c": int(rng.binomial(8, chance)),
                "truncated": 0,
                "no_answer": 0,
            }
            for phase, seed, name, number in product(("before", "after"), SEEDS, BENCHMARKS, range(10))
        ]
        write(paths.COUNTS / f"{arm}.json", {"arm": arm, "samples": 8, "decoding": {"temperature": 1.0}, "rows": rows})


def built(**changes: Any) -> tuple[Csv, render.Page]:
    rows, page = diversity.build(parameters(**changes))
    assert render.latex(page)
    return list(csv.DictReader(io.StringIO(render.csv_text(rows)))), page


def one(records: Csv, **fields: str) -> dict[str, str]:
    found = [record for record in records if all(record[name] == value for name, value in fields.items())]
    assert len(found) == 1, (fields, len(found))
    return found[0]


@pytest.mark.usefixtures("project")
def test_rows_are_there_once_and_hold_their_value() -> None:
    records, _ = built()
    names = ("arm", "phase", "benchmark", "metric", "k", "seeds", "reference")
    keys = [tuple(record[name] for name in names) for record in records]
    assert len(set(keys)) == len(keys)
    for record in records:
        if record["low"]:
            assert float(record["low"]) <= float(record["value"]) <= float(record["high"])
    assert {record["phase"] for record in records} == {"training", "before", "after"}


@pytest.mark.usefixtures("project")
def test_sets_are_scored_by_their_draws_and_small_ones_not_at_all() -> None:
    records, page = built()
    entry = scores()["sets"][1]
    row = one(records, arm="n16", metric="vendi", benchmark="")  # the leading kernel, by whatever name
    assert float(row["value"]) == pytest.approx(np.mean(entry["draws"]), abs=1e-4)
    assert float(row["low"]) == pytest.approx(np.quantile(entry["draws"], 0.025), abs=1e-4)
    assert (row["phase"], row["seeds"], row["unit"]) == ("training", "", "score")
    assert row["method"] == "range of 40 draws of 20 traces; kernel: names"
    assert float(one(records, arm="n16", metric="vendi", benchmark="shapes")["value"]) < float(row["value"])
    assert not [record for record in records if (record["arm"], record["metric"]) == ("n1", "vendi")]
    for name, value in (("rows", "5.0000"), ("tokens", "100.0000"), ("questions", "1.0000")):
        assert one(records, arm="n1", metric=name)["value"] == value
    assert [line[0] for line in page.grids[0].rows] == ["n1", "n16", "distil"]
    assert page.grids[0].rows[0][4:] == ["-", "too few rows", "too few rows", "-"]


@pytest.mark.usefixtures("project")
def test_the_papers_scores_stand_beside_the_arms_that_they_belong_to() -> None:
    records, page = built()
    shown = {
        (r["arm"], r["metric"]): (r["paper"], r["benchmark"])
        for r in records
        if r["paper"] and r["phase"] == "training"
    }
    assert shown == {
        ("n16", "vendi"): ("13.8100", ""),
        ("distil", "vendi"): ("10.9500", ""),
        ("n16", "vendi of the whole set, difference"): ("2.8600", ""),
    }
    assert [line[-1] for line in page.grids[0].rows] == ["-", "13.81 (A)", "10.95 (A)"]
    assert any("Not known: the embedding" in note for note in page.notes)
    # Another n of the teacher is another arm than the paper's.
    arms = ARMS | {"distil": Arm(traces="teacher", n=8, match=Match(rows="n16"))}
    fewer, _ = built(arms=arms)
    assert [r["arm"] for r in fewer if r["paper"] and r["phase"] == "training"] == ["n16"]


@pytest.mark.usefixtures("project")
def test_wholes_are_compared_with_the_spread_over_halves() -> None:
    records, page = built()
    row = one(records, arm="n16", metric="vendi of the whole set, difference", benchmark="", reference="distil")
    apart = [ours - theirs for ours, theirs in scores()["pairs"][0]["halves"]]
    error = np.std(apart, ddof=1)
    reach = error * t.ppf(0.975, 9)  # ten questions are fewer than forty halves
    assert row["value"] == "2.0000"  # of the whole, not the mean over halves
    assert (float(row["low"]), float(row["high"])) == (
        pytest.approx(2 - reach, abs=1e-4),
        pytest.approx(2 + reach, abs=1e-4),
    )
    assert float(row["p"]) == pytest.approx(2 * t.sf(2 / error, 9), abs=1e-4)
    assert "50 traces" in row["method"]
    assert one(records, arm="distil", metric="vendi of the whole set", benchmark="")["value"] == "7.5000"
    per = one(records, arm="n16", metric="vendi per question, difference", benchmark="")
    assert (per["value"], per["n_questions"]) == ("0.6000", "9")
    assert float(per["low"]) > 0.5
    assert one(records, arm="n16", metric="traces per question compared", benchmark="")["value"] == "3.0000"
    grid = page.grids[1]
    assert [line[:2] for line in grid.rows] == [["n16 less distil", "names"], ["n16 less distil", "shapes"]]
    assert all(len(line) == len(grid.header) for line in grid.rows)


@pytest.mark.usefixtures("project")
def test_both_arms_pass_at_k_is_that_of_the_counts_and_their_difference_paired() -> None:
    records, page = built()
    for phase in ("before", "after"):
        for arm in ("n16", "distil"):
            rows = json.loads((paths.COUNTS / f"{arm}.json").read_text())["rows"]
            right = np.mean([row["c"] / 8 for row in rows if row["phase"] == phase])
            row = one(records, arm=arm, phase=phase, benchmark="mean", metric="pass@k", k="1", seeds=POOLED)
            assert float(row["value"]) == pytest.approx(right, abs=1e-4)
        row = one(records, arm="n16", phase=phase, metric="difference", k="4", reference="distil")
        study = Scores(
            counts.read(paths.COUNTS, ["vanilla", "n16", "distil"], BENCHMARKS, SEEDS), parameters().tables, phase
        )
        due = against(study, ("difference",), [("n16", "distil")])[1]
        assert (row["value"], row["low"], row["p_holm"]) == (f"{due.value:.4f}", f"{due.low:.4f}", f"{due.p_holm:.4f}")
    assert not [record for record in records if record["arm"] == "n1" and record["metric"] == "pass@k"]
    assert {record["p_holm"] + record["diff"] for record in records if record["metric"] == "pass@k"} == {""}
    after = next(grid for grid in page.grids if grid.caption.startswith("pass@k after RL: self-generated"))
    assert [line[0] for line in after.rows] == ["n16 less distil"]
    assert after.rows[0][-1] == "above 0 (A)"


@pytest.mark.usefixtures("project")
def test_without_a_teacher_there_are_scores_alone() -> None:
    content = scores() | {"pairs": []}
    write(paths.DIVERSITY, content)
    arms = {name: arm for name, arm in ARMS.items() if name != "distil"}
    records, page = built(arms=arms)
    assert {record["metric"] for record in records} == {"rows", "tokens", "questions", "vendi"}
    assert len(page.grids) == 1
    assert any("learns from a teacher: there is nothing" in note for note in page.notes)


@pytest.mark.usefixtures("project")
def test_a_pair_with_nothing_in_common_is_shown_as_such() -> None:
    content = scores()
    for pair in content["pairs"]:
        pair |= {"whole": [], "halves": [], "questions": []}
    write(paths.DIVERSITY, content)
    records, page = built()
    assert not [record for record in records if "whole" in record["metric"] or "per question" in record["metric"]]
    assert any(grid.caption.startswith("pass@k after RL: self-generated") for grid in page.grids)
    assert not any("compared" in grid.header for grid in page.grids)
    assert not any("there is nothing" in note for note in page.notes)


@pytest.mark.usefixtures("project")
def test_what_misfits_is_refused_with_its_place() -> None:
    content = scores()
    content["sets"] = [entry for entry in content["sets"] if (entry["arm"], entry["kernel"]) != ("n16", "shapes")]
    write(paths.DIVERSITY, content)
    with pytest.raises(
        UserError, match=r"diversity.json:1: sets: no entry of arm 'n16', .* by shapes; delete the file"
    ):
        built()
    content = scores()
    content["sets"][1]["draws"].pop()
    write(paths.DIVERSITY, content)
    with pytest.raises(UserError, match=r"arm 'n16' has not 40 draws by names"):
        built()
    write(paths.DIVERSITY, scores() | {"embedding": "magic"})
    with pytest.raises(UserError, match=r"diversity.json:1: embedding: "):
        built()
    paths.DIVERSITY.unlink()
    with pytest.raises(UserError, match=r"results/counts/diversity.json: missing; run `dvc repro`"):
        built()
