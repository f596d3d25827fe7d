"""The README's result table: made from the CSVs, and not stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from polya_midtrain import params
from polya_midtrain.errors import UserError
from polya_midtrain.tables import readme_table, render
from polya_midtrain.tables.readme_table import BEGIN, END
from polya_midtrain.tables.row import Row

ROOT = Path(__file__).parent.parent


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
    (tmp_path / "main.csv").write_text(render.csv_text(after), encoding="utf-8")
    (tmp_path / "midtrain.csv").write_text(render.csv_text(before), encoding="utf-8")
    return tmp_path


def test_it_stands_between_the_markers_and_nothing_else_changes(tables: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nmore | text\n", encoding="utf-8")
    assert readme_table.inject(readme, tables, "tiny")
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"# Title\n\n{BEGIN}\n| arm | ")
    assert text.endswith(f"\n{END}\n\nmore | text\n")
    assert "old" not in text
    assert not readme_table.inject(readme, tables, "tiny")  # a second time there is nothing to do
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
        readme_table.inject(readme, tables, "tiny")
    readme.write_text("no markers\n", encoding="utf-8")
    with pytest.raises(UserError, match="must be there once"):
        readme_table.inject(readme, tables, "tiny")
    readme.write_text(f"{BEGIN}{END}", encoding="utf-8")
    (tables / "midtrain.csv").write_text(render.csv_text([row("vanilla", "before", 1, 0.2)]), encoding="utf-8")
    with pytest.raises(UserError, match=r"midtrain.csv: no pooled mean of arm 'vanilla'"):
        readme_table.inject(readme, tables, "tiny")
    (tables / "main.csv").write_text("arm,k\nn4,1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"main.csv:1: its columns are not those of the long format"):
        readme_table.inject(readme, tables, "tiny")
    (tables / "main.csv").write_text(render.csv_text([]), encoding="utf-8")
    with pytest.raises(UserError, match=r"main.csv:1: no mean pass@k rows"):
        readme_table.inject(readme, tables, "tiny")
    (tables / "main.csv").unlink()
    with pytest.raises(UserError, match=r"main.csv: missing; run `dvc repro tables@main`"):
        readme_table.inject(readme, tables, "tiny")
    assert readme.read_text(encoding="utf-8") == f"{BEGIN}{END}"


def test_the_committed_readme_shows_the_committed_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    readme, tables = ROOT / "README.md", Path("reports/tables")
    if not (ROOT / tables / "main.csv").exists():
        pytest.skip("no tables here: run `dvc repro`")
    monkeypatch.chdir(ROOT)
    profile = params.load().profile
    shown = readme.read_text(encoding="utf-8")
    if f"Profile {profile}:" not in shown:
        pytest.skip(f"the tables here are of profile {profile}, the README's of another")
    copy = tmp_path / "README.md"
    copy.write_text(shown, encoding="utf-8")
    assert not readme_table.inject(copy, tables, profile), "README.md is stale: run `polya readme`"
