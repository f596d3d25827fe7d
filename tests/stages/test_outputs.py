"""What each stage leaves: the promised records, in the promised order, and numbers that agree with them."""

from __future__ import annotations

import csv
import json
import shutil
from math import ceil
from pathlib import Path
from typing import Any

import pytest
import yaml

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import Endpoint, Params
from polya_midtrain.prompting import heuristics
from polya_midtrain.records import (
    Answer,
    Completion,
    Graded,
    Question,
    Scored,
    TrainingRow,
    by_id,
    of_base,
    read_records,
)
from polya_midtrain.results import counts
from polya_midtrain.runtime import mlflow_store, scratch
from polya_midtrain.stages import compose, questions
from polya_midtrain.stages.select import following, least_score
from polya_midtrain.tables import registry
from polya_midtrain.traces import selection

ROOT = Path(__file__).resolve().parents[2]
ARMS = ["vanilla", "star", "n1", "n2", "star2", "s1", "distil", "b2", "t2", "r2", "w2", "vanilla-half", "n2-half"]
ABLATIONS = ARMS[7:]
RUNS = [1, 101]  # of bases 1 and 2


def metrics(name: str) -> dict[str, float]:
    found: dict[str, float] = json.loads((paths.METRICS / f"{name}.json").read_text())
    return found


def test_stages_write_what_the_map_says(here: Params, published: dict[str, set[str]]) -> None:
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for label, outputs in published.items():
        name, _, item = label.partition("@")
        entry = pipeline[name].get("do", pipeline[name])
        items = pipeline[name].get("foreach")
        own = items[item] if isinstance(items, dict) else item
        entry = yaml.safe_load(yaml.safe_dump(entry).replace("${key}", item).replace("${item}", own))
        assert outputs == {next(iter(out)) if isinstance(out, dict) else out for out in entry["outs"]}, label
        assert (paths.METRICS / f"{label}.json").exists()
    assert {label.partition("@")[0] for label in published} == set(pipeline) - {
        "base",
        "teacher",
    }  # which have tests of their own


def test_nothing_half_done_is_left(here: Params) -> None:
    left = [path for path in scratch.ROOT.glob("*/*") if path.is_dir()]
    assert left == []
    assert list(Path().rglob(".*.new")) == []


def test_questions_are_as_many_as_asked_and_nowhere_twice(here: Params) -> None:
    sets = {name: read_records(paths.QUESTIONS / f"{name}.parquet", Question) for name in questions.TRAINING}
    for kind in questions.EVALUATED:
        for name in getattr(here.questions, kind):
            sets[f"{kind}/{name}"] = read_records(paths.QUESTIONS / kind / f"{name}.parquet", Question)
    assert {name: len(rows) for name, rows in sets.items()} == {
        "mid": 20,  # 10 for each of two bases
        "reward": 20,
        "rl": 12,
        "benchmarks/pairs": 3,
        "benchmarks/odd": 2,
        "transfer/program": 2,
        "transfer/story": 2,
    }
    texts = [row.question for rows in sets.values() for row in rows]
    assert len(set(texts)) == len(texts)
    for name in ("mid", "reward", "rl"):
        assert [len(of_base(sets[name], number)) for number in (1, 2)] == [6 if name == "rl" else 10] * 2
    summary = json.loads((paths.QUESTIONS / "summary.json").read_text())
    assert {name: entry["questions"] for name, entry in summary.items()} == {
        name: len(rows) for name, rows in sets.items()
    }
    assert metrics("questions")["benchmarks_odd"] == 2


def test_the_reward_model_is_a_classifier_and_was_measured_on_other_questions(here: Params) -> None:
    model, tokenizer = policy.load(paths.reward(1), "cpu", "AutoModelForSequenceClassification")
    assert model.config.num_labels == 1
    assert tokenizer.chat_template
    numbers = metrics("reward")
    assert 0 < numbers["base_1/training_pairs"] <= 40
    assert 0 < numbers["base_1/held_out_pairs"] <= 40
    assert 0 <= numbers["base_1/held_out_accuracy"] <= 1


