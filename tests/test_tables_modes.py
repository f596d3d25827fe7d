"""Table modes from made-up measurements: its numbers are theirs, ratios are of sums, and what misfits is refused."""

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

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Arm, Machine, Params, Tables
from polya_midtrain.results.modes import COLUMNS, STEPS, read
from polya_midtrain.tables.modes import table as modes
from polya_midtrain.tables.modes.cells import Cells
from polya_midtrain.tables.shared import render

ARMS = {
    "vanilla": Arm(traces="none"),
    "n1": Arm(traces="heuristics", n=1),
    "n4": Arm(traces="heuristics", n=4),
    "n16": Arm(traces="heuristics", n=16),
    "w4": Arm(traces="wrong", n=4),
}
SEEDS, QUESTIONS = [1, 2, 3], 12
POOLED = "1+2+3"
Csv = list[dict[str, str]]


def parameters(**changes: Any) -> Params:
    """The blocks that the table reads; the others are absent, so that reading one would fail."""
    settings = {
        "profile": "synthetic",
        "machine": Machine(),
        "seeds": SEEDS,
        "bases": [{}],
        "arms": ARMS,
        "tables": Tables(ks=[1], resamples=400, seed=5, confidence=0.95, means={}),
    }
    return Params.model_construct(**settings | changes)


def measured(arm: str, branch: str = "world") -> dict[str, Any]:
    """Modes rise by one with each doubling of n before RL and halve by RL; steps have round shares."""
    rng = np.random.default_rng(ARMS[arm].n)
    doublings = np.log2(ARMS[arm].n)
    rows: list[list[Any]] = []
    for phase, seed, number in product(("before", "after"), SEEDS, range(QUESTIONS)):
        count = (2.0 + doublings) / (1 if phase == "before" else 2)
        values = {
            "modes": count + 0.1 * seed + 0.05 * number,
            "fitting_modes": count,
            "effective": count + rng.uniform(0, 1),
            "fitting": 0.6,
            "unfit": 0.3,
        }
        for step in STEPS:
            size = 0.01 * (1 + number)  # points weigh by what moved
            values |= {
                f"{step}.moved": size if step in ("positive", "expected") else -size,
                f"{step}.fitting": (-0.5 if step == "positive" else 0.5) * size * (1 + rng.uniform(-0.1, 0.1)),
                f"{step}.unfit": -0.3 * size,
                f"{step}.risen": number % 3,
                f"{step}.others": 2,
                f"{step}.table_moved": 0.001,
                f"{step}.table_fitting": 0.25 * size,
                f"{step}.table_unfit": -0.3 * size,
                f"{step}.table_risen": 1,
            }
        row = [values[name] for name in COLUMNS[3:]]
        if branch == "start":
            known = [not name.startswith(("negative_unfit", "expected")) for name in COLUMNS[3:]]
            row = [value if there else None for value, there in zip(row, known, strict=True)]
        rows.append([phase, seed, f"q{number}", *row])
    settings = {"questions": QUESTIONS, "threshold": 0.05, "learning_rate": 0.5, "generations": 16, "seed": 1}
    return {"arm": arm, "branch": branch, **settings, "columns": list(COLUMNS), "rows": rows}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths.MODES.mkdir(parents=True)
    for arm in ARMS:
        write(measured(arm))


def write(document: dict[str, Any]) -> None:
    (paths.MODES / f"{document['arm']}.json").write_text(json.dumps(document), encoding="utf-8")


def built(**changes: Any) -> tuple[Csv, render.Page]:
    rows, page = modes.build(parameters(**changes))
    assert render.latex(page)
    return list(csv.DictReader(io.StringIO(render.csv_text(rows)))), page


def one(records: Csv, **fields: str) -> dict[str, str]:
    found = [record for record in records if all(record[name] == value for name, value in fields.items())]
    assert len(found) == 1, (fields, len(found))
    return found[0]


