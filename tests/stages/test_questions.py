"""Stage questions: benchmarks and transfer sets alike are written, disjoint and kept out of training."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.params import Params, WorldSet
from polya_midtrain.records import Question, read_records
from polya_midtrain.stages import questions

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Profile smoke with transfer sets of known sizes, in an empty project folder."""
    monkeypatch.chdir(tmp_path)
    params = settings.load(ROOT / "profiles/smoke.yaml")
    transfer = {
        "programs": WorldSet(source="world", task="program", parts=[1, 2], pool="seen", count=9),
        "stories": WorldSet(source="world", task="story", parts=[1, 2], pool="seen", count=7),
    }
    return params.model_copy(update={"questions": params.questions.model_copy(update={"transfer": transfer})})


def stored(name: str) -> list[Question]:
    return read_records(paths.TRANSFER / f"{name}.parquet", Question)


def test_transfer_sets_stand_apart_with_golds_for_their_graders(asked: Params) -> None:
    questions.run(asked)
    assert {path.stem for path in paths.BENCHMARKS.glob("*.parquet")} == set(asked.questions.benchmarks)
    assert {path.stem for path in paths.TRANSFER.glob("*.parquet")} == {"programs", "stories"}
    programs, stories = stored("programs"), stored("stories")
    assert [len(programs), len(stories)] == [9, 7]
    assert len({row.question for row in programs + stories}) == 16
    for row in programs:
        assert row.kind == "code"
        gold = json.loads(row.answer)
        assert set(gold) == {"prefix", "tests", "entry"}
        assert gold["prefix"].startswith(f"def {gold['entry']}(")
    assert [len(row.question.removeprefix("code ").split("; ")) for row in programs] == [1, 2] * 4 + [1]
    for row in stories:
        assert row.kind == "choice"
        gold = json.loads(row.answer)
        assert all(f" {choice} " in row.question for choice in gold["choices"])
        assert "ABC".index(gold["answer"]) < len(gold["choices"])
    summary = json.loads((paths.QUESTIONS / "summary.json").read_text())
    assert summary["transfer/programs"]["questions"] == 9
    first = (paths.TRANSFER / "stories.parquet").read_bytes()
    questions.run(asked)
    assert (paths.TRANSFER / "stories.parquet").read_bytes() == first


def test_a_training_question_that_a_transfer_set_holds_is_removed(asked: Params) -> None:
    """The sets of the embedded world never overlap, so the overlap is made by hand."""
    specs = {name: getattr(asked.questions, name) for name in questions.TRAINING}
    specs |= {f"transfer/{name}": spec for name, spec in asked.questions.transfer.items()}
    sets, _ = questions.build(specs, 1)
    twin = sets["mid"][3]
    sets["transfer/stories"].append(twin)
    removed = questions.decontaminate(sets)
    assert removed["mid"] == questions.Removed(
        1, Counter({"stories/exact": 1}), [f"{twin.id}: stories/exact {twin.id}"]
    )
    assert twin not in sets["mid"]


def test_what_each_set_lost_and_to_which_is_counted_for_every_pair() -> None:
    def asked_of(name: str, *texts: str) -> list[Question]:
        return [Question(f"{name}/{index}", text, "1", "maths", "test") for index, text in enumerate(texts)]

    sets = {
        "mid": asked_of("mid", "one?", "two?", "three?"),
        "reward": asked_of("reward", "Two ?", "four?", "five?"),
        "rl": asked_of("rl", "One", "three?", "four?", "five?", "six?"),
        "benchmarks/first": asked_of("first", "ONE"),
        "transfer/second": asked_of("second", "one", "five"),
    }
    removed = questions.decontaminate(sets)
    assert [[row.question for row in sets[name]] for name in questions.TRAINING] == [
        ["two?", "three?"],
        ["four?"],
        ["six?"],
    ]
    assert {name: (lost.questions, dict(lost.causes)) for name, lost in removed.items()} == {
        "mid": (1, {"first/exact": 1, "second/exact": 1}),
        "reward": (2, {"earlier set mid": 1, "second/exact": 1}),
        "rl": (4, {"first/exact": 1, "second/exact": 2, "earlier set mid": 1, "earlier set reward": 1}),
    }
    found = questions.numbers(sets, {"mid": {"empty": 0}, "benchmarks/first": {"not Latin": 2}}, removed)
    assert found == {
        "mid": 2,
        "reward": 1,
        "rl": 1,
        "benchmarks_first": 1,
        "transfer_second": 2,
        "benchmarks_first_dropped_not_Latin": 2,
        "mid_removed": 1,
        "mid_removed_first_exact": 1,
        "mid_removed_second_exact": 1,
        "reward_removed": 2,
        "reward_removed_earlier_set_mid": 1,
        "reward_removed_second_exact": 1,
        "rl_removed": 4,
        "rl_removed_first_exact": 1,
        "rl_removed_second_exact": 2,
        "rl_removed_earlier_set_mid": 1,
        "rl_removed_earlier_set_reward": 1,
    }