def test_every_question_is_answered_under_every_heuristic_and_without(here: Params) -> None:
    rows = read_records(paths.GENERATED, Completion)
    mid = read_records(paths.MID, Question)
    asked = [row.id for number in (1, 2) for row in of_base(mid, number)]
    names = heuristics.load(here.prompts.catalogue).first(3)
    expected = [(name, question, sample) for name in [*names, ""] for question in asked for sample in range(3)]
    assert [(row.heuristic, row.question_id, row.sample) for row in rows] == expected
    assert {row.finish for row in rows} == {"stop", "length"}
    for row in rows:
        assert row.logprob < 0
        assert row.tokens <= 11
        assert (row.tokens == 11) or row.finish == "stop"
    numbers = metrics("generate")
    assert (numbers["completions"], numbers["tokens"]) == (len(rows), sum(row.tokens for row in rows))
    assert 0 < numbers["truncated"] < 1


def test_verification_keeps_right_and_wrong_alike(here: Params) -> None:
    golds = by_id(read_records(paths.MID, Question))
    rows = read_records(paths.GRADED, Graded)
    plain = [Completion(*(getattr(row, name) for name in Completion.__slots__)) for row in rows]
    assert plain == read_records(paths.GENERATED, Completion)
    for row in rows:
        assert row.correct is (row.reason == "right")
        if row.finish == "stop":
            boxed = row.text.rpartition("boxed{")[2].partition("}")[0]
            assert row.correct is (boxed == golds[row.question_id].answer)
    numbers = metrics("grade")
    assert numbers["correct"] == sum(row.correct for row in rows)
    assert 0 < numbers["correct"] < numbers["completions"] == len(rows)
    assert sum(value for name, value in numbers.items() if name.startswith("reason/")) == len(rows)


def test_what_can_be_selected_is_scored_and_unprompted_responses_kept_at_zero(here: Params) -> None:
    rows = read_records(paths.SCORED, Scored)
    kept = selection.candidates(read_records(paths.GRADED, Graded))
    assert [row.text for row in rows] == [row.text for row in kept]
    assert all(row.score == 0.0 for row in rows if not row.heuristic)
    prompted = [row for row in rows if row.heuristic]
    assert len({row.score for row in prompted}) > 1
    numbers = metrics("score")
    assert numbers["scored"] == len(prompted)
    for name, right in (("right", True), ("wrong", False)):
        scores = [row.score for row in prompted if row.correct is right]
        assert numbers[f"mean/{name}"] == pytest.approx(sum(scores) / len(scores), abs=1e-5)


def test_the_score_of_a_response_does_not_depend_on_the_batch(here: Params) -> None:
    from polya_midtrain.traces.reward_model import RewardModel

    catalogue = heuristics.load(here.prompts.catalogue)
    asked = by_id(read_records(paths.MID, Question))
    for number in (1, 2):
        rows = [
            row for row in read_records(paths.SCORED, Scored) if row.heuristic and asked[row.question_id].base == number
        ]
        one_by_one = RewardModel.load(paths.reward(number), here.machine, batch=1).scores(
            [(catalogue.get(row.heuristic), asked[row.question_id].question, row.text) for row in rows]
        )
        assert one_by_one == pytest.approx([row.score for row in rows], abs=1e-4)


@pytest.mark.parametrize("arm", ARMS)
def test_a_training_set_is_the_selection_and_its_card_counts_it(here: Params, arm: str) -> None:
    whole, asked = read_records(paths.TRAIN / f"{arm}.parquet", TrainingRow), by_id(read_records(paths.MID, Question))
    for number in (1, 2):
        mine = {name: question for name, question in asked.items() if question.base == number}
        check_selection(here, arm, of_base(whole, number), mine, number)
    for row in whole:
        origin = asked[row.question_id]
        assert (row.question, row.base) == (origin.question, origin.base)
    card = json.loads(paths.TRAINING_SETS.read_text())[arm]
    assert card["rows"] == len(whole) == sum(card["rows_per_heuristic"].values()) == metrics("select")[f"{arm}/rows"]
    assert card["tokens"] == sum(row.tokens for row in whole)
    assert card["questions"] == len({row.question_id for row in whole}) <= card["questions_asked"] == 20
    assert card["right"] + card["wrong"] == card["rows"]
    assert bool(card["wrong"]) is (arm == "w2")
    assert bool(card["right"]) is (arm not in ("vanilla", "vanilla-half", "w2"))


