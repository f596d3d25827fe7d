"""results/composition.json: read back as written, and refused with one line where it does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polya_midtrain.errors import UserError
from polya_midtrain.results import composition as results
from polya_midtrain.results.composition import FIELDS, Composition

FREQUENCY = {"chains": 3, "correct": 1, "by_seed": {"pairs": [2, 1]}, "by_question": {"pairs": [0, 1, 2]}}


def document() -> dict[str, Any]:
    """One arm, two seeds, three questions."""
    counts = {field: {"pairs": [[1, 2, 3], [4, 5, 6]]} for field in FIELDS} | {"distinct": 2}
    arm = {
        "midtraining": {"rows": 4, "questions": 2, "composed": 1, "combinations": {"a+b": 1}},
        "before": counts,
        "after": counts,
        "frequent": {"a+b": {"midtraining": 1, "before": FREQUENCY, "after": FREQUENCY}},
    }
    validation = {
        "label": "what the writer did",
        "habits": {"slip": 0.1},
        "chains": 5,
        "heuristics": {"a": [1, 2, 3]},
        "confused": {"a": {"": 3}},
        "composed": [1, 0, 2, 2],
    }
    return {
        "judge": "world",
        "samples": 9,
        "decoding": {"temperature": 1.0},
        "seeds": [1, 2],
        "benchmarks": {"pairs": {"questions": ["x", "y", "z"], "parts": None, "needs": None, "single": 0}},
        "validation": validation,
        "arms": {"n2": arm},
    }


def read(tmp_path: Path, content: dict[str, Any], seeds: tuple[int, ...] = (1, 2)) -> Composition:
    path = tmp_path / "composition.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return results.read(path, ["n2"], ["pairs"], seeds)


def test_what_is_written_is_read_with_a_line_a_matrix(tmp_path: Path) -> None:
    found = Composition.model_validate(document())
    text = found.text()
    assert json.loads(text) == document()
    assert '\n     "pairs": [[1, 2, 3], [4, 5, 6]]\n' in text
    path = tmp_path / "composition.json"
    path.write_text(text, encoding="utf-8")
    assert results.read(path, ["n2"], ["pairs"], [1, 2]) == found
    assert results.read(path, [], ["pairs"], [1, 2]) == found  # more arms than are asked for


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found["arms"].update(n3=found["arms"].pop("n2")), r"arms\.n2: missing, and it is an arm"),
        (
            lambda found: found["benchmarks"].update(more=found["benchmarks"]["pairs"]),
            r"arm n2, before\.correct, more: ",
        ),
        (lambda found: found.pop("judge"), r"judge: Field required"),
        (lambda found: found.update(extra=1), r"extra: Extra inputs are not permitted"),
        (lambda found: found["arms"]["n2"].update(before={}), r"arms\.n2\.before\.correct: Field required"),
        (
            lambda found: found["arms"]["n2"]["after"].update(new={"pairs": [[1, 2], [4, 5, 6]]}),
            r"arm n2, before\.new, pairs: \(2, 2, 3\) counts, but seeds x questions are \(2, 3\)",
        ),
        (
            lambda found: found["arms"]["n2"]["frequent"]["a+b"].update(
                after=FREQUENCY | {"by_seed": {"pairs": [1, 2, 3]}}
            ),
            r"arm n2, a\+b, pairs: \(3, 3\) counts, but seeds x questions are \(2, 3\)",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    content = document()
    change(content)
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path}/composition.json:")
    assert str(caught.value).endswith("delete the file and run `dvc repro`")
    assert "\n" not in str(caught.value)


def test_another_studys_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"seeds: \[1, 2\], but params\.yaml has \[1, 3\]"):
        read(tmp_path, document(), (1, 3))
    with pytest.raises(UserError, match=r"benchmarks: \['pairs'\], but params\.yaml has \['triples'\]"):
        results.read(tmp_path / "composition.json", ["n2"], ["triples"], [1, 2])


def test_missing_and_garbled_files_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "composition.json"
    with pytest.raises(UserError, match=r"composition\.json: missing; run `dvc repro`$"):
        results.read(path, ["n2"], ["pairs"], [1, 2])
    path.write_text("{")
    with pytest.raises(UserError, match=r"composition\.json:1: not valid JSON"):
        results.read(path, ["n2"], ["pairs"], [1, 2])
