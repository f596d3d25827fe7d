"""`polya verify` and `polya expect`: ranges from real spreads, and every doctored number found by its name."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from polya_midtrain import params as settings
from polya_midtrain.errors import UserError
from polya_midtrain.tables import read
from polya_midtrain.tables.row import Row
from polya_midtrain.tables.shared import render
from polya_midtrain.verify import commands, expected, ranges, seeds
from polya_midtrain.verify.expected import FEWEST

ROOT = Path(__file__).resolve().parents[1]
PROFILE = (ROOT / "profiles/tiny.yaml").read_text(encoding="utf-8")
CLAIMS = {
    "claims": {
        "C1": {
            "statement": "It is better.",
            "parts": {
                "a": {
                    "statement": "It is better.",
                    "paper": {"value": "unknown"},
                    "test": {
                        "kind": "compare",
                        "table": "main",
                        "metric": "pass@k",
                        "column": "diff",
                        "k": "largest",
                        "arm": {"group": "star"},
                        "reference": {"group": "vanilla"},
                        "direction": "up",
                    },
                }
            },
        }
    }
}


def table(rng: np.random.Generator, training: list[int]) -> list[Row]:
    """A table of two arms: per seed and pooled, a count, and a number that no claim reads."""
    pooled = "+".join(str(seed) for seed in training)
    rows = []
    for arm, mean in (("vanilla", 0.4), ("star", 0.5)):
        values = rng.normal(mean, 0.02, size=len(training))
        for name, value in [*zip(map(str, training), values, strict=True), (pooled, values.mean())]:
            diff = {"diff": 0.1 + rng.normal(0, 0.02), "diff_low": 0.0, "diff_high": 0.2}
            more: dict[str, Any] = diff if (name, arm) == (pooled, "star") else {}
            for k in (1, 64):
                made = ("pass@k", k, float(value), 0.0, 1.0, "share", 72, 72, name, None, "bootstrap")
                rows.append(Row(arm, "after", "mean", *made, **more))
    rows.append(Row("vanilla", "after", "mean", "truncated", None, 0.1, 0.0, 1.0, "share", 72, 72, pooled, None, "m"))
    return rows


def finish(folder: Path, rows: list[Row], text: str) -> Path:
    """A folder as a finished run leaves it, as far as verification reads it."""
    (folder / "reports/tables").mkdir(parents=True)
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    (folder / "claims.yaml").write_text(yaml.safe_dump(CLAIMS), encoding="utf-8")
    (folder / "reports/tables/main.csv").write_text(render.csv_text(rows), encoding="utf-8")
    lock(folder)
    return folder


def lock(folder: Path, code: str = "1") -> None:
    content = (folder / "reports/tables/main.csv").read_bytes()
    outs = [{"path": "reports/tables/main.csv", "md5": hashlib.md5(content).hexdigest()}]
    deps = [{"path": "src/x.py", "md5": code}, {"path": "results/counts", "md5": folder.name}]
    stages = {"tables@main": {"deps": deps, "outs": outs}}
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}), encoding="utf-8")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished runs of the tiny profile whose seeds all differ, and a project with one of the committed seeds.

    The project's numbers are drawn as the others were, and it has the expected file of those.
    """
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("finished")
    for number in range(FEWEST):
        text = seeds.shift(PROFILE, 100 * number)
        finish(folder / f"run{number}", table(rng, yaml.safe_load(text)["seeds"]), text)
    project = finish(folder / "project", table(np.random.default_rng(9), yaml.safe_load(PROFILE)["seeds"]), PROFILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        commands.expect([folder / f"run{number}" for number in range(FEWEST)])
    return folder


@pytest.fixture
def runs(finished: Path, tmp_path: Path) -> list[Path]:
    """The finished runs, to be changed."""
    return [shutil.copytree(finished / f"run{number}", tmp_path / f"run{number}") for number in range(FEWEST)]


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, to be changed and worked in."""
    folder = shutil.copytree(finished / "project", tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


def edit(change: Callable[[Row], Row | None]) -> None:
    """Change rows of the project's table, as a run that made other ones; None takes one out."""
    path = Path("reports/tables/main.csv")
    changed = [change(row) for row in read.read(path)]
    path.write_text(render.csv_text(row for row in changed if row is not None), encoding="utf-8")
    lock(Path())


def is_headline(row: Row) -> bool:
    return (row.arm, row.metric, row.k) == ("star", "pass@k", 64) and "+" in row.seeds


# The commands


def test_a_sound_run_passes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.verify("tiny") == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("expected/tiny.yaml (5 runs, 20")
    assert line.endswith(
        "3 numbers of 1 tables, no difference"
    )  # two arms at the largest k, and the claim's difference


@pytest.mark.parametrize(("column", "number"), [("value", 0.05), ("value", 0.95), ("diff", -0.4), ("diff", None)])
def test_a_doctored_number_is_named_with_its_row_and_range(
    project: Path, capsys: pytest.CaptureFixture[str], column: str, number: float | None
) -> None:
    edit(lambda row: replace(row, **{column: number}) if is_headline(row) else row)
    assert commands.verify() == 1
    first, last = capsys.readouterr().out.splitlines()
    held = next(
        cell for cell in expected.load("tiny").tables["main"].cells if (cell.arm, cell.column) == ("star", column)
    )
    said = "empty, {} to {} expected" if number is None else f"{number:.4f} is outside {{}} to {{}}"
    assert first == (
        f"main: arm star, phase after, benchmark mean, metric pass@k, k 64, {column}: "
        + said.format(f"{held.low:.4f}", f"{held.high:.4f}")
    )
    assert last.endswith("1 differences")


def test_a_table_that_was_edited_after_the_run_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = Path("reports/tables/main.csv")
    table.write_text(
        table.read_text(encoding="utf-8").replace("0.1000", "0.1001", 1), encoding="utf-8"
    )  # no held number
    assert commands.verify() == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first == f"main: {table} is not what dvc.lock says was made; `dvc repro` makes it again"
    assert last.endswith("1 differences")


def test_a_number_at_the_end_of_its_range_passes_and_one_beyond_does_not(project: Path) -> None:
    [held] = [cell for cell in expected.load("tiny").tables["main"].cells if cell.arm == "vanilla"]
    for number, code in ((held.high, 0), (held.high + 1e-4, 1), (held.low, 0), (held.low - 1e-4, 1)):
        edit(lambda row, number=number: replace(row, value=number) if _vanilla(row) else row)
        assert commands.verify() == code


def _vanilla(row: Row) -> bool:
    return (row.arm, row.k) == ("vanilla", 64) and "+" in row.seeds


def test_the_shape_is_held_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(lambda row: None if row.arm == "star" else row)
    assert commands.verify() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["main: arm star is missing", "main: 7 rows, 13 expected"]
    missing = "main: arm star, phase after, benchmark mean, metric pass@k, k 64, {}: no such row"
    assert sorted(lines[2:4]) == [missing.format("diff"), missing.format("value")]


def test_a_missing_table_is_an_error_and_no_verdict(project: Path) -> None:
    Path("reports/tables/main.csv").unlink()
    with pytest.raises(UserError, match=r"reports/tables/main.csv: missing; run `dvc repro tables@main`"):
        commands.verify()


def test_a_run_with_other_settings_is_not_compared(project: Path) -> None:
    Path("params.yaml").write_text(PROFILE.replace("  epochs: 2\n", "  epochs: 3\n"), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        commands.verify()
    assert str(caught.value).startswith("params.yaml: block midtrain is not as in the runs behind expected/tiny.yaml;")
    Path("params.yaml").write_text(PROFILE.replace("workers: 0", "workers: 1"), encoding="utf-8")
    assert commands.verify() == 0  # where the work runs is no setting of the study


def test_another_profile_and_one_without_ranges_are_refused(project: Path) -> None:
    with pytest.raises(UserError, match=r"params.yaml: the run is of profile tiny, not smoke"):
        commands.verify("smoke")
    Path("params.yaml").write_text(PROFILE.replace("profile: tiny", "profile: mine"), encoding="utf-8")
    with pytest.raises(UserError, match=r"expected/mine.yaml: no such file.*known: tiny.*polya expect"):
        commands.verify()


def test_a_fault_of_the_expected_file_is_one_line_with_its_place(project: Path) -> None:
    path = Path("expected/tiny.yaml")
    path.write_text(path.read_text(encoding="utf-8").replace("low:", "lowest:", 1), encoding="utf-8")
    with pytest.raises(UserError, match=r"^expected/tiny.yaml:\d+: tables.main.cells.0.lowest: no such setting"):
        commands.verify()


# Making the file


def test_the_file_says_where_its_ranges_come_from(project: Path) -> None:
    found = expected.load("tiny")
    assert [run["seeds"] for run in found.runs] == [[1 + 100 * n, 2 + 100 * n] for n in range(FEWEST)]
    assert {name for run in found.runs for name in run} >= {"seeds", "base.seed", "questions.seed", "tables.seed"}
    assert "torch" in found.made.machine
    assert "one more run" in found.made.rule
    assert found.tables["main"].shape.arms == ["vanilla", "star"]
    text = Path("expected/tiny.yaml").read_text(encoding="utf-8")
    assert text.startswith("# Made by `polya expect` from 5 runs with different seeds.")
    assert max(len(line) for line in text.splitlines()) < 420
    assert sum("column:" in line for line in text.splitlines()) == 3  # a number a line


def test_ranges_hold_every_run_that_they_were_made_from(project: Path, runs: list[Path]) -> None:
    for folder in runs:
        rows = {
            row.arm: row for row in read.read(folder / "reports/tables/main.csv") if row.k == 64 and "+" in row.seeds
        }
        for cell in expected.load("tiny").tables["main"].cells:
            number = rows[cell.arm].value if cell.column == "value" else rows[cell.arm].diff
            assert number is not None
            assert cell.low < number < cell.high


def test_rows_whose_number_differs_between_runs_are_not_counted(project: Path, runs: list[Path]) -> None:
    path = runs[0] / "reports/tables/main.csv"
    path.write_text(render.csv_text(read.read(path)[:-1]), encoding="utf-8")
    lock(runs[0])
    commands.expect(runs)
    assert expected.load("tiny").tables["main"].shape.rows is None
    edit(lambda row: None if row.metric == "truncated" else row)
    assert commands.verify() == 0


def test_too_few_runs_are_refused(runs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs[0])
    with pytest.raises(UserError, match="4 finished runs, and ranges need 5 or more with different seeds"):
        commands.expect(runs[:4])
    assert not Path("expected").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda run: write(run, seeds.shift(PROFILE, 300)), r"run4: \w+(\.\w+)* has \d+, as in .*run3"),
        (
            lambda run: write(run, text_of(run).replace("seeds: [401, 402]", "seeds: [401, 302]")),
            "seeds has 302, as in",
        ),
        (
            lambda run: write(run, text_of(run).replace("samples: 72", "samples: 80")),
            "block evaluate of params.yaml is not",
        ),
        (
            lambda run: write(run, text_of(run).replace("[401, 402]", "[401, 402, 403]")),
            "block seeds of params.yaml is not",
        ),
        (lambda run: lock(run, code="2"), "run4: the code in src/x.py is not as in .*run0"),
        (
            lambda run: shutil.copy(run / "reports/tables/main.csv", run / "reports/tables/modes.csv"),
            "modes.csv: not what",
        ),
        (lambda run: (run / "reports/tables/main.csv").unlink(), "reports/tables: no table; run `dvc repro`"),
        (lambda run: (run / "dvc.lock").unlink(), "dvc.lock: missing; give the folder of a finished run"),
        (lambda run: doctor(run / "reports/tables/main.csv"), "main.csv: not what .*dvc.lock says was made"),
    ],
)
def test_runs_that_differ_in_more_than_seeds_or_share_one_are_refused(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], Any], why: str
) -> None:
    monkeypatch.chdir(runs[0])
    change(runs[-1])
    with pytest.raises(UserError, match=why) as caught:
        commands.expect(runs)
    assert "\n" not in str(caught.value)