def check_selection(here: Params, arm: str, rows: list[TrainingRow], asked: dict[str, Question], number: int) -> None:
    """The rows of one base are what selection takes of its traces."""
    seed = here.select.seed
    scored = [row for row in read_records(paths.SCORED, Scored) if row.question_id in asked]
    scored = following(scored, least_score(paths.reward(number), here))
    names = heuristics.load(here.prompts.catalogue).first(here.generate.heuristics)
    ordered = selection.places(asked, names, "question", seed)
    best = {n: selection.best_per_heuristic(scored, ordered, n) for n in (1, 2)}
    pairs = selection.pairs(scored, ordered, 2, here.select.length_tolerance)
    expected = {
        "vanilla": [],
        "vanilla-half": [],
        "star": selection.unprompted(scored, 1, seed),
        "n1": best[1],
        "n2": best[2],
        "n2-half": best[2],
        "s1": selection.repeated(best[1], len(best[2])),
        "b2": selection.fit(best[2], seed, most_rows=len(best[1])),
        "t2": selection.fit(best[2], seed, most_tokens=sum(row.tokens for row in best[1])),
        "r2": [right for right, _ in pairs],
        "w2": [wrong for _, wrong in pairs],
    }
    if arm in expected:
        assert [row.response for row in rows] == [row.text for row in expected[arm]]
    else:  # right answers without a heuristic, as many as another arm has rows
        source, n = (paths.DISTILLED, 2) if arm == "distil" else (paths.GRADED, 1)
        taught = {row.text for row in read_records(source, Graded) if row.correct and not row.heuristic}
        assert {row.response for row in rows} <= taught
        assert len(rows) == len(best[n])


@pytest.mark.parametrize(("arm", "epochs"), [("n2", 1.0), ("n2-half", 0.5)])
def test_curves_have_a_point_a_step(here: Params, arm: str, epochs: float) -> None:
    document = json.loads((paths.CURVES / f"{arm}.json").read_text())
    steps = ceil(epochs * here.questions.rl.count / here.rl.prompts)  # type: ignore[union-attr]
    for seed in RUNS:
        points = document["seeds"][str(seed)]
        assert [point["step"] for point in points] == list(range(1, steps + 1))
        assert all(set(point) == {"step", "reward", "entropy", "length"} for point in points)
        assert metrics(f"rl@{arm}")[f"seed_{seed}/reward"] == pytest.approx(
            sum(point["reward"] for point in points[-5:]) / len(points[-5:]), abs=1e-5
        )


def test_an_arm_without_midtraining_points_to_the_base(here: Params) -> None:
    for seed in RUNS:
        folder = paths.MIDTRAIN / "vanilla" / f"seed-{seed}"
        assert [path.name for path in folder.iterdir()] == [policy.POINTER]
        assert policy.resolve(folder) == paths.base(paths.base_of(seed))


def test_midtraining_learns_its_traces_and_rl_reports_its_reward(here: Params) -> None:
    assert metrics("midtrain@n2")["rows"] == len(read_records(paths.TRAIN / "n2.parquet", TrainingRow))
    for seed in RUNS:
        assert metrics("midtrain@n2")[f"seed_{seed}/loss"] > 0
        assert 0 <= metrics("rl@n2")[f"seed_{seed}/reward"] <= 1