@pytest.mark.usefixtures("project")
def test_every_row_is_there_once_and_its_interval_holds_it() -> None:
    records, _ = built()
    keys = [tuple(r[name] for name in ("arm", "phase", "benchmark", "metric", "seeds", "reference")) for r in records]
    assert len(set(keys)) == len(keys)
    for arm, phase in product(ARMS, ("before", "after")):
        for metric, _unit in modes.STATE.values():
            for seeds in ("1", "2", "3", POOLED):
                one(records, arm=arm, phase=phase, metric=metric, seeds=seeds, benchmark="")
        for step, what in product(STEPS, ("risen", "all risen")):
            one(records, arm=arm, phase=phase, metric=f"{step}: {what}", benchmark="one step", seeds=POOLED)
    for record in records:
        assert float(record["low"]) <= float(record["value"]) <= float(record["high"]), record
        assert record["n_questions"] == str(QUESTIONS)
        assert record["paper"] == ""
        assert record["method"] == "bootstrap over questions" + (" and seeds" if "+" in record["seeds"] else "")


@pytest.mark.usefixtures("project")
def test_states_are_means_and_the_change_is_paired() -> None:
    records, _ = built()
    before = one(records, arm="n4", phase="before", metric="modes", seeds=POOLED)
    after = one(records, arm="n4", phase="after", metric="modes", seeds=POOLED)
    spread = 0.1 * 2 + 0.05 * np.mean(range(QUESTIONS))
    assert float(before["value"]) == pytest.approx(4 + spread, abs=1e-4)
    assert float(after["value"]) == pytest.approx(2 + spread, abs=1e-4)
    assert (after["diff"], after["diff_low"], after["diff_high"]) == ("-2.0000", "-2.0000", "-2.0000")
    assert (after["reference"], before["reference"], before["diff"]) == ("before RL", "", "")
    assert one(records, arm="n4", phase="before", metric="modes", seeds="3")["value"] == f"{4.3 + spread - 0.2:.4f}"


@pytest.mark.usefixtures("project")
def test_the_trend_is_the_slope_over_doublings_of_n_of_the_heuristic_arms() -> None:
    records, page = built()
    for metric in ("modes", "fitting modes", "effective number"):
        for phase, due in (("before", 1.0), ("after", 0.5)):
            row = one(records, arm="n1+n4+n16", phase=phase, metric=f"{metric}, slope over log2 n", seeds=POOLED)
            assert float(row["value"]) == pytest.approx(due, abs=0.25 if metric == "effective number" else 1e-4)
            assert row["unit"] == "modes per doubling of n"
            assert (row["reference"], row["diff"]) == ("", "")
            assert row["p_holm"]
    assert any("each doubling of n" in grid.caption for grid in page.grids)
    alone, page = built(arms={name: ARMS[name] for name in ("vanilla", "n4")})
    assert not [record for record in alone if "slope" in record["metric"]]
    assert not any("each doubling" in grid.caption for grid in page.grids)


@pytest.mark.usefixtures("project")
def test_shares_of_a_step_are_ratios_of_sums() -> None:
    records, _ = built()
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in measured("n16")["rows"] if row[0] == "before"]
    for step, sign in (("positive", 1.0), ("negative", 1.0), ("negative_unfit", 1.0)):
        row = one(records, arm="n16", phase="before", metric=f"{step}: fitting", seeds=POOLED)
        moved = sum(entry[f"{step}.moved"] for entry in rows)
        due = -sign * sum(entry[f"{step}.fitting"] for entry in rows) / moved
        assert float(row["value"]) == pytest.approx(due, abs=1e-4)
        table = one(records, arm="n16", phase="before", metric=f"{step}: fitting, closed form", seeds=POOLED)
        assert float(table["value"]) == pytest.approx(-0.25 if step == "positive" else 0.25, abs=1e-4)
        assert float(row["diff"]) == pytest.approx(float(row["value"]) - float(table["value"]), abs=2e-4)
        assert row["reference"] == "closed form"
    risen = one(records, arm="n16", phase="before", metric="expected: risen", seeds=POOLED)
    assert risen["value"] == "0.5000"  # (0 + 1 + 2) of (2 + 2 + 2)
    assert one(records, arm="n16", phase="before", metric="expected: all risen", seeds=POOLED)["value"] == "0.3333"
    assert one(records, arm="n16", phase="before", metric="expected: all risen, closed form")["value"] == "0.0000"
    assert not [record for record in records if record["metric"] == "expected: fitting"]