def write(run: Path, text: str) -> None:
    (run / "params.yaml").write_text(text, encoding="utf-8")


def text_of(run: Path) -> str:
    return (run / "params.yaml").read_text(encoding="utf-8")


def doctor(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace("0.1000", "0.1001", 1), encoding="utf-8")


# The ranges


def test_numbers_of_no_group_have_students_interval() -> None:
    values = np.array([[0.1, 10.0], [0.2, 30.0], [0.4, 20.0], [0.3, 50.0], [0.6, 40.0]])
    lows, highs = ranges.predict(values, ["a", "b"])
    quantile = student(4).ppf(1 - (1 - ranges.LEVEL**0.5) / 2)
    reach = quantile * values.std(axis=0, ddof=1) * np.sqrt(1.2)
    assert np.allclose(lows, values.mean(axis=0) - reach)
    assert np.allclose(highs, values.mean(axis=0) + reach)


def test_equal_runs_leave_room_for_rounding() -> None:
    lows, highs = ranges.predict(np.full((5, 2), 0.1), ["a", "a"])
    assert np.allclose(highs - 0.1, ranges.FLOOR)
    assert np.allclose(0.1 - lows, ranges.FLOOR)


def test_a_group_of_like_spread_is_pooled_and_one_of_unlike_spread_is_not() -> None:
    rng = np.random.default_rng(2)
    like = (rng.normal(size=(200, 5))).var(axis=1, ddof=1)
    moved, freedom = ranges.moderated(like, 4.0)
    assert freedom[0] == 8.0  # as much again as the runs' own, at most
    assert moved.std() < 0.6 * like.std()
    assert moved.mean() == pytest.approx(1.0, abs=0.1)
    unlike = like * np.exp(rng.normal(0, 4, size=200))
    moved, freedom = ranges.moderated(unlike, 4.0)
    assert 4.0 < freedom[0] < 4.6
    assert np.all(np.argsort(moved) == np.argsort(unlike))
    few, freedom = ranges.moderated(like[:2], 4.0)
    assert (few.tolist(), freedom.tolist()) == (like[:2].tolist(), [4.0, 4.0])


