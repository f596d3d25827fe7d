"""HumanEval and MuSR: the published files, their rows, and their golds under the graders."""

from __future__ import annotations

import ast
import csv
import dataclasses
import gzip
import json
import re
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polya_midtrain.errors import UserError
from polya_midtrain.grading import grade_many
from polya_midtrain.params import FileSet
from polya_midtrain.question_sets.adapters import ADAPTERS
from polya_midtrain.question_sets.load import load, provenance
from polya_midtrain.question_sets.rows import parse_humaneval, parse_musr
from polya_midtrain.records import Question

Asked = list[tuple[Question, dict[str, str]]]  # each question with its published row
MUSR = {"musr_murder": 250, "musr_object": 256, "musr_team": 250}
STORY = {
    "narrative": "It rained. Tom went home.\n",
    "question": "Who is wet?",
    "choices": "['Ann', \"Tom's cat\"]",
    "answer_index": "1",
    "answer_choice": "Tom's cat",
}


@pytest.mark.parametrize(("name", "count"), [("humaneval", 164), *MUSR.items()])
def test_every_row_parses(public_sets: Path, name: str, count: int) -> None:
    questions = load(name, "test", public_sets)
    assert len(questions) == len({question.id for question in questions}) == count
    assert len({question.question for question in questions}) == count
    assert {question.kind for question in questions} == {"code" if name == "humaneval" else "choice"}
    assert {question.source for question in questions} == {name}
    assert all(file["published"] for file in provenance(name, "test", public_sets))
    FileSet.model_validate({"source": name, "split": "test"})


@pytest.mark.parametrize("name", MUSR)
def test_each_gold_of_musr_verifies_and_each_other_choice_fails(public_sets: Path, name: str) -> None:
    right, wrong = [], []
    for question in load(name, "test", public_sets):
        gold = json.loads(question.answer)
        texts = dict(zip("ABCDE", gold["choices"], strict=False))
        for letter, text in texts.items():
            same = texts[gold["answer"]] == text  # one row has a choice twice
            said = [f"\\boxed{{{letter}}}", f"\\boxed{{{text}}}", f"ANSWER: {text}", f"The answer is {letter}."]
            (right if same else wrong).extend((completion, question.answer, "choice") for completion in said)
    assert {verdict.reason for verdict in grade_many(right, 1)} == {"right"}
    assert {verdict.reason for verdict in grade_many(wrong, 1)} == {"wrong"}


@pytest.mark.parametrize("name", MUSR)
def test_a_musr_question_is_the_published_text_and_lettered_choices_only(public_sets: Path, name: str) -> None:
    file = public_sets / ADAPTERS[name].splits["test"].files[0].path
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for question, row in zip(load(name, "test", public_sets), rows, strict=True):
        choices = [choice.strip() for choice in ast.literal_eval(row["choices"])]
        lines = [f"{letter}. {choice}" for letter, choice in zip("ABCDE", choices, strict=False)]
        whole = "\n\n".join([row["narrative"].strip(), row["question"].strip(), "\n".join(lines)])
        assert question.question == whole
        assert json.loads(question.answer) == {"answer": "ABCDE"[int(row["answer_index"])], "choices": choices}


