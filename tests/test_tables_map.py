"""Table map from counts by hand: gains within each base, and what they go with over the bases."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from polya_midtrain import paths
from polya_midtrain.figures import map as figure
from polya_midtrain.params import Arm, Machine, Params, Questions, Rl, Tables
from polya_midtrain.results.counts import CountFile, CountRow
from polya_midtrain.results.modes import COLUMNS, ModesFile
from polya_midtrain.tables.map import table
from polya_midtrain.tables.map.page import COVERAGE, ENTROPY, RATIO, RHO, ZERO
from polya_midtrain.tables.row import Row, Rows
from polya_midtrain.tables.shared import render

# Right ones of 4 samples of each of two questions, by base. pass@2 of c right ones is 0, 1/2, 5/6, 1, 1.
BASE = [(0, 1), (1, 1), (1, 4), (4, 4)]  # coverage 0.25, 0.5, 0.75, 1
VANILLA = (1, 1)  # after RL, on every base: 0.5
N2 = [(1, 4), (1, 1), (0, 1), (0, 0)]  # gains +0.25, 0, -0.25, -0.5: half less the coverage
STAR = (4, 4)  # gains 0.5 everywhere
ARMS = {
    "vanilla": Arm(traces="none"),
    "star": Arm(traces="unprompted", n=1),
    "n2": Arm(traces="heuristics", n=2),
    "n1-long": Arm(traces="heuristics", n=1, rl_epochs=3.0),
    "vanilla-long": Arm(traces="none", rl_epochs=3.0),
}
SEEDS = [1, 2]


def parameters(**changes: Any) -> Params:
    """The blocks that the table reads; the others are absent, so that reading one would fail."""
    settings = {
        "profile": "synthetic",
        "machine": Machine(),
        "seeds": SEEDS,
        "bases": [{"habits": {"latent": 0.1}}, {}, {}, {}],
        "arms": ARMS,
        "questions": Questions.model_construct(benchmarks={"only": None}, transfer={}),
        "rl": Rl.model_construct(epochs=0.5),
        "tables": Tables(ks=[1, 2], resamples=200, seed=5, confidence=0.95, means={}),
    }
    return Params.model_construct(**settings | changes)


def right(arm: str, phase: str, number: int) -> tuple[int, int]:
    if phase == "before":
        return BASE[number]
    return {"vanilla": VANILLA, "vanilla-long": VANILLA, "star": STAR}.get(arm, N2[number])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The results of four bases with two training seeds each."""
    monkeypatch.chdir(tmp_path)
    params = parameters()
    for folder in (paths.COUNTS, paths.MODES, paths.TABLES):
        folder.mkdir(parents=True)
    for arm in ARMS:
        rows = [
            CountRow(phase=phase, seed=run, benchmark="only", question=f"q{place}", n=4, c=c, truncated=0, no_answer=0)
            for phase in (("before", "after") if arm == "vanilla" else ("after",))
            for run in params.runs
            for place, c in enumerate(right(arm, phase, paths.base_of(run) - 1))
        ]
        CountFile(arm=arm, samples=4, decoding={}, rows=rows).write(paths.COUNTS / f"{arm}.json")
    points = [
        [phase, run, f"q{place}", 1, 1, round(math.exp(0.5 * paths.base_of(run)), 6), *[0.1] * (len(COLUMNS) - 6)]
        for phase in ("before", "after")
        for run in params.runs
        for place in range(2)
    ]
    settings = {"branch": "world", "questions": 2, "threshold": 0.05, "learning_rate": 0.1, "generations": 4, "seed": 1}
    file = ModesFile(arm="vanilla", columns=list(COLUMNS), rows=points, **settings)
    file.write(paths.MODES / "vanilla.json")
    return params


def value(rows: list[Row], metric: str, **wanted: Any) -> float:
    (row,) = Rows(rows).find(metric, **wanted)
    return row.value


