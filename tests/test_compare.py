"""`polya compare`: a sound run passes wherever it was made; a flipped sign, a swapped arm, an edited cell and a changed
seed do not."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from polya_midtrain import params as settings
from polya_midtrain import paths, start
from polya_midtrain.results.small import PHASES
from polya_midtrain.runtime.tracking import dvc_hash
from polya_midtrain.tables import read
from polya_midtrain.tables.main import table as main
from polya_midtrain.tables.row import Row
from polya_midtrain.tables.shared import render

ROOT = Path(__file__).resolve().parents[1]
ARMS = {
    "vanilla": {"traces": "none"},
    "star": {"traces": "unprompted", "n": 1},
    "n1": {"traces": "heuristics", "n": 1},
    "n2": {"traces": "heuristics", "n": 2},
    "b2": {"traces": "heuristics", "n": 2, "match": {"rows": "n1"}},
}
LEVELS = {"vanilla": 0.02, "star": 0.03, "n1": 0.05, "n2": 0.25, "b2": 0.06}  # the median chance of a right sample
CSV = Path("reports/tables/main.csv")
SIZE = 20  # questions of a benchmark
Content = dict[str, Any]


def content() -> Content:
    """Profile tiny with few arms, two benchmarks and few draws."""
    found: Content = yaml.safe_load((ROOT / "profiles/tiny.yaml").read_text(encoding="utf-8"))
    found |= {"seeds": [1, 2], "bases": [{}], "arms": ARMS}
    found["tables"] |= {"resamples": 100, "means": {}}
    found["compose"]["benchmarks"] = ["pairs"]
    worlds = found["questions"]["benchmarks"]
    found["questions"]["benchmarks"] = {name: worlds[name] for name in ("pairs", "long")}
    found["questions"]["transfer"].pop("story")
    return found


def make(now: Content, draw: int, levels: dict[str, float] = LEVELS, kind: str = "a") -> None:
    """A finished run in the current folder, as far as it is compared. ``draw``: of seeds and samples alone."""
    hard = np.random.default_rng(7).normal(0.0, 1.5, (3, SIZE))
    sets = [*now["questions"]["benchmarks"], *now["questions"]["transfer"]]
    rng = np.random.default_rng(draw)
    Path("params.yaml").write_text(yaml.safe_dump(now, sort_keys=False), encoding="utf-8")
    for folder in (paths.COUNTS, paths.METRICS, paths.TABLES):
        folder.mkdir(parents=True, exist_ok=True)
    cards = {}
    for arm, level in levels.items():
        rows = []
        for phase in PHASES:
            for seed in now["seeds"]:
                luck = rng.normal(0.0, 0.2)
                for name, group in zip(sets, hard, strict=True):
                    odds = np.exp(np.log(level / (1 - level)) + luck + group + rng.normal(0.0, 0.3, SIZE))
                    for number, right in enumerate(rng.binomial(72, odds / (1 + odds))):
                        row = {"phase": phase, "seed": seed, "benchmark": name, "question": f"{name}/{number}"}
                        rows.append(row | {"n": 72, "c": int(right), "truncated": 0, "no_answer": 0})
        write_counts(arm, {"arm": arm, "samples": 72, "decoding": {}, "rows": rows})
        per = {"vanilla": {}, "star": {"": 9}, "n2": {"forward": 9, "reduce": 8}, "b2": {"reduce": 9}}
        size = sum(per.get(arm, {"forward": 9}).values())
        fixed = {
            "tokens": 9 * size,
            "questions": min(size, 9),
            "questions_asked": 9,
            "bases": 1,
            "mean_score": None,
            "follow": None,
            "wrong": 0,
        }
        found = {"arm": arm, "rows": size, "right": size, "rows_per_heuristic": per.get(arm, {"forward": 9})}
        cards[arm] = found | fixed
    paths.TRAINING_SETS.write_text(json.dumps(cards), encoding="utf-8")
    build()
    lock(now, kind)


def write_counts(arm: str, file: Content) -> None:
    """An arm's counts, and the shares that its stage notes."""
    (paths.COUNTS / f"{arm}.json").write_text(json.dumps(file), encoding="utf-8")
    shares = {
        f"{phase}/correct": round(float(np.mean([row["c"] / 72 for row in file["rows"] if row["phase"] == phase])), 6)
        for phase in PHASES
    }
    (paths.METRICS / f"evaluate@{arm}.json").write_text(json.dumps(shares | {"seconds": 1}), encoding="utf-8")


