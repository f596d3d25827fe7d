"""`polya check` says what a run would say hours later: wrong examples, bad question files, sets that cannot be made."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from polya_midtrain import start

ROOT = Path(__file__).resolve().parents[1]
Change = Callable[[dict[str, Any]], None]

EXEMPLAR = {"question": "2 + 2?", "response": "It is \\boxed{4}.", "answer": "4"}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with profile smoke as params.yaml, and the catalogue that it names."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "data/heuristics", "data/heuristics")


def checked(capsys: pytest.CaptureFixture[str], change: Change) -> tuple[int, str, str]:
    """Code, output and error of `polya check` with changed settings."""
    content = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text(encoding="utf-8"))
    change(content)
    Path("params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    code = start.main(["check"])
    said = capsys.readouterr()
    return code, said.out, said.err


def benchmark(**spec: Any) -> Change:
    return lambda content: content["questions"]["benchmarks"].update(mine=spec)


def file_of(name: str, text: str) -> dict[str, Any]:
    Path(name).write_text(text, encoding="utf-8")
    return {
        "source": "file",
        "path": name,
        "sha256": hashlib.sha256(Path(name).read_bytes()).hexdigest(),
        "question": "question",
        "answer": "answer",
    }


def refused(capsys: pytest.CaptureFixture[str], change: Change) -> str:
    code, _, error = checked(capsys, change)
    assert code == 2
    assert error.count("\n") == 1
    return error.removeprefix("polya: ")


def test_a_gold_that_is_no_number_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    spec = file_of("mine.csv", "question,answer\n2 + 2?,4\n2 + 3?,nan\n")
    assert refused(capsys, benchmark(**spec)).startswith(
        "mine.csv:3: column 'answer' holds nan, which no answer equals"
    )


def test_a_question_with_two_answers_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    spec = file_of("mine.csv", "question,answer\n2 + 2?,4\n$2+2$ ?,5\n2 + 3?,5\n")
    code, said, _ = checked(capsys, benchmark(**spec))
    assert code == 0
    assert "questions.benchmarks/mine: 2 rows are left out: the same question with different answers\n" in said


def test_a_file_whose_questions_all_have_two_answers_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    spec = file_of("mine.csv", "question,answer\n2 + 2?,4\n$2+2$ ?,5\n")
    assert "questions.benchmarks.mine: " in refused(capsys, benchmark(**spec))


def test_a_set_larger_than_what_there_is_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    change = benchmark(source="world", task="chain", pool="seen", parts=[1], count=9_000_000)
    assert "there are not 9000000 more problems of 1 parts in pool 'seen'" in refused(capsys, change)
    change = benchmark(source="world", task="chain", pool="seen", parts=[13], count=1)
    assert "questions.benchmarks.mine.parts.0: Input should be less than or equal to 12" in refused(capsys, change)
    change = benchmark(source="easy", steps=[1], count=100_001)
    assert "questions.benchmarks.mine.count: Input should be less than or equal to 100000" in refused(capsys, change)


def test_an_example_with_a_wrong_answer_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"id": "try_it", "name": "Try", "idea": "Try it.", "instruction": "Try it."}
    wrong = EXEMPLAR | {"answer": "5"}
    content = {"plain": [EXEMPLAR], "heuristics": [entry | {"exemplars": [EXEMPLAR, wrong]}]}
    text = yaml.safe_dump(content, sort_keys=False)
    Path("mine.yaml").write_text(text, encoding="utf-8")
    line = next(number for number, line in enumerate(text.splitlines(), 1) if "'5'" in line)

    def change(content: dict[str, Any]) -> None:
        content["prompts"]["catalogue"] = "mine.yaml"
        content["arms"] = {"vanilla": {"traces": "none"}, "n1": {"traces": "heuristics", "n": 1}}
        content["generate"]["heuristics"] = 1

    assert refused(capsys, change) == (
        f"mine.yaml:{line}: heuristics.0.exemplars.1.answer: its response does not reach '5' (wrong); "
        "correct one of the two\n"
    )


def test_the_project_s_own_settings_pass(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert start.main(["check"]) == 0
    assert capsys.readouterr().out.count("\n") == 1 + len(list(Path("profiles").glob("*.yaml")))
