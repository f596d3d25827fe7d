"""The README's ledger and result table: made from a kept run's reports, and not stale."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from polya_midtrain import cli, params, paths, start
from polya_midtrain.errors import UserError
from polya_midtrain.ledger import schema
from polya_midtrain.tables import readme_table
from polya_midtrain.tables.readme_table import marks
from polya_midtrain.tables.row import Row
from polya_midtrain.tables.shared import render
from polya_midtrain.verify import claims_table

BLANK = "\n\n".join("\n".join(marks(name)) for name in ("ledger", "main")) + "\n"
LEDGER = """# What a run of profile tiny says

**1 claim: 1 inconclusive**

| claim | verdict |
| --- | --- |
| C1 | inconclusive |

**Their parts**

| part | why |
"""


def row(arm: str, phase: str, k: int, value: float, seeds: str = "1+2", **difference: float | str) -> Row:
    low, high = value - 0.1, value + 0.1
    fixed = ("share", 12, 72, seeds, None, "bootstrap over questions and seeds")
    return Row(arm, phase, "mean", "pass@k", k, value, low, high, *fixed, **difference)  # type: ignore[arg-type]


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    better = {"diff": 0.125, "diff_low": 0.05, "diff_high": 0.2, "p_holm": 0.012, "significant": "yes"}
    after = [
        row("vanilla", "after", 1, 0.3),
        row("vanilla", "after", 64, 0.5),
        row("n4", "after", 1, 0.4, seeds="1"),
        row("n4", "after", 1, 0.41),
        row("n4", "after", 8, 0.55),
        row("n4", "after", 64, 0.625, seeds="2"),
        row("n4", "after", 64, 0.6250, **better),
    ]
    before = [row(arm, "before", k, 0.2) for arm in ("vanilla", "n4") for k in (1, 64)]
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "main.csv").write_text(render.csv_text(after), encoding="utf-8")
    (folder / "midtrain.csv").write_text(render.csv_text(before), encoding="utf-8")
    (tmp_path / "claims.md").write_text(LEDGER, encoding="utf-8")
    return folder


def test_they_stand_between_their_markers_and_nothing_else_changes(tables: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    (begin, end), (after, last) = marks("ledger"), marks("main")
    readme.write_text(f"# Title\n\n{begin}\nold\n{end}\n\n{after}\nold\n{last}\n\nmore | text\n", encoding="utf-8")
    assert readme_table.inject(readme, tmp_path, "tiny")
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"# Title\n\n{begin}\n**1 claim: 1 inconclusive**\n\n| claim | verdict |")
    assert f"| C1 | inconclusive |\n{end}\n\n{after}\n| arm | " in text
    assert text.endswith(f"\n{last}\n\nmore | text\n")
    assert "old" not in text
    assert "part" not in text
    assert not readme_table.inject(readme, tmp_path, "tiny")  # a second time there is nothing to do
    assert readme.read_text(encoding="utf-8") == text


def test_it_shows_the_pooled_means_before_and_after(tables: Path) -> None:
    lines = readme_table.build(tables, "tiny").splitlines()
    header, cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], lines[3]))
    assert header == [
        "arm",
        "pass@1 before RL",
        "pass@1 after RL",
        "pass@64 before RL",
        "pass@64 after RL",
        "after RL, less vanilla: pass@64",
        "Holm p",
        "significant",
    ]
    assert cells == [
        "n4",
        "0.200 [0.100, 0.300]",
        "0.410 [0.310, 0.510]",
        "0.200 [0.100, 0.300]",
        "0.625 [0.525, 0.725]",
        "0.125 [0.050, 0.200]",
        "0.012",
        "yes",
    ]
    assert lines[2].split("|")[1].strip() == "vanilla"
    assert lines[2].endswith("| - | - | - |")
    assert "Profile tiny" in lines[-1]


def test_missing_files_markers_and_columns_are_one_line_errors(tables: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    with pytest.raises(UserError, match=r"README.md: no such file"):
        readme_table.inject(readme, tmp_path, "tiny")
    readme.write_text("no markers\n", encoding="utf-8")
    with pytest.raises(UserError, match="must be there once"):
        readme_table.inject(readme, tmp_path, "tiny")
    readme.write_text(BLANK, encoding="utf-8")
    (tables / "midtrain.csv").write_text(render.csv_text([row("vanilla", "before", 1, 0.2)]), encoding="utf-8")
    with pytest.raises(UserError, match=r"midtrain.csv: no pooled mean of arm 'vanilla'"):
        readme_table.inject(readme, tmp_path, "tiny")
    (tables / "main.csv").write_text("arm,k\nn4,1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"main.csv:1: its columns are not those of the long format"):
        readme_table.inject(readme, tmp_path, "tiny")
    (tables / "main.csv").write_text(render.csv_text([]), encoding="utf-8")
    with pytest.raises(UserError, match=r"main.csv:1: no mean pass@k rows"):
        readme_table.inject(readme, tmp_path, "tiny")
    (tables / "main.csv").unlink()
    with pytest.raises(UserError, match=r"main.csv: missing; run `dvc repro tables@main`"):
        readme_table.inject(readme, tmp_path, "tiny")
    (tmp_path / "claims.md").write_text("# A title\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"claims.md:1: no line \*\*Their parts"):
        readme_table.inject(readme, tmp_path, "tiny")
    (tmp_path / "claims.md").unlink()
    with pytest.raises(UserError, match=r"claims.md: missing; run `dvc repro claims`"):
        readme_table.inject(readme, tmp_path, "tiny")
    assert readme.read_text(encoding="utf-8") == BLANK


def test_the_committed_readme_shows_the_kept_run(
    committed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(committed)
    copy = shutil.copy("README.md", tmp_path)
    profile = params.load(cli.KEPT / "params.yaml").profile
    assert not readme_table.inject(Path(copy), cli.KEPT, profile), "README.md is stale: run `polya readme`"


def test_the_committed_claims_of_reproduce_are_those_of_the_committed_run(
    committed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(committed)
    copy = Path(shutil.copy("REPRODUCE.md", tmp_path))
    before = without_minutes(copy.read_text(encoding="utf-8"))
    claims_table.inject(copy, Path())
    text = copy.read_text(encoding="utf-8")
    assert without_minutes(text) == before, "REPRODUCE.md is stale: run `polya readme`"
    parts = [f"{name}{letter}" for name, claim in schema.load(paths.CLAIMS).claims.items() for letter in claim.parts]
    assert list(dict.fromkeys(re.findall(r"^\| (C\w+) \|", text, re.MULTILINE))) == parts
    # The number of a claim is the ledger's, and lies in the range that is held beside it.
    for part, number, low, high in re.findall(
        r"^\| (C\w+) \| .* \| ([+-][\d.]+) \| ([+-][\d.]+) to ([+-][\d.]+) \|$", text, re.MULTILINE
    ):
        assert float(low) <= float(number) <= float(high), part


def without_minutes(text: str) -> str:
    """REPRODUCE.md without what a run of the same results on another machine changes in it."""
    shown, lines = re.subn(r"^(\| C\w+ \|.*` \|) \d+ \|", r"\1", text, flags=re.MULTILINE)
    assert lines > 10
    return shown


def test_a_run_that_git_does_not_have_renews_no_document(
    committed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = ("README.md", "REPRODUCE.md")
    for name in (*documents, "claims.yaml", "params.yaml", "dvc.lock"):
        shutil.copy(committed / name, tmp_path)
    for name in ("expected", "results/metrics", "reports/tables", "reports/study"):
        shutil.copytree(committed / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    before = {name: Path(name).read_text(encoding="utf-8") for name in documents}

    def refused(words: str) -> None:
        assert start.main(["readme"]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"polya: {words}")
        assert said.count("\n") == 1
        assert {name: Path(name).read_text(encoding="utf-8") for name in documents} == before

    refused("git does not say whether the run here is the committed one; run this in a git checkout of the project")
    subprocess.run(["git", "init", "-q"], check=True)
    refused("dvc.lock: not as git has it, so")
    subprocess.run(["git", "add", "."], check=True)
    assert start.main(["readme"]) == 0
    capsys.readouterr()
    before |= {name: Path(name).read_text(encoding="utf-8") for name in documents}
    for path in Path("results/metrics").iterdir():
        numbers = json.loads(path.read_text())
        path.write_text(json.dumps(numbers | {"seconds": 60 + 7 * numbers["seconds"]}))
    refused("results/metrics/base.json: not as git has it, so")
    subprocess.run(["git", "add", "."], check=True)
    assert start.main(["readme"]) == 0
    assert "REPRODUCE.md: tables renewed" in capsys.readouterr().out
    assert without_minutes(Path("REPRODUCE.md").read_text()) == without_minutes(before["REPRODUCE.md"])
    assert Path("REPRODUCE.md").read_text() != before["REPRODUCE.md"]


def test_the_minutes_of_a_table_are_those_of_all_that_it_needs() -> None:
    stages = {
        "questions": {"outs": [{"path": "data/questions"}]},
        "train@a": {"deps": [{"path": "data/questions/mid.parquet"}], "outs": [{"path": "counts/a.json"}]},
        "train@b": {"deps": [{"path": "data/questions"}], "outs": [{"path": "counts/b.json"}]},
        "apart": {"deps": [{"path": "data/questions"}], "outs": [{"path": "countsx"}]},
        "tables@main": {"deps": [{"path": "counts"}, {"path": "src"}], "outs": [{"path": "main.csv"}]},
    }
    seconds = {"questions": 30.0, "train@a": 60.0, "train@b": 120.0, "apart": 600.0, "tables@main": 6.0}
    assert claims_table.minutes(stages, seconds, "tables@main") == pytest.approx(3.6)
    assert claims_table.minutes(stages, {"train@a": 90.0}, "train@a") == pytest.approx(1.5)