@pytest.fixture(scope="module")
def humaneval(public_sets: Path) -> Asked:
    """Each question with its published row."""
    with gzip.open(public_sets / "humaneval/HumanEval.jsonl.gz", "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    return list(zip(load("humaneval", "test", public_sets), rows, strict=True))


FORMS: dict[str, Callable[[dict[str, str]], str]] = {
    "a fence": lambda row: f"Here:\n\n```python\n{row['prompt']}{row['canonical_solution']}```\n\nIt works, I think.",
    "the whole, bare": lambda row: row["prompt"] + row["canonical_solution"],
    "without its first blanks": lambda row: row["canonical_solution"].strip(),
    "without its margin": lambda row: textwrap.dedent(row["canonical_solution"]),
    "going on": lambda row: row["canonical_solution"] + "\n\ndef more(x):\n    return x\n\nassert more(1) == 2",
}


def failing(asked: Asked, form: Callable[[dict[str, str]], str]) -> list[str]:
    items = [(form(row), question.answer, question.kind) for question, row in asked]
    return [q.id for (q, _), verdict in zip(asked, grade_many(items, workers=2), strict=True) if not verdict.correct]


def test_every_canonical_solution_passes(humaneval: Asked) -> None:
    assert failing(humaneval, lambda row: row["canonical_solution"]) == []


@pytest.mark.parametrize("form", FORMS)
def test_canonical_solutions_pass_in_any_form(humaneval: Asked, form: str) -> None:
    assert failing(humaneval[list(FORMS).index(form) :: 4], FORMS[form]) == []


def _returning(row: dict[str, str]) -> str:
    """The canonical solution, each value that it returns put into a list."""
    return re.sub(r"return\b(.*)", r"return [\1]", row["canonical_solution"].split("\n\n\n")[0]) + "\n    return [0]\n"


BROKEN: dict[str, tuple[Callable[[dict[str, str]], str], set[str]]] = {
    "no body": (lambda row: "    pass\n", {"wrong"}),
    "an object that equals all": (
        lambda row: "    class Any(str):\n        def __eq__(self, other): return True\n    return Any()",
        {"wrong"},
    ),
    "an exit": (lambda row: "    import os\n    os._exit(0)\n", {"wrong"}),
    "a syntax error": (lambda row: "    return (\n", {"no answer"}),
    "prose": (lambda row: "I would rather not write that function.", {"no answer"}),
    "another function": (lambda row: "```python\ndef somebody_elses(x):\n    return x\n```", {"wrong"}),
    "other returns": (_returning, {"wrong", "no answer"}),
}


@pytest.mark.parametrize("change", BROKEN)
def test_broken_solutions_fail(humaneval: Asked, change: str) -> None:
    broken, reasons = BROKEN[change]
    asked = humaneval if change == "no body" else humaneval[:: len(BROKEN) // 2]
    verdicts = grade_many([(broken(row), question.answer, question.kind) for question, row in asked], workers=2)
    assert [q.id for (q, _), verdict in zip(asked, verdicts, strict=True) if verdict.correct] == []
    assert {verdict.reason for verdict in verdicts} <= reasons
    assert sum(verdict.reason == "no answer" for verdict in verdicts) in {0, len(verdicts)}


def test_an_answer_to_another_question_fails(humaneval: Asked) -> None:
    shifted = [*humaneval[7:], *humaneval[:7]]
    pairs = list(zip(humaneval, shifted, strict=True))[::3]
    items = [(row["canonical_solution"], question.answer, question.kind) for (question, _), (_, row) in pairs]
    assert not any(verdict.correct for verdict in grade_many(items, workers=2))


@pytest.mark.parametrize("name", ["humaneval", "musr_object"])
def test_hub_and_folder_give_the_same_questions(
    public_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The hub's rows: typed columns, and HumanEval as parquet."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    adapter = ADAPTERS[name]
    split, repository = adapter.splits["test"], tmp_path / "hub"
    repository.mkdir()
    source = public_sets / split.files[0].path
    if source.suffix == ".gz":
        rows = [json.loads(line) for line in gzip.decompress(source.read_bytes()).splitlines()]
        pq.write_table(pa.Table.from_pylist(rows), repository / "rows.parquet")
    else:
        shutil.copy(source, repository / "rows.csv")
    files = [{"split": split.hub, "path": "rows.*"}]
    card = {"configs": [{"config_name": "default", "data_files": files}]}
    (repository / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    local = dataclasses.replace(adapter, hub_id=str(repository))
    monkeypatch.setattr("polya_midtrain.question_sets.load.ADAPTERS", {name: local})
    assert load(name, "test", None) == load(name, "test", public_sets)


def test_a_row_of_musr() -> None:
    parsed = parse_musr(STORY)
    assert parsed.question == "It rained. Tom went home.\n\nWho is wet?\n\nA. Ann\nB. Tom's cat"
    assert json.loads(parsed.answer) == {"answer": "B", "choices": ["Ann", "Tom's cat"]}
    assert parse_musr({**STORY, "choices": ["Ann", "Tom's cat"], "answer_index": 1}) == parsed


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"choices": "Ann, Tom"}, "column 'choices' holds 'Ann, Tom', not a list"),
        ({"choices": "__import__('os')"}, "column 'choices' holds .*, not a list"),
        ({"choices": []}, r"column 'choices' holds \[\], not a list of texts"),
        ({"choices": [1, 2]}, "not a list of texts"),
        ({"answer_index": 0}, "column 'answer_index' holds 0, which is not the place of 'answer_choice'"),
        ({"answer_index": 2}, "column 'answer_index' holds 2"),
        ({"answer_index": "x"}, "column 'answer_index' holds 'x', not an integer"),
        ({"narrative": None}, "column 'narrative' is missing or null"),
    ],
)
def test_a_malformed_row_of_musr_says_why(change: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parse_musr({**STORY, **change})


def test_a_malformed_row_of_humaneval_says_why() -> None:
    with pytest.raises(ValueError, match="column 'test' is missing or null"):
        parse_humaneval({"task_id": "HumanEval/0", "prompt": "def f():\n", "entry_point": "f"})


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("humaneval", b"not gzip", "not a gzip file"),
        ("humaneval", gzip.compress(b"{}\n", mtime=0)[:-4], "not a gzip file"),
        ("humaneval", gzip.compress(b"{}\n", mtime=0), "column 'prompt' is missing or null"),
        ("musr_team", b"narrative,question\n\xff,x\n", "not a CSV file"),
        ("musr_team", b"narrative,question\na,b\n", "column 'choices' is missing or null"),
    ],
)
def test_a_broken_file_is_named_in_one_line(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    file = tmp_path / ADAPTERS[name].splits["test"].files[0].path
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load(name, "test", tmp_path)
    assert str(caught.value).startswith(str(file))
    assert what in str(caught.value)
    assert str(caught.value).endswith(("restore the published file", "restore the published set"))
    assert "\n" not in str(caught.value)