def test_every_base_has_its_own_numbers_and_gains(here: Params) -> None:
    rows, _ = table.build(here)
    for number, seeds in enumerate(("1+2", "101+102", "201+202", "301+302")):
        coverage = 0.25 * (number + 1)
        assert value(rows, "pass@k", phase="before", k=2, seeds=seeds) == coverage
        accuracy = value(rows, "pass@k", phase="before", k=1, seeds=seeds)
        assert accuracy == sum(BASE[number]) / 8
        assert value(rows, RATIO, seeds=seeds) == coverage / accuracy
        assert value(rows, ENTROPY, seeds=seeds) == pytest.approx(0.5 * (number + 1), abs=1e-4)
        for arm, gain in (("star", 0.5), ("n2", 0.5 - coverage), ("n1-long", 0.5 - coverage)):
            (row,) = Rows(rows).find("difference", arm=arm, k=2, seeds=seeds)
            assert row.value == pytest.approx(gain)
            assert row.reference == ("vanilla-long" if arm == "n1-long" else "vanilla"), "the one with as much RL"
            assert row.low is not None
            assert row.method == "bootstrap over questions and seeds"
    assert {row.arm for row in rows if row.metric == "pass@k"} == {"vanilla", "vanilla-long"}


def test_over_the_bases_the_gain_falls_with_coverage_and_is_none_at_half(here: Params) -> None:
    rows, page = table.build(here)
    for arm in ("n2", "n1-long"):
        for number in (COVERAGE, ENTROPY):
            assert value(rows, f"{RHO} {number}", arm=arm) == -1.0
        (zero,) = Rows(rows).find(f"{ZERO} {COVERAGE}", arm=arm)
        assert (zero.value, zero.low, zero.high) == (0.5, 0.5, 0.5)
        assert value(rows, f"{ZERO} {ENTROPY}", arm=arm) == pytest.approx(1.0, abs=1e-3)
    assert not Rows(rows).find(f"{RHO} {COVERAGE}", arm="star"), "a gain that is the same everywhere goes with nothing"
    bases, short, long, trends = page.grids
    assert [row[:2] for row in bases.rows] == [["1", "habits.latent 0.1"], ["2", "-"], ["3", "-"], ["4", "-"]]
    assert (short.caption[:27], long.caption[:25]) == ("After RL of 0.5 epochs: van", "After RL of 3 epochs: van")
    assert short.header == ["base", "arm", "pass@1", "pass@2", "pass@1: gain", "pass@2: gain"]
    assert [row[1] for row in short.rows] == ["vanilla", "star", "n2"] * 4
    assert short.rows[2][-1].startswith("+0.250 [")
    assert [row[:4] for row in trends.rows] == [
        ["star", "0.5", "-", "-"],
        ["n2", "0.5", "-1.00 (p 0.000)", "0.500 [0.500, 0.500]"],
        ["n1-long", "3", "-1.00 (p 0.000)", "0.500 [0.500, 0.500]"],
    ]


def test_two_bases_have_gains_and_no_trend(here: Params) -> None:
    rows, page = table.build(parameters(bases=[{}, {}]))
    assert len(page.grids) == 3
    assert not any(row.metric.startswith((RHO, ZERO)) for row in rows)


def test_a_profile_without_amounts_says_so(here: Params) -> None:
    rows, page = table.build(parameters(arms={name: arm for name, arm in ARMS.items() if arm.rl_epochs is None}))
    assert (rows, page.grids) == ([], [])
    assert page.notes == ["No arm has an amount of RL of its own (rl_epochs): there is no map."]


def test_the_figure_has_a_series_an_amount_with_the_gains_of_the_table(here: Params) -> None:
    rows, _ = table.build(here)
    (paths.TABLES / "map.csv").write_text(render.csv_text(rows), encoding="utf-8")
    drawing = figure.draw(here)
    assert drawing is not None
    gains = "+0.25 at 0.25, +0.00 at 0.50, -0.25 at 0.75, -0.50 at 1.00"
    assert f"n2, 0.5 epochs of RL: {gains}; n1-long, 3 epochs of RL: {gains}." in drawing.alt
    (axes,) = drawing.figure.axes
    assert [label.get_text() for label in drawing.figure.legends[0].get_texts()] == [
        "n2, 0.5 epochs of RL",
        "n1-long, 3 epochs of RL",
    ]
    assert axes.get_title()
    assert figure.draw(parameters(arms={name: ARMS[name] for name in ("vanilla", "star", "vanilla-long")})) is None
