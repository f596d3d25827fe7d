"""Stage diversity on training sets made for it, whose diversity is known."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.kernels import world as kernel
from polya_midtrain.params import Arm, Diversity, Machine, Match, Params, WorldEmbedding
from polya_midtrain.records import TrainingRow, write_records
from polya_midtrain.stages import diversity
from polya_midtrain.world import problems, traces

ARMS = {
    "vanilla": Arm(traces="none"),
    "star": Arm(traces="unprompted", n=1),
    "n1": Arm(traces="heuristics", n=1),
    "n4": Arm(traces="heuristics", n=4),
    "b4": Arm(traces="heuristics", n=4, match=Match(rows="n1")),
    "distil": Arm(traces="teacher", n=4, match=Match(rows="n4")),
    "taught": Arm(traces="teacher", n=4),
}
# The plans that each arm's traces name, the same for every question; all have shapes with nothing in common.
PLANS = {
    "star": ["forward"],
    "n1": ["forward"],
    "n4": ["forward", "reduce", "distribute", "restate"],
    "b4": ["forward", "reduce"],
    "distil": ["forward", "forward", "reduce", "reduce"],
    "taught": ["forward", "reduce"],
}
QUESTIONS = 12


def parameters(**changes: Any) -> Params:
    """The blocks that the stage reads; the others are absent, so that reading one would fail."""
    settings = {
        "profile": "synthetic",
        "machine": Machine(device="cpu", workers=1),
        "bases": [{}],
        "arms": ARMS,
        "diversity": Diversity(embedding=WorldEmbedding(kind="world"), size=20, resamples=10, seed=1),
    }
    return Params.model_construct(**settings | changes)


@pytest.fixture
def training_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(1)
    for arm in ARMS:
        rows = [
            TrainingRow(f"q{number}", "", "", traces.write(problems.sample(rng, 1), [plan]), 12, 0.0, "maths")
            for number in range(QUESTIONS)
            for plan in PLANS.get(arm, [])
        ]
        write_records(paths.TRAIN / f"{arm}.parquet", TrainingRow, rows)


def made(**changes: Any) -> dict[str, Any]:
    diversity.run(parameters(**changes))
    found: dict[str, Any] = json.loads(paths.DIVERSITY.read_text())
    return found


@pytest.mark.usefixtures("training_sets")
def test_scores_are_those_of_the_ways_of_working() -> None:
    found = made()
    assert found["kernels"] == [kernel.NAMES_AND_SHAPES, kernel.SHAPES]
    assert [(entry["kernel"], entry["arm"]) for entry in found["sets"]] == [
        (name, arm) for name in found["kernels"] for arm in ARMS if arm != "vanilla"
    ]
    for entry in found["sets"]:
        due = {"n4": 4, "distil": 2, "taught": 2, "b4": 2}.get(entry["arm"])
        assert entry["rows"] == QUESTIONS * len(PLANS[entry["arm"]])
        if due is None:  # 12 rows, 20 asked for
            assert entry["draws"] == []
        else:
            assert len(entry["draws"]) == 10
            assert 0.8 * due < np.mean(entry["draws"]) <= due
    metrics = json.loads(Path("results/metrics/diversity.json").read_text())
    assert {name for name in metrics if name.endswith("/vendi")} == {
        f"{a}/vendi" for a in ("n4", "b4", "distil", "taught")
    }


@pytest.mark.usefixtures("training_sets")
def test_the_teachers_traces_are_compared_with_the_arm_they_are_matched_to() -> None:
    found = made()
    pairs = {(pair["arm"], pair["other"]): pair for pair in found["pairs"] if pair["kernel"] == found["kernels"][0]}
    assert list(pairs) == [("n4", "distil"), ("n4", "taught")]  # without a match: the largest n
    pair = pairs["n4", "distil"]
    assert pair["whole"] == pytest.approx([4.0, 2.0])
    np.testing.assert_allclose(pair["halves"], [[4.0, 2.0]] * 10)
    assert [question for question, *_ in pair["questions"]] == sorted(f"q{number}" for number in range(QUESTIONS))
    for _, size, ours, theirs in pair["questions"]:
        assert (size, ours, theirs) == (4, pytest.approx(4.0), pytest.approx(2.0))
    # As many of either arm: two of four different ones, and all two of the other.
    for _, size, ours, theirs in pairs["n4", "taught"]["questions"]:
        assert (size, ours, theirs) == (2, pytest.approx(2.0), pytest.approx(2.0))


@pytest.mark.usefixtures("training_sets")
def test_a_run_is_repeatable_and_another_seed_draws_other_traces() -> None:
    first = made()
    assert made() == first
    other = made(diversity=Diversity(embedding=WorldEmbedding(kind="world"), size=20, resamples=10, seed=2))
    assert [entry["draws"] for entry in other["sets"]] != [entry["draws"] for entry in first["sets"]]
    # An arm's draws do not depend on which other arms there are.
    alone = made(arms={name: ARMS[name] for name in ("vanilla", "n4")})
    assert alone["sets"][0] == next(entry for entry in first["sets"] if entry["arm"] == "n4")
    assert alone["pairs"] == []


@pytest.mark.usefixtures("training_sets")
def test_sets_without_a_common_question_are_not_compared() -> None:
    rows = [TrainingRow("other", "", "", " jar forward 1+1=2", 5, 0.0, "maths")] * 3
    write_records(paths.TRAIN / "distil.parquet", TrainingRow, rows)
    pair = made()["pairs"][0]
    assert (pair["whole"], pair["halves"], pair["questions"]) == ([], [], [])


@pytest.mark.usefixtures("training_sets")
def test_without_any_trace_there_is_a_line_that_says_so() -> None:
    for arm in ARMS:
        write_records(paths.TRAIN / f"{arm}.parquet", TrainingRow, [])
    with pytest.raises(UserError, match="data/train: no arm has a trace to score"):
        made()
