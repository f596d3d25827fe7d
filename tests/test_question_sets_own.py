"""A question file of one's own that is not what it should be: one line with file and line, in bounded memory."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polya_midtrain.errors import UserError
from polya_midtrain.params import OwnFile
from polya_midtrain.question_sets import load, own
from polya_midtrain.records import Question, read_records

GOOD = '{"question": "1 + 1?", "answer": 2}\n'


def read(path: Path) -> list[Question]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return own.load(
        "questions.rl", OwnFile(source="file", path=path, sha256=digest, question="question", answer="answer")
    )


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert "; " in message  # a remedy
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"question,answer\n1 + 1?,2\n2 + 2?,4,5\n", ":3: not a row of CSV (3 fields and 2 columns)"),
        (b'question,answer\n"two\nlines?",2\n2 + 2?\n', ":4: not a row of CSV (1 fields and 2 columns)"),
        (b"\xef\xbb\xbfquestion,answer\n1 + 1?,2\n", ":1: begins with a byte order mark; save it as UTF-8 without one"),
        (b"question,answer\n1 + 1?,NaN\n", ":2: column 'answer' holds NaN, which no answer equals"),
        (b"question,answer\n1 + 1?,-Infinity\n", ":2: column 'answer' holds -Infinity, which no answer equals"),
        (b"question,question,answer\n1,2,3\n", ":1: not a row of CSV (column 'question' is there twice)"),
        (b'question,answer\n1?,1\n"2?,2\n3?,3\n', ":3: not a row of CSV (unexpected end of data)"),
        (b"question,answer\n1?,1\n\xff,2\n", ":3: not a CSV file (invalid start byte in UTF-8)"),
        (b'question,answer\n"' + b"x" * 200_000 + b'",2\n', ":2: not a row of CSV (field larger than field limit"),
    ],
)
def test_a_row_of_csv_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    assert refusal(path).startswith(said)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"question": "?", "answer": NaN}', "column 'answer' holds nan, which no answer equals"),
        ('{"question": "?", "answer": -Infinity}', "column 'answer' holds -inf, which no answer equals"),
        ('{"question": "?", "answer": 1e999}', "column 'answer' holds inf, which no answer equals"),
        ('{"question": "?", "answer": "nan"}', "column 'answer' holds nan, which no answer equals"),
        ('{"question": "half a pair: \\ud83d", "answer": 1}', "not valid JSON ('utf-8' codec can't encode"),
        ("[" * 100_000, "not valid JSON (maximum recursion depth exceeded"),
        ('{"question": "?", "answer": ' + "9" * 5000 + "}", "not valid JSON (Exceeds the limit"),
        ("\ufeff" + GOOD.strip(), "begins with a byte order mark; save it as UTF-8 without one"),
    ],
)
def test_a_line_of_json_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "mine.jsonl"
    first = "" if line.startswith("\ufeff") else GOOD
    path.write_text(first + line + "\n", encoding="utf-8")
    assert refusal(path).startswith(f":{1 + bool(first)}: {said}")


def test_what_is_text_and_a_number_stays(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [("a whole pair: 😀", 1e300), ("?", 10**400), ("ln", "\\infty"), ("who?", "Nan"), ("x", 1e15)]
    path.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in rows if a != "Nan"))
    assert [(row.question, row.answer) for row in read(path)] == [
        ("a whole pair: 😀", "1e+300"),
        ("?", "1" + "0" * 400),
        ("ln", "\\infty"),
        ("x", "1000000000000000"),
    ]


def test_a_gzip_file_is_unpacked_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.jsonl.gz"
    path.write_bytes(gzip.compress(GOOD.encode()))
    assert [row.answer for row in read(path)] == ["2"]
    monkeypatch.setattr(load, "UNPACKED", 1 << 20)
    path.write_bytes(gzip.compress(b" " * (64 << 20)))
    assert refusal(path) == ": more than 1 MiB when unpacked; take a part of it"


def test_a_parquet_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"question": ["?"] * 1000, "answer": [float("nan")] * 1000}), path)
    assert refusal(path).startswith(":1: column 'answer' holds nan, which no answer equals")
    whole = path.read_bytes()
    for broken in (bytes(len(whole)), whole[: len(whole) // 2], b"", whole[:8] + bytes(200) + whole[208:]):
        path.write_bytes(broken)
        assert refusal(path).startswith(": not a parquet file (")
        with pytest.raises(UserError, match=r"not a file of Question rows \(.+; delete it and run `dvc repro` again$"):
            read_records(path, Question)
    path.write_bytes(whole)
    monkeypatch.setattr(load, "ROWS", 999)
    assert refusal(path) == ": 1000 rows; take 999 of them at most"
