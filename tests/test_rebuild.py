"""`polya rebuild`: from what a run was kept with come its reports, byte for byte, and from anything else others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from polya_midtrain import cli, params, paths
from polya_midtrain.runtime.stage import write_metrics
from polya_midtrain.stages import claims, figures, page, tables
from polya_midtrain.tables.registry import TABLES
from polya_midtrain.tools import keep

ROOT = Path(__file__).resolve().parents[1]
KEPT = Path("reports/mine")


@pytest.fixture(scope="module")
def run(committed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed run's results with the reports that the code here makes of them, and few resamples."""
    folder = tmp_path_factory.mktemp("a run")
    shutil.copytree(committed / "results", folder / "results")
    (folder / "docs").mkdir()
    for path in (paths.CLAIMS, paths.RULES):
        shutil.copy(ROOT / path, folder / path)
    content = yaml.safe_load((committed / "params.yaml").read_text(encoding="utf-8"))
    content["tables"]["resamples"] = 100
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    (folder / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings = params.load()
        for name in TABLES:
            tables.run(settings, name)
        write_metrics("tables@main", {"seconds": 4321})  # which no other run takes
        claims.run(settings)
        figures.run(settings)
        page.run(settings)
    return folder


@pytest.mark.slow
def test_a_kept_run_is_rebuilt_and_a_changed_count_is_found(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run)
    assert cli.execute(["keep", "mine"]) == 0
    clone = tmp_path / "a clone"  # with nothing else in it
    shutil.copytree(KEPT, clone / KEPT)
    monkeypatch.chdir(clone)
    capsys.readouterr()
    assert cli.execute(["rebuild", "mine"]) == 0
    files = sum(path.is_file() for part in keep.REPORTS for path in (KEPT / part.name, *(KEPT / part.name).rglob("*")))
    assert capsys.readouterr().out == f"reports/mine: {files} of {files} files have the same bytes\n"

    counts = KEPT / paths.COUNTS / "n16.json"
    content = json.loads(counts.read_text(encoding="utf-8"))
    row = next(row for row in content["rows"] if row["phase"] == "after" and row["c"] > 0)
    row["c"] -= 1
    counts.write_text(json.dumps(content), encoding="utf-8")
    assert cli.execute(["rebuild", "mine"]) == 1
    said = capsys.readouterr().out
    for name in ("tables/main.csv", "tables/main.md", "index.html"):
        made = f".scratch/rebuild-mine/reports/{name}"
        assert f"reports/mine/{name}: not what is made from what was kept, {made}\n" in said
        assert Path(made).read_bytes() != (KEPT / name).read_bytes()
    assert "tables/modes.csv" not in said


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.parent.name for path in sorted(ROOT.glob(f"reports/*/{paths.RULES.name}"))])
def test_the_runs_that_git_keeps_are_rebuilt(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "reports" / name, tmp_path / "reports" / name)
    monkeypatch.chdir(tmp_path)
    assert cli.execute(["rebuild", name]) == 0


def test_what_cannot_be_rebuilt_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, why in (
        ("old", "reports/old/results: missing; restore it from git, or keep the run again: `polya keep NAME`"),
        ("tables", "reports/tables is where a run writes; take another name"),
        ("a/../../b", "'a/../../b' is no name of a folder in reports; take letters, digits, dots and dashes"),
    ):
        assert cli.execute(["rebuild", name]) == 2
        assert capsys.readouterr().err == f"polya: {why}\n"