@pytest.mark.parametrize("together", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("unlike", [0.0, 0.5])
def test_a_sound_run_seldom_has_a_number_outside(together: float, unlike: float) -> None:
    rng = np.random.default_rng(3)
    numbers, outside, trials = 60, 0, 300
    for _ in range(trials):
        spread = np.exp(unlike * rng.normal(size=numbers))
        noise = np.sqrt(together) * rng.normal(size=(6, 1)) + np.sqrt(1 - together) * rng.normal(size=(6, numbers))
        runs = 100.0 * spread * noise
        lows, highs = ranges.predict(runs[:5], ["a"] * numbers)
        outside += bool(np.any((runs[5] < lows) | (runs[5] > highs)))
    assert outside / trials < 0.09  # 0.05 is meant; 300 trials may give 0.04 more than that


@given(st.floats(-10, 10), st.floats(0, 1))
def test_rounding_goes_outward_by_less_than_a_unit(low: float, width: float) -> None:
    down, up = ranges.outward(low, low + width)
    unit = 10.0**-4
    assert low - unit - 1e-9 < down <= low + 1e-9
    assert low + width - 1e-9 <= up < low + width + unit + 1e-9


# The seeds


def test_every_seed_of_every_profile_is_shifted_and_nothing_else() -> None:
    for path in sorted((ROOT / "profiles").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        shifted = seeds.shift(text, 100)
        before, after = (seeds.apart(yaml.safe_load(one)) for one in (text, shifted))
        assert before[0] == after[0]
        assert {name: [seed + 100 for seed in values] for name, values in before[1].items()} == after[1]
        assert {"seeds", "questions.seed", "generate.seed", "evaluate.seed", "tables.seed"} <= set(before[1])
        changed = [old for old, new in zip(text.splitlines(), shifted.splitlines(), strict=True) if old != new]
        assert len(changed) == len(before[1])
        assert all("seed" in line for line in changed)
        assert seeds.shift(shifted, -100) == text


def test_a_shifted_profile_is_still_one(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(seeds.shift(PROFILE, 1000), encoding="utf-8")
    assert settings.load(path).seeds == [1001, 1002]
