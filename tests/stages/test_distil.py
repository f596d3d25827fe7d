"""Stage distil: the teacher's answers to every mid-training question, checked."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.grading import verify
from polya_midtrain.params import Distil, Machine, Params, WorldSet
from polya_midtrain.records import Graded, Question, read_records, write_records
from polya_midtrain.stages import distil, questions

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_policy: Path) -> Params:
    """A project whose teacher answers 11 or 22 whatever it is asked, and whose golds are one of the two."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "data/heuristics", "data/heuristics")
    shutil.copytree(tiny_policy, paths.teacher(1))
    spec = WorldSet(source="world", task="chain", parts=[1], pool="seen", count=70)
    rows = questions.world_set("mid", spec, 1, set(), spec.count)
    write_records(paths.MID, Question, [replace(row, answer=["11", "22"][i % 2]) for i, row in enumerate(rows)])
    paths.PROMPTS.mkdir()
    paths.MID_PROMPTS.write_text("[]")
    params = settings.load(ROOT / "profiles/smoke.yaml")
    small = Distil(samples=3, temperature=1.0, top_p=1.0, max_tokens=11, rows=64, seed=1)
    return params.model_copy(update={"bases": [{}], "distil": small, "machine": Machine(device="cpu", workers=1)})


def test_every_answer_is_kept_with_its_verdict(asked: Params) -> None:
    distil.run(asked)
    rows = read_records(paths.DISTILLED, Graded)
    golds = {row.id: row for row in read_records(paths.MID, Question)}
    assert [(row.question_id, row.sample) for row in rows] == [(name, i) for name in golds for i in range(3)]
    assert {row.heuristic for row in rows} == {""}
    assert {row.correct for row in rows} == {True, False}
    for row in rows:
        assert row.correct is verify(row.text, golds[row.question_id].answer, "maths").correct
    numbers = json.loads((paths.METRICS / "distil.json").read_text())
    assert numbers["completions"] == len(rows) == 210
    assert numbers["correct"] == sum(row.correct for row in rows)
    assert numbers["tokens"] == sum(row.tokens for row in rows)
    assert numbers["truncated"] == round(sum(row.finish == "length" for row in rows) / 210, 6)
    first = paths.DISTILLED.read_bytes()
    distil.run(asked)
    assert paths.DISTILLED.read_bytes() == first
