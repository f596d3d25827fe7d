"""Catalogues of heuristics: what is refused, and that a fault is one line with file and line number."""

from __future__ import annotations

from pathlib import Path

import pytest

from polya_midtrain import grading
from polya_midtrain.errors import UserError
from polya_midtrain.prompting import heuristics

ROOT = Path(__file__).resolve().parents[1]
CATALOGUES = sorted((ROOT / "data/heuristics").glob("*.yaml"))

GOOD = """\
# a comment, so that lines count from the file's start
plain:
  - question: "1+1?"
    response: "It is \\\\boxed{2}."
    answer: "2"
heuristics:
  - id: draw
    name: Draw a figure
    idea: See it.
    instruction: Draw first.
  - id: guess_1
    name: Guess
    idea: Try.
    instruction: Guess first.
    exemplars:
      - question: "2+2?"
        response: "Say \\\\boxed{4}."
        answer: "4"
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "heuristics.yaml"
    path.write_text(GOOD)
    return path


def test_a_catalogue_is_read_in_its_order(catalogue: Path) -> None:
    found = heuristics.load(catalogue)
    assert found.first(2) == ["draw", "guess_1"]
    assert found.first(1) == ["draw"]
    assert found.get("guess_1").exemplars[0].answer == "4"
    assert found.get("draw").exemplars == []
    assert found.plain[0].response == "It is \\boxed{2}."


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("    name: Guess\n", "", 11, "heuristics.1.name: missing; add it"),
        (
            "    idea: See it.",
            "    idee: See it.",
            9,
            "heuristics.0.idee: no such setting; correct its name or remove it",
        ),
        ("    idea: See it.", "    idea: See it.\n    idee: x", 10, "heuristics.0.idee: no such setting"),
        ("id: guess_1", "id: Guess 1", 11, "heuristics.1.id: "),
        ("id: guess_1", "id: draw", 6, "heuristics: heuristic 'draw' is listed twice; rename or remove one"),
        ("instruction: Draw first.", "instruction: ''", 10, "heuristics.0.instruction: "),
        ('        answer: "4"', '        answer: ""', 18, "heuristics.1.exemplars.0.answer: "),
        ('        answer: "4"', "        answer: 4", 18, "heuristics.1.exemplars.0.answer: "),
        ("    idea: Try.", "    idea: Try.\n    idea: Try again.", 14, "idea is there twice; remove one of the two"),
        ("    idea: Try.", "   idea: Try.", 13, "not valid YAML"),
        ("plain:", "plain", 3, "not valid YAML"),
        (GOOD, "heuristics: []\n", 1, "heuristics: "),
        (GOOD, "- draw\n- guess\n", 1, "expected a mapping"),
        (GOOD, "", 1, "expected a mapping"),
    ],
)
def test_a_fault_is_one_line_that_says_where(catalogue: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    catalogue.write_text(GOOD.replace(old, new))
    with pytest.raises(UserError) as caught:
        heuristics.load(catalogue)
    message = str(caught.value)
    assert "\n" not in message
    place, said = message.removeprefix(f"{catalogue}:").split(": ", 1)
    assert (int(place), said[: len(words)]) == (line, words)


def test_other_bytes_than_text_and_a_missing_file_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bytes.yaml"
    path.write_bytes(b"heuristics: \xff\xfe")
    with pytest.raises(UserError, match=r"bytes.yaml:1: not UTF-8 text; save it as UTF-8$"):
        heuristics.load(path)
    with pytest.raises(UserError, match=r"absent.yaml: no such file; "):
        heuristics.load(tmp_path / "absent.yaml")


def test_more_heuristics_than_there_are_is_an_error_with_both_numbers(catalogue: Path) -> None:
    with pytest.raises(UserError, match=r"^params.yaml: 3 heuristics are asked for, but the catalogue has 2; lower "):
        heuristics.load(catalogue).first(3)


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_the_committed_catalogues_load_and_their_worked_examples_are_right(path: Path) -> None:
    found = heuristics.load(path)
    examples = [*found.plain, *(example for heuristic in found.heuristics for example in heuristic.exemplars)]
    verdicts = grading.grade_many([(example.response, example.answer, "maths") for example in examples], 1)
    wrong = [example.question for example, verdict in zip(examples, verdicts, strict=True) if not verdict.correct]
    assert wrong == []
