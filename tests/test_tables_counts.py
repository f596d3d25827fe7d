"""Reading results/counts: what is refused, and with which line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polya_midtrain.errors import UserError
from polya_midtrain.results import counts

Document = dict[str, Any]
ARMS, BENCHMARKS, SEEDS = ["vanilla", "n4"], ["easy", "hard"], [1, 7]


def document(arm: str) -> Document:
    rows = [
        {
            "phase": phase,
            "seed": seed,
            "benchmark": benchmark,
            "question": f"{benchmark}-{number}",
            "n": 8,
            "c": (number + seed) % 8,
            "truncated": 1,
            "no_answer": 0,
        }
        for phase in ("after", "before")
        for seed in (7, 1)
        for benchmark in ("hard", "easy")
        for number in (2, 0, 1)
    ]
    return {"arm": arm, "samples": 8, "decoding": {"temperature": 1.0}, "rows": rows}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for arm in ARMS:
        save(tmp_path, arm, document(arm))
    return tmp_path


def save(folder: Path, arm: str, content: Document) -> None:
    (folder / f"{arm}.json").write_text(json.dumps(content, indent=0), encoding="utf-8")


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        counts.read(folder, ARMS, BENCHMARKS, SEEDS)
    message = str(caught.value)
    assert "\n" not in message
    assert "run `dvc repro`" in message
    return message


def test_counts_come_in_the_order_of_params_and_aligned_by_question(folder: Path) -> None:
    read = counts.read(folder, ARMS, BENCHMARKS, SEEDS)
    assert (read.arms, read.benchmarks, read.seeds, read.samples) == (("vanilla", "n4"), ("easy", "hard"), (1, 7), 8)
    assert set(read.cells) == {(a, p, b) for a in ARMS for p in ("before", "after") for b in BENCHMARKS}
    cell = read.cells["n4", "after", "hard"]
    assert cell.correct.tolist() == [[1, 2, 3], [7, 0, 1]]  # (seeds, questions): (number + seed) % 8
    assert cell.truncated.tolist() == [[1, 1, 1]] * 2
    assert cell.no_answer.tolist() == [[0, 0, 0]] * 2


def test_files_of_arms_that_params_does_not_name_are_ignored(folder: Path) -> None:
    (folder / "old.json").write_text("left over", encoding="utf-8")
    assert counts.read(folder, ARMS, BENCHMARKS, SEEDS).arms == ("vanilla", "n4")


def test_some_arms_and_some_sets_can_be_read_alone(folder: Path) -> None:
    read = counts.read(folder, ["n4"], ["hard"], [7])
    assert set(read.cells) == {("n4", phase, "hard") for phase in ("before", "after")}
    whole = counts.read(folder, ARMS, BENCHMARKS, SEEDS)
    assert read.cells["n4", "after", "hard"].correct.tolist() == whole.cells["n4", "after", "hard"].correct[1:].tolist()


def test_an_absent_arm_is_named(folder: Path) -> None:
    (folder / "n4.json").unlink()
    assert refusal(folder).startswith(f"{folder}/n4.json: missing, and arm 'n4' is in params.yaml")


def test_broken_json_is_refused_at_its_line(folder: Path) -> None:
    (folder / "n4.json").write_text('{"arm": "n4",\n "samples": 8,\n "rows" []}', encoding="utf-8")
    assert refusal(folder).startswith(f"{folder}/n4.json:3: not valid JSON")
    (folder / "n4.json").write_bytes(b'{"arm": "\xff"}')
    assert refusal(folder).startswith(f"{folder}/n4.json:1: not valid JSON")


def change(**fields: Any) -> Callable[[Document], None]:
    return lambda content: content["rows"][5].update(fields)


def repeat(content: Document) -> None:
    content["rows"].append(dict(content["rows"][5]))


@pytest.mark.parametrize(
    ("edit", "where", "what"),
    [
        (change(c=9), "rows.5", "n=8"),
        (change(c=6, no_answer=3), "rows.5", "n=8"),
        (change(truncated=9), "rows.5", "n=8"),
        (change(c=-1), "rows.5.c", "greater than or equal to 0"),
        (change(c="3"), "rows.5.c", "integer"),
        (change(phase="during"), "rows.5.phase", "before"),
        (change(colour="red"), "rows.5.colour", "not permitted"),
        (change(n=16), "rows.5.n", "samples are 8"),
        (repeat, "rows.24", "there twice"),
        (lambda content: content.pop("decoding"), "decoding", "required"),
        (lambda content: content.update(arm="n8"), "arm", "expected 'n4', found 'n8'"),
        (lambda content: content.update(rows=[]), "rows", "at least 1"),
    ],
)
def test_malformed_rows_are_refused_at_their_line(
    folder: Path, edit: Callable[[Document], None], where: str, what: str
) -> None:
    content = document("n4")
    edit(content)
    save(folder, "n4", content)
    message = refusal(folder)
    place, _, rest = message.removeprefix(f"{folder}/n4.json:").partition(": ")
    assert rest.startswith(f"{where}: ")
    assert what in rest
    line = (folder / "n4.json").read_text(encoding="utf-8").splitlines()[int(place) - 1]
    parts = where.split(".")
    field = parts[-1] if not parts[-1].isdigit() else None
    # The line is that of the field, or where there is none (a row, an absent field) that of what should hold it.
    assert field in line if field and field != "decoding" else line.startswith("{")


def test_a_file_that_the_line_finder_cannot_read_still_gives_one_line(folder: Path) -> None:
    (folder / "n4.json").write_text('{\n\t"arm": "n4"\n}', encoding="utf-8")  # a tab: JSON, but not YAML
    assert refusal(folder).startswith(f"{folder}/n4.json:1: samples: ")


def without(**fields: Any) -> Callable[[Document], None]:
    def edit(content: Document) -> None:
        content["rows"] = [row for row in content["rows"] if any(row[name] != value for name, value in fields.items())]

    return edit


def rename(content: Document) -> None:
    content["rows"][5]["question"] = "another"


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (without(seed=7), "0 questions for benchmark 'easy', phase before, seed 7"),
        (without(phase="after"), "0 questions for benchmark 'easy', phase after, seed 1"),
        (without(benchmark="hard"), "0 questions for benchmark 'hard', phase before, seed 1"),
        (without(benchmark="hard", phase="after", seed=7, question="hard-1"), "other questions than elsewhere"),
        (rename, "other questions than elsewhere"),
        (lambda content: content.update(decoding={"temperature": 0.7}), "differ from those of vanilla.json"),
    ],
)
def test_incomplete_or_incomparable_counts_are_refused(
    folder: Path, edit: Callable[[Document], None], what: str
) -> None:
    content = document("n4")
    edit(content)
    save(folder, "n4", content)
    message = refusal(folder)
    assert message.startswith(f"{folder}/n4.json: ")
    assert what in message