@pytest.mark.parametrize("arm", ARMS)
def test_counts_are_those_of_the_completions(here: Params, arm: str) -> None:
    document = json.loads((paths.COUNTS / f"{arm}.json").read_text())
    assert (document["arm"], document["samples"]) == (arm, 8)
    assert document["decoding"]["max_tokens"] == 11
    rows = read_records(paths.COMPLETIONS / f"{arm}.parquet", Answer)
    files = {name: paths.BENCHMARKS / f"{name}.parquet" for name in sorted(here.questions.benchmarks)}
    if arm not in ABLATIONS:
        files |= {name: paths.TRANSFER / f"{name}.parquet" for name in sorted(here.questions.transfer)}
    phases = ["after"] if arm in ABLATIONS else ["before", "after"]
    cells = [(phase, seed, name) for phase in phases for seed in RUNS for name in files]
    asked = {name: read_records(file, Question) for name, file in files.items()}
    position = 0
    expected = []
    for phase, seed, name in cells:
        for question in asked[name]:
            group = rows[position : position + 8]
            position += 8
            places = {(row.phase, row.seed, row.benchmark, row.question_id) for row in group}
            assert places == {(phase, seed, name, question.id)}
            assert [row.sample for row in group] == list(range(8))
            tally = {"c": sum(row.correct for row in group), "truncated": sum(row.finish == "length" for row in group)}
            tally["no_answer"] = sum(not row.extracted for row in group)
            where = {"phase": phase, "seed": seed, "benchmark": name, "question": question.id}
            expected.append(where | {"n": 8} | tally)
    assert document["rows"] == expected
    assert position == len(rows)
    assert sum(row["c"] for row in expected) > 0
    for phase in phases:
        chosen = [row for row in expected if row["phase"] == phase]
        assert metrics(f"evaluate@{arm}")[f"{phase}/correct"] == pytest.approx(
            sum(row["c"] for row in chosen) / (8 * len(chosen)), abs=1e-6
        )
    counts.read(paths.COUNTS, [arm], list(asked), RUNS, phases)  # type: ignore[arg-type]


def test_bases_are_what_is_drawn_where_there_are_several(here: Params) -> None:
    rows = list(csv.DictReader((paths.TABLES / "main.csv").open()))
    assert {row["seeds"]: row["method"] for row in rows if (row["benchmark"], row["metric"]) == ("mean", "pass@k")} == {
        "1": "bootstrap over questions",
        "101": "bootstrap over questions",
        "1+101": "bootstrap over questions and bases",
    }


def test_tables_are_made_in_all_formats(here: Params) -> None:
    for table in registry.TABLES:
        for suffix in ("csv", "json", "md", "tex"):
            assert (paths.TABLES / f"{table}.{suffix}").stat().st_size > 200
        assert len(metrics(f"tables@{table}")) > (table != "map")  # more than its seconds; map over three bases or more
    for table in ("main", "midtrain"):
        wanted = {f"{arm}/pass_at_{k}" for arm in ARMS if arm not in ABLATIONS for k in (1, 4)}
        assert wanted <= set(metrics(f"tables@{table}"))


def holding(text: str, *folders: Path) -> tuple[list[Path], int]:
    """The files below folders that hold a text, and how many there are in all."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()], len(files)


def test_no_key_of_the_environment_is_in_anything_that_a_run_leaves(
    here: Params, project: Path, tracking_uri: str, planted: tuple[tuple[str, ...], str]
) -> None:
    store = Path(tracking_uri.removeprefix("sqlite:///")).parent
    mlflow_store.post_pending()
    found, searched = holding(planted[1], project, store)
    assert found == []
    assert searched > 100
    assert holding("midtrain", store)[0], "the runs are there"


def test_nor_where_a_judge_was_asked_with_it(
    again: Params,
    model_server: Any,
    planted: tuple[tuple[str, ...], str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    keys, value = planted
    for name in keys:
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{value}@127.0.0.1:9")
    model_server.always = lambda _: (200, {"choices": [{"message": {"content": '{"heuristics": []}'}}]}, {})
    judge = Endpoint(url=model_server.url, model="m", max_tokens=64, temperature=0.0, timeout=60.0, tries=1, parallel=2)
    params = again.model_copy(
        update={"compose": again.compose.model_copy(update={"judge": "endpoint", "endpoint": judge})}
    )
    compose.run(params)
    assert all(headers["Authorization"] == f"Bearer {value}" for headers in model_server.headers)
    assert holding(value, Path())[0] == []
    assert holding("[]", Path(".judged"))[0], "its replies are kept"
    mlflow_store.post_pending()  # to a store that does not answer
    model_server.always = lambda _: (401, f"{value} is no key", {})
    shutil.rmtree(".judged")
    with pytest.raises(UserError) as caught:
        compose.run(params)
    found, _ = holding(value, Path())
    said = capfd.readouterr()
    assert found == []
    assert "MLflow store http://127.0.0.1:9: " in said.err
    assert value not in str(caught.value) + said.out + said.err