@pytest.mark.usefixtures("project")
def test_the_page_shows_the_main_arms_by_the_numbers_of_the_csv() -> None:
    records, page = built()
    shown = ("value", "low", "high", "diff", "diff_low", "diff_high", "p_holm")
    short = {f"{float(r[name]):{sign}.3f}" for r in records for name in shown for sign in ("", "+") if r[name]}
    assert len([grid for grid in page.grids if grid.caption.startswith("One step")]) == len(STEPS)
    for grid in page.grids:
        assert all(len(row) == len(grid.header) for row in grid.rows)
        numbers = {number for row in grid.rows for cell in row[1:] for number in re.findall(r"[+-]?\d+\.\d{3}\b", cell)}
        assert numbers - {"0.001"} <= short
        if "doubling" not in grid.caption:
            assert [row[0] for row in grid.rows] == ["vanilla", "n1", "n4", "n16"]  # w4 is in the CSV alone
    notes = " ".join(page.notes)
    assert "12 questions" in notes
    assert "times 0.5;" in notes
    assert "No number of it is known" in notes
    assert "four fit any one" in notes


@pytest.mark.usefixtures("project")
def test_one_training_seed_is_shown_without_a_test() -> None:
    records, page = built(seeds=[2])
    assert {record["seeds"] for record in records} == {"2"}
    assert {(record["p_holm"], record["significant"], record["detectable"]) for record in records} == {("", "", "")}
    assert any("One training seed" in note for note in page.notes)


@pytest.mark.usefixtures("project")
def test_a_branch_without_known_fits_has_no_steps_that_need_them() -> None:
    for arm in ARMS:
        write(measured(arm, "start"))
    records, page = built()
    steps = {record["metric"].split(":")[0] for record in records if ":" in record["metric"]}
    assert steps == {"positive", "negative"}
    assert len([grid for grid in page.grids if grid.caption.startswith("One step")]) == 2
    assert "not known" in page.notes[0]
    assert "four fit any one" not in " ".join(page.notes)


@pytest.mark.usefixtures("project")
def test_what_misfits_is_refused_with_its_place() -> None:
    def refused(change: Any, match: str, arm: str = "n4") -> None:
        document = measured(arm)
        change(document)
        (paths.MODES / "n4.json").write_text(json.dumps(document), encoding="utf-8")
        with pytest.raises(UserError, match=match):
            built()

    refused(lambda d: d.update(threshold=0.1), r"n4.json:1: columns: other settings or columns than those of vanilla")
    refused(lambda d: d.update(arm="n5"), r"n4.json:1: arm: expected 'n4', found 'n5'")
    refused(lambda d: d["rows"].pop(), r"n4.json:1: rows: no or other questions for phase after, seed 3")
    refused(lambda d: d["rows"][4].pop(), r"n4.json:1: rows.4: not a row of numbers as long as the columns")
    refused(lambda d: d["rows"][0].__setitem__(3, "many"), r"rows.0: not a row of numbers")
    refused(lambda d: d.pop("rows"), r"n4.json:1: rows: Field required")
    (paths.MODES / "n4.json").unlink()
    with pytest.raises(UserError, match=r"results/modes/n4.json: missing, and arm 'n4' is in params.yaml; run `dvc"):
        built()


def test_a_ratio_without_anything_to_divide_by_is_none(project: None) -> None:
    document = measured("n4")
    for row in document["rows"]:
        row[COLUMNS.index("positive.others")] = row[COLUMNS.index("positive.risen")] = 0
    write(document)
    cells = Cells(read(paths.MODES, list(ARMS), SEEDS), parameters().tables)
    assert cells.ratio("n4", "before", "positive", "risen", False) is None
    assert cells.ratio("n4", "before", "positive", "all_risen", False) is None
    assert cells.ratio("n4", "before", "positive", "fitting", False) is not None
    records, page = built()
    assert not [record for record in records if (record["arm"], record["metric"]) == ("n4", "positive: risen")]
    assert "- (-)" in str(page.grids)
