"""Stage compose on chains whose plans the test wrote: its counts are then known, and what does not fit is refused."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.records import Answer, Graded, Question, TrainingRow, extended, read_records, write_records
from polya_midtrain.results import composition as results
from polya_midtrain.results import counts
from polya_midtrain.stages import compose
from polya_midtrain.tables.composition import table as composition
from polya_midtrain.world import problems, traces

ROOT = Path(__file__).resolve().parents[2]
SEEDS, SAMPLES = [3, 5], 6
ARMS = ["vanilla", "n2"]
SIZES = {"two": [2, 2, 1], "three": [3, 3]}  # parts of each question
PLANS = ["forward", "reduce", "distribute", "restate"]
DECODING = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 80, "system": "", "suffix": ""}


def parameters(**compose_changes: Any) -> Params:
    content = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text(encoding="utf-8"))
    world = {"source": "world", "task": "chain", "pool": "seen", "parts": [2], "count": 3}
    content["arms"] = {"vanilla": {"traces": "none"}, "n2": {"traces": "heuristics", "n": 2}}
    content["questions"]["benchmarks"] = {"two": world, "other": world, "three": world}
    content |= {"seeds": SEEDS, "bases": [{}], "machine": {"device": "cpu", "workers": 1}}
    content["tables"]["means"] = {}
    content["compose"] = {"judge": "world", "benchmarks": list(SIZES), "labelled": 60, "seed": 1} | compose_changes
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return settings.load(Path("params.yaml"))


def chain(rng: random.Random, question: Question, sample: int) -> tuple[Graded, list[str]]:
    """A faultless answer by known plans, and those."""
    problem = problems.parse(question.question)
    plans = [rng.choice(PLANS) for _ in problem]
    text = traces.write(problem, plans)
    right = text.endswith(f"{{{question.answer}}}")
    return Graded(question.id, "", sample, text, 9, "stop", -1.0, right, "1", "right" if right else "wrong"), plans


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str, str, int, int], list[Any]]:
    """A project with completions and training sets; per arm, phase, benchmark, seed and question (plans, correct)."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "data/heuristics", tmp_path / "data/heuristics")
    rng = random.Random(1)
    asked = {}
    for name, lengths in [*SIZES.items(), ("other", [2, 2])]:
        drawn = [problems.sample(rng, parts) for parts in lengths]
        asked[name] = [
            Question(f"benchmarks/{name}/{place}", problems.text(problem), problems.answer(problem), "maths", "world")
            for place, problem in enumerate(drawn)
        ]
        write_records(paths.BENCHMARKS / f"{name}.parquet", Question, asked[name])
    write_records(paths.MID, Question, asked["two"])
    known: dict[tuple[str, str, str, int, int], list[Any]] = {}
    for arm in ARMS:
        rows = []
        # with a benchmark that is not asked for in between
        for phase, (column, seed), name in product(("before", "after"), enumerate(SEEDS), ("two", "other", "three")):
            for place, question in enumerate(asked[name]):
                drawn = [chain(rng, question, sample) for sample in range(SAMPLES)]
                known[arm, phase, name, column, place] = [(set(plans), row.correct) for row, plans in drawn]
                rows += [extended(row, Answer, phase=phase, seed=seed, benchmark=name) for row, _ in drawn]
        rng.shuffle(rows)  # each says where it belongs
        write_records(paths.COMPLETIONS / f"{arm}.parquet", Answer, rows)
        paths.COUNTS.mkdir(parents=True, exist_ok=True)
        file = counts.CountFile(arm=arm, samples=SAMPLES, decoding=DECODING, rows=counts.counted(rows))
        file.write(paths.COUNTS / f"{arm}.json")
        trained = []
        for question in asked["three"] if arm != "vanilla" else []:
            problem = problems.parse(question.question)
            for plans in (["forward", "reduce", "forward"], ["forward"] * 3, ["forward", "reduce", "restate"]):
                text = traces.write(problem, plans)
                trained.append(TrainingRow(question.id, plans[0], question.question, text, 9, 0.0, "maths"))
        write_records(paths.TRAIN / f"{arm}.parquet", TrainingRow, trained)
    completions = read_records(paths.COMPLETIONS / "vanilla.parquet", Graded)
    graded = [replace(row, heuristic=PLANS[row.sample % 4]) for row in completions if "/two/" in row.question_id]
    write_records(paths.GRADED, Graded, graded)
    return known


