"""Minerva and HMMT: rows of the published form, made up here: no folder with the sets can be counted on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polya_midtrain.errors import UserError
from polya_midtrain.grading import grade_many
from polya_midtrain.params import FileSet
from polya_midtrain.question_sets.adapters import ADAPTERS
from polya_midtrain.question_sets.load import load, provenance
from polya_midtrain.question_sets.rows import parse_minerva

MINERVA = [
    {"question": "How long, in seconds, does light take over $3$ m?", "answer": "1e-8"},
    {"question": "Differentiate $x^2$.", "answer": " 2 x "},
]
HMMT = [
    {"problem_idx": 1, "problem": "How many primes are below 10?", "answer": "4", "problem_type": ["Number Theory"]},
    {"problem_idx": 2, "problem": "Half of $\\pi$?", "answer": "\\frac{\\pi}{2}", "problem_type": ["Algebra"]},
]


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    """The set's local file."""
    file = folder / ADAPTERS[name].splits["test"].files[0].path
    file.parent.mkdir(parents=True)
    if file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.mark.parametrize("name", ["minerva", "hmmt25"])
def test_a_set_is_read_whole(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, MINERVA if name == "minerva" else HMMT)
    found = [(row.id, row.question, row.answer, row.kind) for row in load(name, "test", tmp_path)]
    assert (
        found
        == {
            "minerva": [
                ("minerva/test/0", MINERVA[0]["question"], "1 \\times 10^{-8}", "maths"),
                ("minerva/test/1", MINERVA[1]["question"], "2 x", "maths"),
            ],
            "hmmt25": [
                ("hmmt25/test/1", HMMT[0]["problem"], "4", "maths"),
                ("hmmt25/test/2", HMMT[1]["problem"], "\\frac{\\pi}{2}", "maths"),
            ],
        }[name]
    )
    assert [entry["published"] for entry in provenance(name, "test", tmp_path)] == [None]  # there is no sum to compare
    FileSet.model_validate({"source": name, "split": "test"})


@pytest.mark.parametrize(
    ("published", "said", "right"),
    [
        ("2.26e-10", "2.26 \\times 10^{-10}", True),
        ("2.26e-10", "2.27 \\times 10^{-10}", False),
        ("-3e+08", "-300000000", True),
        ("7.02E5", "7.02 \\cdot 10^5", True),
        ("e", "e", True),
        ("2e", "2e", True),
    ],
)
def test_a_gold_in_powers_of_ten_is_graded_as_one(published: str, said: str, right: bool) -> None:
    parsed = parse_minerva({"question": "?", "answer": published})
    [verdict] = grade_many([(f"So it is \\boxed{{{said}}}.", parsed.answer, "maths")], 1)
    assert verdict.correct is right


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("minerva", {"question": None}, "column 'question' is missing or null"),
        ("minerva", {"answer": None}, "column 'answer' is missing or null"),
        ("minerva", {"answer": " "}, "column 'answer' is empty: a question without an answer"),
        ("minerva", {"answer": 3.5}, "column 'answer' holds float, not text"),
        ("hmmt25", {"problem": None}, "column 'problem' is missing or null"),
        ("hmmt25", {"answer": ""}, "column 'answer' is empty: a question without an answer"),
        ("hmmt25", {"problem_idx": None}, "column 'problem_idx' is missing or null"),
        ("hmmt25", {"problem_idx": "x"}, "column 'problem_idx' holds 'x', not an integer"),
    ],
)
def test_a_row_that_is_not_as_published_is_named(tmp_path: Path, name: str, change: dict[str, Any], what: str) -> None:
    rows: list[dict[str, Any]] = MINERVA if name == "minerva" else HMMT
    file = write(tmp_path, name, [rows[0] | change])
    with pytest.raises(UserError) as caught:
        load(name, "test", tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{file}:1: {what}")
    assert message.endswith("; restore the published set")
    assert "\n" not in message
