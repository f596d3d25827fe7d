"""The adapters on the published files, and what a user reads when a file is not as published."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polya_midtrain.errors import UserError
from polya_midtrain.question_sets.adapters import ADAPTERS
from polya_midtrain.question_sets.load import load, provenance
from polya_midtrain.question_sets.rows import integer, parse_dapo, parse_math500, parse_olympiadbench

ROWS = {
    ("gsm8k", "train"): 7473,
    ("gsm8k", "test"): 1319,
    ("math500", "test"): 500,
    ("aime24", "test"): 30,
    ("aime25", "test"): 30,
    ("amc23", "test"): 40,
    ("olympiadbench", "test"): 675,  # one more than the hub's later version
    ("dapo", "train"): 17917,
}  # the sets of other kinds are in test_question_sets_transfer.py
NO_COPY = {"minerva", "hmmt25"}  # no published file to test on: rows of their form are in test_question_sets_hard.py


def test_every_split_has_its_row_count_here() -> None:
    maths = {name: adapter for name, adapter in ADAPTERS.items() if adapter.kind == "maths"}
    splits = {(name, split) for name, adapter in maths.items() for split in adapter.splits if name not in NO_COPY}
    assert set(ROWS) == splits
    for name, adapter in ADAPTERS.items():
        unhashed = [file for split in adapter.splits.values() for file in split.files if file.sha256 is None]
        assert bool(unhashed) is (name in NO_COPY)


def test_every_set_of_the_hub_is_read_at_a_pinned_commit() -> None:
    for name, adapter in ADAPTERS.items():
        assert re.fullmatch(r"[0-9a-f]{40}", adapter.revision), name
        for split in adapter.splits:
            assert provenance(name, split, None)[0]["revision"] == adapter.revision


@pytest.mark.parametrize(("name", "split"), list(ROWS))
def test_the_published_files_load_whole(public_sets: Path, name: str, split: str) -> None:
    questions = load(name, split, public_sets)
    assert len(questions) == ROWS[name, split]
    assert len({question.id for question in questions}) == len(questions)
    for question in questions:
        assert question.question.strip()
        assert question.answer == question.answer.strip() != ""
        assert (question.kind, question.source) == ("maths", name)
        assert question.id.startswith(f"{name}/{split}/")
    assert all(file["published"] for file in provenance(name, split, public_sets))


@pytest.mark.parametrize("name", ["gsm8k", "aime24", "aime25", "amc23", "dapo"])
def test_golds_of_integer_sets_are_plain_integers(public_sets: Path, name: str) -> None:
    for split in ADAPTERS[name].splits:
        answers = [question.answer for question in load(name, split, public_sets)]
        assert all(re.fullmatch(r"0|-?[1-9]\d*", answer) for answer in answers)


@pytest.mark.parametrize(
    ("name", "split", "own", "answer"),
    [
        ("gsm8k", "train", "0", "72"),
        ("gsm8k", "test", "2", "70000"),
        ("math500", "test", "test/precalculus/807.json", "\\left( 3, \\frac{\\pi}{2} \\right)"),
        ("aime24", "test", "0", "204"),
        ("aime25", "test", "15", "468"),  # the first of AIME II follows the last of AIME I
        ("amc23", "test", "0", "27"),
        ("olympiadbench", "test", "1664", "69,84"),  # two answers
        ("olympiadbench", "test", "2419", "166"),  # in square centimetres
        ("dapo", "train", "2", "-3"),
    ],
)
def test_rows_known_by_hand(public_sets: Path, name: str, split: str, own: str, answer: str) -> None:
    golds = {question.id: question.answer for question in load(name, split, public_sets)}
    assert golds[f"{name}/{split}/{own}"] == answer


def hub_layout(folder: Path, adapter_name: str, public_sets: Path, config: str | None) -> None:
    """A folder that `datasets` reads as it reads a hub repository."""
    adapter = ADAPTERS[adapter_name]
    files = [
        {"split": split.hub, "path": [Path(file.path).name for file in split.files]}
        for split in adapter.splits.values()
    ]
    for split in adapter.splits.values():
        for file in split.files:
            shutil.copy(public_sets / file.path, folder)
    card = {"configs": [{"config_name": config or "default", "data_files": files}]}
    (folder / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n")


@pytest.mark.parametrize("name", ["gsm8k", "math500", "amc23", "olympiadbench", "dapo"])
def test_hub_and_folder_give_the_same_questions(
    public_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    repository = tmp_path / "repository"
    repository.mkdir()
    adapter = ADAPTERS[name]
    hub_layout(repository, name, public_sets, adapter.hub_config)
    monkeypatch.setattr(
        "polya_midtrain.question_sets.load.ADAPTERS", {name: dataclasses.replace(adapter, hub_id=str(repository))}
    )
    split = next(iter(adapter.splits))
    assert load(name, split, None) == load(name, split, public_sets)


def test_the_processed_dapo_of_the_hub_holds_the_question_as_text() -> None:
    row = {"prompt": "How many?", "solution": "34", "reward_model": {"ground_truth": "34", "style": "rule"}}
    chat = {**row, "prompt": [{"content": "How many?", "role": "user"}]}
    assert parse_dapo(row) == parse_dapo(chat)
    assert (parse_dapo(row).question, parse_dapo(row).answer) == ("How many?", "34")


def test_several_answers_are_joined_and_escaped_dollars_stay() -> None:
    row = {"id": 1, "question": "?", "final_answer": ["$x=1$,$x=2$", "\\$3"]}
    assert parse_olympiadbench(row).answer == "x=1,x=2, \\$3"


@pytest.mark.parametrize("answer", ["", "  ", None])
def test_a_question_without_an_answer_is_refused(answer: str | None) -> None:
    row = {"problem": "?", "question": "?", "unique_id": "a", "id": 1, "answer": answer, "final_answer": [answer]}
    with pytest.raises(ValueError, match=r"column 'answer' is (empty: a question without an answer|missing or null)"):
        parse_math500(row)
    with pytest.raises(ValueError, match=r"column 'final_answer' holds (an empty text|\[None\], not a list of texts)"):
        parse_olympiadbench(row)


@pytest.mark.parametrize(
    ("value", "plain"), [("025", "25"), (27.0, "27"), (7, "7"), (" -3 ", "-3"), ("9" * 23, "9" * 23)]
)
def test_integer_golds(value: Any, plain: str) -> None:
    assert integer(value, "answer") == plain


@pytest.mark.parametrize("value", ["1.5", 0.5, "x", "", True, None, [1], "1_000", float("nan")])
def test_what_is_no_integer_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"column 'answer' holds .*, not an integer"):
        integer(value, "answer")


GOOD = '{"question": "1 + 1?", "answer": "sum #### 2"}'


@pytest.mark.parametrize(
    ("lines", "number", "what"),
    [
        ([GOOD, "{not json"], 2, "not valid JSON"),
        ([GOOD, "", "[1, 2]"], 3, "expected a JSON object"),
        ([GOOD, GOOD, '{"problem": "1 + 1?", "answer": "#### 2"}'], 3, "column 'question' is missing or null"),
        (['{"question": null, "answer": "#### 2"}'], 1, "column 'question' is missing or null"),
        (['{"question": 5, "answer": "#### 2"}'], 1, "column 'question' holds int, not text"),
        (['{"question": "?", "answer": "it is 2"}'], 1, "has no '####' before the gold"),
        (['{"question": "?", "answer": "#### two"}'], 1, "holds 'two', not an integer"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(tmp_path: Path, lines: list[str], number: int, what: str) -> None:
    file = tmp_path / "gsm8k" / "test.jsonl"
    file.parent.mkdir()
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load("gsm8k", "test", tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{file}:{number}: ")
    assert what in message
    assert "; restore the published" in message
    assert "\n" not in message


def write_dapo(folder: Path, rows: list[dict[str, Any]]) -> Path:
    file = folder / ADAPTERS["dapo"].splits["train"].files[0].path
    file.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"prompt": "?", "reward_model": {"ground_truth": "x"}}, "column 'ground_truth' holds 'x', not an integer"),
        ({"prompt": "?", "reward_model": "5"}, "not of the published form"),
        ({"prompt": [], "reward_model": {"ground_truth": "5"}}, "holds no message"),
        ({"prompt": "?", "answer": "5"}, "column 'reward_model' is missing"),
    ],
)
def test_a_malformed_parquet_row_is_named_by_its_number(tmp_path: Path, row: dict[str, Any], what: str) -> None:
    file = write_dapo(tmp_path, [row])
    with pytest.raises(UserError, match=f"^{re.escape(str(file))}:1: .*{what}"):
        load("dapo", "train", tmp_path)


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    file = write_dapo(tmp_path, [{"prompt": "?"}])
    file.write_text("not parquet")
    with pytest.raises(UserError, match=f"^{re.escape(str(file))}: not a parquet file"):
        load("dapo", "train", tmp_path)


def test_a_wrong_form_of_final_answer_is_named(tmp_path: Path) -> None:
    file = tmp_path / "olympiadbench" / "test.jsonl"
    file.parent.mkdir()
    file.write_text('{"id": 7, "question": "?", "final_answer": "5"}\n')
    with pytest.raises(UserError, match=r"test\.jsonl:1: column 'final_answer' holds '5', not a list of texts"):
        load("olympiadbench", "test", tmp_path)


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    for read in (load, provenance):
        with pytest.raises(UserError, match=r"test\.jsonl: no such file; point POLYA_DATA at the folder"):
            read("amc23", "test", tmp_path)


def test_a_changed_file_is_seen_in_the_provenance(tmp_path: Path) -> None:
    file = tmp_path / "gsm8k" / "test.jsonl"
    file.parent.mkdir()
    file.write_text(GOOD)
    assert [entry["published"] for entry in provenance("gsm8k", "test", tmp_path)] == [False]
    assert provenance("gsm8k", "test", None)[0]["hub"] == "openai/gsm8k"


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UserError, match="unknown source 'gsm9k'; the sources are gsm8k, math500"):
        load("gsm9k", "test", None)
    with pytest.raises(UserError, match="source gsm8k has no split 'dev'; choose train or test"):
        load("gsm8k", "dev", None)


def test_without_the_hub_one_line_says_what_to_do(tmp_path: Path) -> None:
    code = "from polya_midtrain.question_sets.load import load\nload('amc23', 'test', None)"
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    last = run.stderr.strip().splitlines()[-1]
    assert "UserError: math-ai/amc23: the hub cannot be read (" in last
    assert last.endswith("set POLYA_DATA to a folder with local copies of the public sets")