def run(params: Params) -> results.Composition:
    compose.run(params)
    return results.read(paths.COMPOSITION, ARMS, params.compose.benchmarks, SEEDS)


def test_counts_are_those_of_the_plans_that_were_written(written: dict[Any, list[Any]]) -> None:
    found = run(parameters())
    assert (found.samples, found.decoding, found.judge) == (SAMPLES, DECODING, "world")
    assert found.benchmarks["two"].single == 1  # the question of one part
    assert found.benchmarks["two"].parts == [2, 2]
    assert found.benchmarks["three"].questions == ["benchmarks/three/0", "benchmarks/three/1"]
    needs = {name: asked.needs for name, asked in found.benchmarks.items()}
    for arm, phase, name, seed, place in product(ARMS, ("before", "after"), SIZES, (0, 1), (0, 1)):
        chains = written[arm, phase, name, seed, place]
        expected = {
            "correct": sum(correct for _, correct in chains),
            "composed": sum(len(plans) > 1 for plans, _ in chains),
            "composed_correct": sum(len(plans) > 1 and correct for plans, correct in chains),
            "spare": sum(correct and len(plans) > needs[name][place] for plans, correct in chains),
            "new": sum(len(plans) > 1 and not (arm == "n2" and trained(plans)) for plans, _ in chains),
            "new_correct": sum(
                correct and len(plans) > 1 and not (arm == "n2" and trained(plans)) for plans, correct in chains
            ),
            "silent": 0,
        }
        counts = getattr(found.arms[arm], phase)
        assert {field: getattr(counts, field)[name][seed][place] for field in results.FIELDS} == expected
    assert any(np.any(found.arms["n2"].after.new[name]) for name in SIZES)
    assert any(np.any(found.arms["n2"].after.composed[name]) for name in SIZES)


def trained(plans: set[str]) -> bool:
    """Whether they stood together in the training set that the fixture writes."""
    return plans <= {"forward", "reduce", "restate"}


def test_combinations_and_mid_training(written: dict[Any, list[Any]]) -> None:
    found = run(parameters()).arms
    assert found["n2"].midtraining.model_dump() == {
        "rows": 6,
        "questions": 2,
        "composed": 4,
        "combinations": {"forward+reduce": 2, "forward+reduce+restate": 2},
    }
    assert found["vanilla"].midtraining.rows == 0
    together = {name: entry.midtraining for name, entry in found["n2"].frequent.items()}
    assert together["forward+reduce"] == 4  # twice alone, twice with a third
    assert together["forward+restate"] == 2
    assert together["distribute+reduce"] == 0
    for phase in ("before", "after"):
        chains = [
            chain
            for (arm, when, name, _, place), group in written.items()
            if (arm, when) == ("n2", phase) and name in SIZES and place < 2
            for chain in group
        ]
        entry = getattr(found["n2"].frequent["forward+reduce"], phase)
        matching = [correct for plans, correct in chains if plans == {"forward", "reduce"}]
        assert (entry.chains, entry.correct) == (len(matching), sum(matching))
        assert sum(map(sum, entry.by_seed.values())) == sum(map(sum, entry.by_question.values())) == len(matching)
        distinct = {tuple(sorted(plans)) for plans, _ in chains if len(plans) > 1}
        assert getattr(found["n2"], phase).distinct == len(distinct)
    sizes = [entry.after.chains for entry in found["n2"].frequent.values()]
    leading = sizes[: min(len(sizes), 12)]
    assert leading == sorted(leading, reverse=True)


