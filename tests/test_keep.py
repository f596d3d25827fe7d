"""`polya keep`: a finished run's reports, settings and lock file, with the machine and the time."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from polya_midtrain import cli, params
from polya_midtrain.errors import UserError
from polya_midtrain.tables.row import Row
from polya_midtrain.tables.shared import render
from polya_midtrain.tools import keep

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a finished run leaves it, in which the tests are."""
    folder = tmp_path
    for name in ("reports/tables", "reports/figures", "results/metrics"):
        (folder / name).mkdir(parents=True)
    row = Row("vanilla", "after", "mean", "pass@k", 1, 0.5, 0.4, 0.6, "share", 9, 9, "1+2", None, "bootstrap")
    table = render.csv_text([row])
    (folder / "reports/tables/main.csv").write_text(table)
    for name in ("figures/a.svg", "claims.csv", "claims.md", "index.html"):
        (folder / "reports" / name).write_text(name)
    for name, seconds in (("base", 100), ("rl@n1", 2000), ("rl@n2", 2200)):
        (folder / f"results/metrics/{name}.json").write_text(json.dumps({"seconds": seconds}))
    (folder / "params.yaml").write_text((ROOT / "profiles/tiny.yaml").read_text())
    (folder / "docs").mkdir()
    for name in ("claims.yaml", "docs/preregistration.md"):
        shutil.copy(ROOT / name, folder / name)
    outs = [{"path": "reports/tables/main.csv", "md5": hashlib.md5(table.encode()).hexdigest()}]
    (folder / "dvc.lock").write_text(yaml.safe_dump({"stages": {"tables@main": {"cmd": "c", "outs": outs}}}))
    monkeypatch.chdir(folder)
    return folder


def test_a_run_is_kept_whole(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["keep", "mine"]) == 0
    assert capsys.readouterr().out == "reports/mine: kept\n"
    kept = Path("reports/mine")
    for ours, theirs in (
        ("tables/main.csv", "reports/tables/main.csv"),
        ("figures/a.svg", "reports/figures/a.svg"),
        ("claims.csv", "reports/claims.csv"),
        ("claims.md", "reports/claims.md"),
        ("index.html", "reports/index.html"),
        ("results/metrics/base.json", "results/metrics/base.json"),
        ("params.yaml", "params.yaml"),
        ("claims.yaml", "claims.yaml"),
        ("preregistration.md", "docs/preregistration.md"),
        ("lock.yaml", "dvc.lock"),
    ):
        assert (kept / ours).read_bytes() == (finished / theirs).read_bytes()
    card = (kept / "RUN.md").read_text()
    assert card.startswith("# A run of profile tiny\n")
    assert "| bases | 2 |\n| training seeds | 1 |" in card
    assert "| time inside the stages | 1:12 (h:mm), one after the other; most of it in rl 1:10, base 0:02 |" in card
    assert re.search(r"\| machine \| .+, \d+ cores, .+, \d+ GB \|", card)
    assert re.search(r"\| computed \| device cpu; precision float32\b", card)
    (kept / "tables/left.csv").write_text("")
    keep.keep("mine")  # the new one replaces the old one
    assert not (kept / "tables/left.csv").exists()


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_changed_code_is_said(finished: Path) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(finished), *who, *arguments], check=True, capture_output=True)

    (finished / "src").mkdir()
    (finished / "src/x.py").write_text("1")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "x")
    (finished / "params.yaml").write_text((finished / "params.yaml").read_text() + "# mine\n")
    assert keep.changes() == ""
    (finished / "src/x.py").write_text("2")
    assert keep.changes() == ", with changes in src/x.py"
    assert re.search(r"\| commit \| [0-9a-f]{40}, with changes in src/x.py \|", keep.card(params.load()))


def test_what_is_no_finished_run_is_not_kept(finished: Path) -> None:
    for name in ("../mine", "a/b", ""):
        with pytest.raises(UserError, match="is no name of a folder in reports"):
            keep.keep(name)
    (finished / "results/metrics/base.json").write_text('{"seconds": null}')
    with pytest.raises(UserError, match=r"base.json:1: not the numbers of a stage"):
        keep.keep("mine")
    for name in ("tables", "figures", "index.html"):
        with pytest.raises(UserError, match=f"reports/{name} is where a run writes"):
            keep.keep(name)
    (finished / "reports/index.html").unlink()
    with pytest.raises(UserError, match=r"reports/index.html: missing; run `dvc repro`"):
        keep.keep("mine")
    (finished / "reports/tables/main.csv").write_text("other")
    with pytest.raises(UserError, match=r"main.csv: not what .*dvc.lock says was made"):
        keep.keep("mine")
    assert not Path("reports/mine").exists()
