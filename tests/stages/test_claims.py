"""Stage claims: the ledger's files from claims.yaml and the tables, and what it refuses."""

from __future__ import annotations

import csv
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.ledger import schema
from polya_midtrain.params import Params
from polya_midtrain.stages import claims
from polya_midtrain.tables.row import Row
from polya_midtrain.tables.shared import render

ROOT = Path(__file__).resolve().parents[2]
PARAMS = settings.load(ROOT / "profiles/smoke.yaml")
POOLED = "+".join(str(seed) for seed in PARAMS.runs)
BETTER = {
    "kind": "compare",
    "table": "main",
    "metric": "pass@k",
    "column": "diff",
    "k": "largest",
    "arm": {"group": "heuristics"},
    "reference": {"group": "vanilla"},
    "direction": "up",
}
ROW = Row(
    arm="n4",
    phase="after",
    benchmark="mean",
    metric="pass@k",
    k=64,
    value=0.5,
    low=0.4,
    high=0.6,
    unit="share",
    n_questions=36,
    n_samples=72,
    seeds=POOLED,
    paper=None,
    method="bootstrap",
    diff=0.1,
    diff_low=0.02,
    diff_high=0.2,
    p_holm=0.02,
    p=0.02,
)


def part(test: dict[str, Any]) -> dict[str, Any]:
    paper = {"value": "0.1", "source": "A", "size": 0.1}
    sesoi = {"size": 0.05, "why": "it is small"}
    return {"role": "primary", "statement": "Heuristics help.", "paper": paper, "sesoi": sesoi, "test": test}


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two claims, one of which its arms cannot test, the table of the other, and some wall times."""
    content = {
        "claims": {
            "C1": {"statement": "It works.", "parts": {"a": part(BETTER)}},
            "C2": {
                "statement": "It never stops.",
                "parts": {"a": part(BETTER | {"arm": {"group": "mixed", "up_to": 1}})},
            },
        }
    }
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (tmp_path / paths.RULES).parent.mkdir()
    (tmp_path / paths.RULES).write_text("# The rules\n", encoding="utf-8")
    for name in ("main", "modes"):
        path = tmp_path / f"reports/tables/{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render.csv_text([ROW]), encoding="utf-8")
    for name, seconds in (("tables@main", 4), ("rl@n4", 600), ("reward", None)):
        path = tmp_path / f"results/metrics/{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"rows": 1} | ({} if seconds is None else {"seconds": seconds})), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written() -> list[dict[str, str]]:
    with Path("reports/claims.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_ledger_and_its_tally_are_written(ledger: Path) -> None:
    claims.run(PARAMS)
    lines = written()
    assert [(line["claim"], line["verdict"]) for line in lines] == [
        ("C1", "replicated"),
        ("C1a", "replicated"),
        ("C2", "not tested"),
        ("C2a", "not tested"),
    ]
    assert (lines[1]["ours"], lines[1]["low"], lines[1]["seconds"]) == ("0.1000", "0.0200", "4")
    assert (lines[1]["p"], lines[1]["p_holm"]) == ("0.0200", "0.0400")  # of two claims
    assert lines[3]["reason"] == "the profile has no arm for it (mixed, n largest)"
    text = Path("reports/claims.md").read_text(encoding="utf-8")
    assert "What a run of profile smoke says of the paper's claims" in text
    assert "took 604 s" in text
    metrics = json.loads(Path("results/metrics/claims.json").read_text(encoding="utf-8"))
    assert {name: count for name, count in metrics.items() if name != "seconds"} == {
        "replicated": 1,
        "not_replicated": 0,
        "inconclusive": 0,
        "not_tested": 1,
    }


def test_another_table_gives_another_verdict_and_the_same_the_same_bytes(ledger: Path) -> None:
    claims.run(PARAMS)
    first = Path("reports/claims.csv").read_bytes()
    claims.run(PARAMS)
    assert Path("reports/claims.csv").read_bytes() == first
    worse = replace(ROW, diff=-0.1, diff_low=-0.2, diff_high=-0.02)
    Path("reports/tables/main.csv").write_text(render.csv_text([worse]), encoding="utf-8")
    claims.run(PARAMS)
    assert [line["verdict"] for line in written()[:2]] == ["not replicated", "not replicated"]


def test_the_rules_are_named_by_the_hash_that_git_has_for_them(ledger: Path) -> None:
    claims.run(PARAMS)
    command = ["git", "hash-object", "--no-filters", str(paths.RULES)]
    blob = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    [note] = [note for note in json.loads(Path("reports/claims.json").read_text())["notes"] if note.startswith("Rules")]
    assert note.startswith(f"Rules: docs/preregistration.md, git blob {blob} (")
    paths.RULES.write_text("# Other rules\n", encoding="utf-8")
    claims.run(PARAMS)
    assert blob not in Path("reports/claims.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("place", "content", "why"),
    [
        ("reports/tables/main.csv", None, r"reports/tables/main.csv: missing; run `dvc repro tables@main`"),
        ("reports/tables/main.csv", "arm,phase\n", r"reports/tables/main.csv:1: its columns are not those"),
        ("docs/preregistration.md", None, r"docs/preregistration.md: missing; restore it from git"),
        ("claims.yaml", "claims: [", r"claims.yaml:[12]: not valid YAML"),
        ("claims.yaml", "claims: {}", r"claims.yaml:1: claims: Dictionary should have at least 1 item"),
        ("results/metrics/rl@n4.json", "{", r"results/metrics/rl@n4.json:1: not the numbers of a stage"),
    ],
)
def test_refusals_leave_the_earlier_ledger_as_it_was(ledger: Path, place: str, content: str | None, why: str) -> None:
    claims.run(PARAMS)
    before = Path("reports/claims.csv").read_bytes()
    if content is None:
        Path(place).unlink()
    else:
        Path(place).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=why) as caught:
        claims.run(PARAMS)
    assert "\n" not in str(caught.value)
    assert Path("reports/claims.csv").read_bytes() == before


def test_the_papers_claims_find_their_rows_in_the_tables_of_a_study(here: Params) -> None:
    untested = {line["claim"] for line in written() if line["verdict"] == "not tested"}
    # One n of wrong traces has no trend; too small a study combines no heuristics, and has too few traces to score.
    # Nor has it room: where nothing is answered nothing can fall.
    assert untested <= {"C3", "C3a", "C3b", "C3c", "C3d", "C5", "C5a", "C5b", "C5c", "C6", "C6a"}
    assert len(written()) == 8 + sum(len(claim.parts) for claim in schema.load(ROOT / "claims.yaml").claims.values())