def test_the_judge_is_measured_and_numbers_are_logged(written: dict[Any, list[Any]]) -> None:
    found = run(parameters())
    assert found.validation.chains == sum(found.validation.composed) == 60
    assert found.validation.label == "what the writer did"
    assert found.validation.habits["slip"] > 0
    assert len(found.validation.heuristics) == 16
    metrics = json.loads((paths.METRICS / "compose.json").read_text())
    hits, invented, _ = np.sum(list(found.validation.heuristics.values()), axis=0)
    assert metrics["judge/precision"] == pytest.approx(hits / (hits + invented), abs=1e-6)
    shares = [np.mean(found.arms["n2"].after.composed[name]) / SAMPLES for name in SIZES]
    assert metrics["n2/after"] == pytest.approx(np.mean(shares), abs=1e-6)


def test_workers_change_nothing_and_the_table_is_made_of_it(written: dict[Any, list[Any]]) -> None:
    params = parameters()
    run(params)
    alone = paths.COMPOSITION.read_bytes()
    run(params.model_copy(update={"machine": params.machine.model_copy(update={"workers": 2})}))
    assert paths.COMPOSITION.read_bytes() == alone
    rows, page = composition.build(params)
    assert {row.arm for row in rows} == {*ARMS, "judge"}
    assert page.grids[0].rows[0][0] == "vanilla"


def test_prose_is_judged_by_cues(written: dict[Any, list[Any]]) -> None:
    params = parameters(judge="cues")
    catalogue = {
        "heuristics": [{"id": name, "name": name, "idea": name, "instruction": name, "cues": [name]} for name in PLANS]
    }
    (params.prompts.catalogue).write_text(yaml.safe_dump(catalogue))
    found = run(params)
    assert found.benchmarks["two"].model_dump() == {
        "questions": [f"benchmarks/two/{place}" for place in range(3)],
        "parts": None,
        "needs": None,
        "single": 0,
    }
    chains = written["n2", "after", "two", 1, 0]
    assert found.arms["n2"].after.composed["two"][1][0] == sum(len(plans) > 1 for plans, _ in chains)
    assert (found.validation.label, found.validation.habits) == ("the heuristic that was asked for", {})
    assert found.validation.composed[0] == found.validation.composed[2] == 0


def refused(params: Params, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        compose.run(params)
    assert "\n" not in str(caught.value)
    assert not paths.COMPOSITION.exists()


def test_completions_that_are_not_those_that_were_counted_are_refused(written: dict[Any, list[Any]]) -> None:
    path = paths.COMPLETIONS / "n2.parquet"
    rows = read_records(path, Answer)
    other = r"n2\.parquet: its rows are not those that results/counts/n2\.json counts; run `dvc repro`"
    for changed in (
        [replace(rows[0], phase="after" if rows[0].phase == "before" else "before"), *rows[1:]],
        rows[:-1],
        [*rows, rows[-1]],
        [replace(rows[0], correct=not rows[0].correct), *rows[1:]],
    ):
        write_records(path, Answer, changed)
        refused(parameters(), other)
    counted = paths.COUNTS / "n2.json"
    file = counts.CountFile.read(counted)
    there = [row for row in rows if row.question_id != "benchmarks/three/0"]
    write_records(path, Answer, there)
    file.model_copy(update={"rows": counts.counted(there)}).write(counted)
    refused(parameters(), r"n2\.parquet: no completions of benchmarks/three/0 by seed 3 before RL")
    write_records(path, Answer, rows)
    file.model_copy(update={"decoding": {"temperature": 0.5}}).write(counted)
    refused(parameters(), r"n2\.json: samples or decoding differ from vanilla's")
    counted.write_text("[]")
    refused(parameters(), r"results/counts/n2\.json:1: the file: Input should be an object")
    counted.unlink()
    refused(parameters(), r"results/counts/n2\.json: missing")


def test_benchmarks_without_anything_to_combine_are_refused(written: dict[Any, list[Any]]) -> None:
    path = paths.BENCHMARKS / "two.parquet"
    rows = read_records(path, Question)
    write_records(path, Question, rows[1:])  # one of two parts, one of a single part
    refused(parameters(), r"compose\.benchmarks: 'two' has 1 questions in which heuristics could be combined")
    write_records(path, Question, [replace(row, question="How many?") for row in rows])
    refused(parameters(), r"judge world cannot read 'two' \(not a part of the embedded world: 'How many\?'\)")