def build() -> None:
    CSV.write_text(render.csv_text(main.build(settings.load())[0]), encoding="utf-8")


def lock(now: Content, kind: str = "a") -> None:
    """dvc.lock of the files that are there. ``kind``: of the machine, which shows in the policies."""

    def entry(given: list[str], deps: dict[str, str], outs: dict[str, str]) -> Content:
        listed = [[{"path": path, "md5": md5} for path, md5 in files.items()] for files in (deps, outs)]
        read = {"params.yaml": {name: now[name] for name in given}}
        return {"cmd": "c", "params": read, "deps": listed[0], "outs": listed[1]}

    stages = {"select": entry(["select"], {}, {str(paths.TRAINING_SETS): dvc_hash(paths.TRAINING_SETS)[0]})}
    for arm in ARMS:
        policy, file = {f"models/rl/{arm}": f"{kind}{now['seeds']}{now['base']}"}, paths.COUNTS / f"{arm}.json"
        stages[f"rl@{arm}"] = entry(["rl", "seeds", "base"], {"src/rl.py": "1"}, policy)
        stages[f"evaluate@{arm}"] = entry(["evaluate", "seeds"], policy, {str(file): dvc_hash(file)[0]})
    stages["tables@main"] = entry(["tables"], {"results/counts": "1"}, {str(CSV): dvc_hash(CSV)[0]})
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}), encoding="utf-8")


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a run of profile tiny."""
    folder = tmp_path_factory.mktemp("committed") / "project"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make(content(), 1)
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "x"]):
            subprocess.run(["git", *words], check=True)
    return folder


@pytest.fixture(autouse=True)
def project(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to be changed and worked in."""
    folder = shutil.copytree(committed, tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


Compare = Callable[..., list[str]]


@pytest.fixture
def compare(capsys: pytest.CaptureFixture[str]) -> Compare:
    """Run the command; what it says."""

    def call(code: int, *words: str) -> list[str]:
        capsys.readouterr()
        assert start.main(["compare", *words]) == code
        said = capsys.readouterr()
        return (said.out + said.err).splitlines()

    return call


def edit(change: Callable[[Row], Row]) -> None:
    """Change the table as a run that made another one, which leaves no trace in dvc.lock."""
    CSV.write_text(render.csv_text(change(row) for row in read.read(CSV)), encoding="utf-8")
    lock(yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8")))


def flipped(row: Row) -> Row:
    if row.diff is None or row.diff_low is None or row.diff_high is None:
        return row
    return replace(row, diff=-row.diff, diff_low=-row.diff_high, diff_high=-row.diff_low)


# Sound runs


def test_the_same_run_has_the_same_bytes(compare: Compare) -> None:
    assert compare(0) == [
        "profile tiny: no contradictions within the run",
        "7 of 7 small files have the reference's bytes; other seeds: none",
        "no difference",
    ]


def test_what_another_profile_left_in_the_lock_file_is_not_of_the_run(compare: Compare) -> None:
    content = yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8"))
    foreign = content["stages"][f"rl@{next(iter(ARMS))}"] | {"params": {"params.yaml": {"rl": "another"}}}
    content["stages"]["rl@n99"] = foreign | {"outs": [{"path": "models/rl/n99", "md5": "1"}]}
    Path("dvc.lock").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert compare(0)[-1] == "no difference"


@pytest.mark.parametrize("draw", [2, 3])
@pytest.mark.parametrize(
    ("kind", "changed"), [("b", {}), ("a", {"seeds": [3, 4]}), ("a", {"seeds": [3, 4, 5]}), ("a", {"base": 9})]
)
def test_a_run_of_another_machine_or_of_other_seeds_passes(
    compare: Compare, draw: int, kind: str, changed: Content
) -> None:
    now = content()
    if "base" in changed:
        changed = {"base": now["base"] | {"seed": changed["base"]}}
    make(now | changed, draw, kind=kind)
    within, small, power, last = compare(0)
    assert (within, last) == ("profile tiny: no contradictions within the run", "no difference")
    assert small.startswith("1 of 7 small files")
    assert small.endswith(f"other seeds: {[{'base': 'base.seed'}.get(name, name) for name in changed] or 'none'}")
    assert power.startswith("pass@k of 17 means at k = [1, 64]; a shift of 0.")


def test_without_a_committed_run_it_is_held_against_itself_or_a_folder(compare: Compare, tmp_path: Path) -> None:
    other = shutil.copytree("results", tmp_path / "other/results").parent
    for name in ("params.yaml", "dvc.lock"):
        shutil.copy(name, other)
    shutil.rmtree(".git")
    assert compare(0)[1] == "no run of this profile is committed; `polya compare FOLDER` holds it against one of yours"
    assert compare(0, str(other))[1].startswith("7 of 7 small files")
    edit(flipped)
    assert compare(1)[-1].endswith(" differences")


# A flipped sign, in the file or in the code that makes it


@pytest.mark.parametrize("code", [False, True])
def test_a_flipped_sign_is_seen(compare: Compare, monkeypatch: pytest.MonkeyPatch, code: bool) -> None:
    rows, page = main.build(settings.load())
    if code:
        monkeypatch.setattr(main, "build", lambda params: ([flipped(row) for row in rows], page))
    edit(flipped)
    said = compare(1)
    assert any(f"{CSV}:" in line and "diff is " in line and " less " in line for line in said)
    assert any("diff_low is" in line for line in said) != code


# An edited cell


@pytest.mark.parametrize("column", ["value", "low", "diff_high", "p_holm", "n_questions"])
def test_an_edited_cell_is_named(compare: Compare, column: str) -> None:
    row = next(row for row in read.read(CSV) if (row.arm, row.k) == ("n2", 64) and row.diff is not None)
    number: Any = 41 if column == "n_questions" else 0.5432
    edit(lambda other: replace(other, **{column: number}) if other == row else other)
    assert any(line.startswith(f"{CSV}:") and f": {column} is {number}" in line for line in compare(1))


def test_an_edit_below_the_last_digit_of_another_machine_is_seen_by_its_hash(compare: Compare) -> None:
    CSV.write_text(CSV.read_text(encoding="utf-8").replace("0.0000", "0.0001", 1), encoding="utf-8")
    assert f"{CSV}: not what dvc.lock says was made; `dvc repro` makes it again" in compare(1)


# A swapped arm


def swap(path: Path, other: Path) -> None:
    one, two = (json.loads(file.read_text(encoding="utf-8")) for file in (path, other))
    one["arm"], two["arm"] = two["arm"], one["arm"]
    path.write_text(json.dumps(two), encoding="utf-8")
    other.write_text(json.dumps(one), encoding="utf-8")


def test_swapped_counts_are_seen(compare: Compare) -> None:
    swap(paths.COUNTS / "n1.json", paths.COUNTS / "b2.json")
    build()
    lock(content(), "b")
    told = "{}: after RL not as many right answers as {} tells of"
    said = compare(1)
    for arm in ("n1", "b2"):
        assert told.format(paths.COUNTS / f"{arm}.json", paths.METRICS / f"evaluate@{arm}.json") in said


def test_arms_that_were_swapped_throughout_are_seen_by_their_shift(compare: Compare) -> None:
    make(content(), 2, LEVELS | {"n1": LEVELS["n2"], "n2": LEVELS["n1"]}, kind="b")
    said = "\n".join(compare(1))
    for arm in ("n1", "n2"):
        assert f"{arm} after RL, benchmarks, pass@1: " in said
    assert "star after RL" not in said


@pytest.mark.parametrize(("one", "two"), [("star", "n1"), ("n2", "n1"), ("n2", "b2"), ("vanilla", "star")])
def test_swapped_training_sets_are_seen(compare: Compare, one: str, two: str) -> None:
    cards = json.loads(paths.TRAINING_SETS.read_text(encoding="utf-8"))
    cards |= {one: cards[two] | {"arm": one}, two: cards[one] | {"arm": two}}
    paths.TRAINING_SETS.write_text(json.dumps(cards), encoding="utf-8")
    lock(content(), "b")
    assert any(line.startswith(f"{paths.TRAINING_SETS}: what arm ") for line in compare(1))


def test_swapped_rows_are_seen(compare: Compare) -> None:
    other = {"n1": "n2", "n2": "n1"}
    edit(lambda row: replace(row, arm=other.get(row.arm, row.arm)))
    said = compare(1)
    for arm, shown in other.items():
        assert any(f": arm is {shown}, and results/ make it {arm}" in line for line in said)


# A changed seed


def test_a_changed_seed_is_seen(compare: Compare) -> None:
    now = content()
    Path("params.yaml").write_text(yaml.safe_dump(now | {"seeds": [1, 3]}), encoding="utf-8")
    said = compare(1)
    assert "dvc.lock: stage rl@n1 read seeds as [1, 2], and it is [1, 3]; run `dvc repro`" in said
    assert any(line.startswith(f"{paths.COUNTS}/n1.json: arm, training seeds and samples are") for line in said)
    Path("params.yaml").write_text(yaml.safe_dump(now | {"base": now["base"] | {"seed": 9}}), encoding="utf-8")
    assert "dvc.lock: stage rl@n1 read base.seed as 1, and it is 9; run `dvc repro`" in compare(1)
    other = now | {"questions": now["questions"] | {"seed": 8}}
    make(other, 1)
    assert compare(2)[-1].startswith("polya: params.yaml: questions.seed is 8, and 7 in the reference; restore it")


def test_counts_of_another_seed_are_seen(compare: Compare) -> None:
    path = paths.COUNTS / "n1.json"
    file = json.loads(path.read_text(encoding="utf-8"))
    file["rows"] += [row | {"seed": 3} for row in file["rows"] if row["seed"] == 2]
    write_counts("n1", file)
    lock(content(), "b")
    said = f"{path}: arm, training seeds and samples are ('n1', [1, 2, 3], 72), and params.yaml has ('n1', [1, 2], 72)"
    assert said in compare(1)


# An edited report


@pytest.mark.parametrize("name", ["claims.csv", "index.html", "figures"])
def test_an_edited_report_is_seen_by_its_hash(compare: Compare, name: str) -> None:
    path = Path("reports") / name
    file = path / "passk.svg" if name == "figures" else path
    file.parent.mkdir(exist_ok=True)
    file.write_text("0.0471", encoding="utf-8")
    known = yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8"))
    known["stages"]["page"] = {"cmd": "c", "outs": [{"path": str(path), "md5": dvc_hash(path)[0]}]}
    Path("dvc.lock").write_text(yaml.safe_dump(known), encoding="utf-8")
    compare(0)
    file.write_text("0.0741", encoding="utf-8")
    assert f"{path}: not what dvc.lock says was made; `dvc repro` makes it again" in compare(1)


# Other arms


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("draw", [1, 2])
def test_an_arm_that_one_run_lacks_is_said(compare: Compare, tmp_path: Path, ours: bool, draw: int) -> None:
    make(content(), draw, kind="ab"[draw - 1])
    other = shutil.copytree(".", tmp_path / "other")
    lacking = Path("params.yaml") if ours else other / "params.yaml"
    fewer = {name: arm for name, arm in ARMS.items() if name != "b2"}
    make(content(), 1)
    lacking.write_text(yaml.safe_dump(content() | {"arms": fewer}, sort_keys=False), encoding="utf-8")
    said = compare(0, str(other))
    assert said[1] == "arms that one of the two runs lacks, not compared: b2"
    assert draw == 1 or said[3].startswith("pass@k of 16 means at k = [1, 64]")


# Bytes


def test_other_bytes_on_the_same_kind_of_machine_are_a_difference(compare: Compare) -> None:
    path = paths.COUNTS / "n1.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    lock(content())
    said = compare(1)
    assert [line.split(" made other bytes")[0] for line in said[3:-1]] == ["dvc.lock: stage evaluate@n1"]
    lock(content(), "b")
    assert compare(0)[-1] == "no difference"


def test_other_settings_are_another_study(compare: Compare) -> None:
    now = content()
    make(now | {"rl": now["rl"] | {"learning_rate": 0.1}}, 1)
    assert "params.yaml: rl.learning_rate is 0.1, and 0.0002 in the reference" in compare(2)[-1]
    make(now | {"machine": now["machine"] | {"workers": 1}}, 1)
    compare(0)
