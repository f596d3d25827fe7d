"""The README's ledger and result table: made from a kept run's reports, and not stale."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from polya_midtrain import cli, paths, start
from polya_midtrain.errors import UserError
from polya_midtrain.ledger import schema
from polya_midtrain.params import yamlfile
from polya_midtrain.tables import readme_table
from polya_midtrain.tables.readme_table import marks
from polya_midtrain.tables.row import Row
from polya_midtrain.tables.shared import render

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
    profile = yamlfile.content(cli.KEPT / "params.yaml")["profile"]
    assert not readme_table.inject(Path(copy), cli.KEPT, profile), "README.md is stale: run `polya readme`"


def test_the_committed_claims_of_reproduce_are_those_of_the_committed_run(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path("REPRODUCE.md").read_text(encoding="utf-8")
    for path in Path("reports/tables").iterdir():
        path.write_text("of another run, which git does not have")
    assert start.main(["readme"]) == 0
    said = capsys.readouterr().out
    for name in ("REPRODUCE.md", "docs/preregistration.md"):
        assert f"{name}: tables are up to date" in said, f"{name} is stale: run `polya readme`"
    parts = [f"{name}{letter}" for name, claim in schema.load(paths.CLAIMS).claims.items() for letter in claim.parts]
    assert list(dict.fromkeys(re.findall(r"^\| (C\w+) \|", text, re.MULTILINE))) == parts
    ledger = {
        line["claim"]: line
        for line in csv.DictReader(Path("reports/claims.csv").read_text(encoding="utf-8").splitlines())
    }
    for part, number in re.findall(r"^\| (C\w+) \| .* \| ([+-][\d.]+) \| [^|]+ \|$", text, re.MULTILINE):
        assert f"{float(ledger[part]['ours']):+.3f}" == number
    Path("REPRODUCE.md").write_text(re.sub(r"[+-]0\.\d+", "+0.000", text), encoding="utf-8")
    assert start.main(["readme"]) == 0
    assert "REPRODUCE.md: tables renewed" in capsys.readouterr().out
    assert Path("REPRODUCE.md").read_text(encoding="utf-8") == text


def test_without_git_no_document_is_renewed(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(".git")
    assert start.main(["readme"]) == 2
    assert "git has no finished run; run this in a checkout of the project" in capsys.readouterr().err


@pytest.fixture
def repository(committed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What `polya readme` reads, staged in a repository of its own, in which the test is."""
    for name in ("README.md", "REPRODUCE.md", "claims.yaml", "docs/preregistration.md", "params.yaml", "dvc.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(committed / name, tmp_path / name)
    for name in ("results/metrics", "reports"):
        shutil.copytree(committed / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *words], check=True)
    return tmp_path
