"""`polya plan`: counts by hand, times of a finished run, disk, memory, power, and what it says that it cannot know."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from polya_midtrain import cli, paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.records import Question, write_records
from polya_midtrain.stages.tables import TABLES
from polya_midtrain.tools.plan import measure, needs, power, runs
from polya_midtrain.tools.plan.needs import Device
from polya_midtrain.tools.plan.work import Work, works

ROOT = Path(__file__).resolve().parents[1]
TINY: dict[str, Any] = yaml.safe_load((ROOT / "profiles/tiny.yaml").read_text())
PAPER: dict[str, Any] = yaml.safe_load((ROOT / "profiles/paper.yaml").read_text())


def layout(hidden: int, inner: int, layers: int, heads: int, vocabulary: int, **more: Any) -> dict[str, Any]:
    found = {"hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers, "vocab_size": vocabulary}
    return found | {"num_attention_heads": heads, "num_key_value_heads": 8, "torch_dtype": "bfloat16"} | more


# Of the models' published config.json.
CONFIGS = {
    "meta-llama/Llama-3.2-3B-Instruct": layout(3072, 8192, 28, 24, 128256, tie_word_embeddings=True),
    "Qwen/QwQ-32B": layout(5120, 27648, 64, 40, 152064),
    "Skywork/Skywork-Reward-V2-Llama-3.1-8B": layout(4096, 14336, 32, 32, 128256),
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project root with the committed profiles and catalogues, without results; params.yaml is profile tiny."""
    for name in ("profiles", "data/heuristics", "machines"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "profiles/tiny.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tiny(**blocks: Any) -> Params:
    """Profile tiny with some blocks replaced."""
    return Params.model_validate(TINY | blocks)


def paper(**machine: Any) -> Params:
    """Profile paper with some settings of its machine changed."""
    return Params.model_validate(PAPER | {"machine": PAPER["machine"] | machine})


def planned(params: Params, run: runs.Run | None = None) -> dict[tuple[str, str], Work]:
    return {(one.stage, one.arm): one for one in works(params, runs.facts(params, run)[0])}


def written(folder: Path, content: dict[str, Any], **seconds: float) -> Path:
    """A finished run of tiny's: the lines of its metrics that a plan reads."""
    seconds["questions"] = 0.0
    (folder / paths.METRICS).mkdir(parents=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    numbers: dict[str, dict[str, float]] = {
        "questions": {"mid": 360, "rl": 512, "reward": 120},  # of two bases
        "generate": {"completions": 51840, "tokens": 51840 * 20},
        "distil": {"completions": 8640, "tokens": 8640 * 10},
        "select": {"n1/rows": 240, "n1/tokens": 4800},
    }
    for stage, value in seconds.items():
        numbers.setdefault(stage, {})["seconds"] = value
    for stage, held in numbers.items():
        (folder / paths.METRICS / f"{stage}.json").write_text(json.dumps(held))
    return folder


# Counts


def test_every_stage_of_the_pipeline_is_planned_for_every_arm_and_table() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    found = list(planned(tiny()))
    assert {stage for stage, _ in found} == stages.keys()
    for name, entry in stages.items():
        items = [""] if "foreach" not in entry else list(TINY["arms"])
        assert [item for stage, item in found if stage == name] == (list(TABLES) if name == "tables" else items)


def test_counts_by_hand() -> None:
    found = planned(tiny())
    assert found["generate", ""].samples == found["grade", ""].samples == 2 * 180 * (16 * 8 + 16)
    assert found["generate", ""].tokens == found["generate", ""].samples * 80, "at most"
    assert found["evaluate", "n4"].samples == 2 * 2 * (70 + 20) * 72
    assert found["evaluate", "w4"].samples == 2 * 70 * 72, "an ablation: benchmarks after RL alone"
    assert found["rl", "n4"].samples == found["rl", "n4"].rows == 2 * 256 * 16
    assert found["rl", "n4"].checkpoints == 2
    half = {"traces": "none", "rl_epochs": 0.5}
    assert planned(tiny(arms=TINY["arms"] | {"half": half}))["rl", "half"].samples == 2 * 128 * 16
    assert found["midtrain", "n4"].rows == 2 * TINY["midtrain"]["epochs"] * 180 * 4, "at most"
    assert found["midtrain", "b16"].rows == found["midtrain", "n1"].rows, "matched to it"
    assert (found["midtrain", "vanilla"].rows, found["midtrain", "vanilla"].checkpoints) == (0, 0)
    base = TINY["base"]
    assert found["base", ""].rows == 2 * (base["steps"] + base["drill_steps"]) * base["batch"]
    assert found["base", ""].checkpoints == 2


# A finished run


def test_a_run_gives_lengths_shares_and_seconds_a_token(tmp_path: Path) -> None:
    run = runs.read(written(tmp_path / "run", TINY, generate=16.0, midtrain=1.0, **{"rl@n1": 30.0}))
    assert run is not None
    more = tiny(seeds=[1, 2], bases=[{}, {}, {}], generate=TINY["generate"] | {"samples": 4})
    found, rates = planned(more, run), runs.rates(run, more)
    assert found["generate", ""].tokens == 3 * 180 * (16 * 4 + 16) * 20
    assert found["midtrain", "n1"].trained == pytest.approx(6 * TINY["midtrain"]["epochs"] * 120 * 20)
    assert rates["generate"] * found["generate", ""].units == pytest.approx(16.0 * 3 / 2 * 80 / 144)
    assert rates["rl"] * found["rl", "n1"].units == pytest.approx(90.0), "three times the runs"
    assert rates.keys() == {"questions", "generate", "rl"}, "what took no seconds is not known"
    other = tiny(base=TINY["base"] | {"hidden": 2 * TINY["base"]["hidden"]})
    assert runs.rates(run, other) == {"questions": 0.0}, "all others are the base's"
    assert runs.reference(tmp_path / "run", more) == run
    with pytest.raises(UserError, match=r"run: no finished run of the same base and kind of machine; name one"):
        runs.reference(tmp_path / "run", other)


def test_the_settings_of_a_run_are_those_that_its_lock_file_has(tmp_path: Path) -> None:
    folder = written(tmp_path / "run", TINY, generate=16.0)
    held = {"params.yaml": {"rl": TINY["rl"] | {"epochs": 9.0}, "score.batch": 3, "arms.n1": TINY["arms"]["n4"]}}
    (folder / "dvc.lock").write_text(yaml.safe_dump({"stages": {"rl@n1": {"params": held}}}))
    run = runs.read(folder)
    assert run is not None
    assert (run.params.rl.epochs, run.params.score.batch, run.params.arms["n1"].n) == (9.0, 3, 4)
    held["params.yaml"]["rl"] = {"a": "setting of other code"}
    (folder / "dvc.lock").write_text(yaml.safe_dump({"stages": {"rl@n1": {"params": held}}}))
    assert runs.read(folder) == replace(run, params=tiny())


def test_a_run_of_earlier_code_has_the_profile_s_value_of_what_came_later(tmp_path: Path) -> None:
    content = {name: block for name, block in TINY.items() if name != "bases"}
    content["select"] = {name: value for name, value in TINY["select"].items() if name != "order"}
    run = runs.read(written(tmp_path / "run", content | {"seeds": [3]}, generate=16.0))
    assert run is not None
    assert run.params == tiny(seeds=[3])


def test_the_plan_of_tiny_is_the_committed_run(committed: Path) -> None:
    run = runs.read(committed)
    assert run is not None
    found, rates = planned(run.params, run), runs.rates(run, run.params)
    for stage in ("generate", "distil", "rl", "evaluate", "midtrain"):
        measured = sum(value for name, value in run.seconds.items() if name.partition("@")[0] == stage)
        assert sum(rates[stage] * one.units for one in found.values() if one.stage == stage) == pytest.approx(measured)
    for arm in run.params.arms:
        counted = json.loads((committed / paths.COUNTS / f"{arm}.json").read_text())["rows"]
        assert found["evaluate", arm].samples == sum(row["n"] for row in counted)
    entries = yaml.safe_load((committed / "dvc.lock").read_text())["stages"].values()
    kept = sum(out["size"] for entry in entries for out in entry.get("outs", []))
    sizes, _ = needs.models(run.params)
    assert sum(needs.left(one, sizes) for one in found.values()) == pytest.approx(kept, rel=0.25)


SHOWN = {
    "": ["51,840", "1,036,800", "0:16"],
    "study": ["207,360", "4,147,200", "1:04"],
}  # two bases, and six with more questions


@pytest.mark.parametrize("profile", SHOWN)
def test_the_table_fits_a_hundred_columns_and_loads_no_heavy_library(project: Path, profile: str) -> None:
    written(project / "run", TINY, generate=16.0)
    shutil.copytree(project / "run/results", project / "results")
    script = "import sys; from polya_midtrain.start import main; code = main(sys.argv[1:]); "
    script += "print(code, sorted({'torch', 'transformers', 'mlflow'} & set(sys.modules)))"
    command = [sys.executable, "-c", script, "plan", *([profile] if profile else [])]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[-1] == "0 []"
    assert max(map(len, lines)) <= 100
    rows = {line.split()[0]: line.split() for line in lines[2:] if line}
    assert [*rows["generate"][1:3], rows["generate"][5]] == SHOWN[profile]
    assert rows["evaluate"][1:3] == ["x", "16"]
    assert rows["figures"][5] == "?", "not in that run"
    assert rows["all"][5] == ">"
    assert "- lengths of answers, shares of right ones and times: those of the run in ." in lines


def test_what_is_not_known_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise UserError("params.yaml: cannot reach the hub")

    monkeypatch.setattr(needs.hub, "configuration", refuse)
    monkeypatch.setenv("POLYA_DATA", "nowhere")
    assert cli.execute(["plan", "paper", "--gpu-memory", "80"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "no finished run of this base: times are not known (try --measure), and tokens and rows are at most" in shown
    assert "not counted: questions of mid, rl, benchmarks/math500," in shown
    assert "not known: the size of teacher (cannot reach the hub)" in shown
    assert cli.execute(["plan", "--from", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("polya: nowhere: no finished run of the same base and kind of machine;")


# Measured here


def test_a_short_measurement(tiny_policy: Path, project: Path) -> None:
    less = {"samples": 2, "max_tokens": 16}
    params = tiny(
        generate=TINY["generate"] | less,
        rl=TINY["rl"] | {"generations": 2, "prompts": 2, "max_tokens": 16},
        midtrain=TINY["midtrain"] | {"batch": 4, "micro_batch": 4},
    )
    with pytest.raises(UserError, match=r"models/base/base-1: not the base of these settings; run `dvc repro prompts`"):
        measure.measure(params)
    shutil.copytree(tiny_policy, paths.base(1))
    entry = {"params": {"params.yaml": {"base": TINY["base"]}}}
    (project / "dvc.lock").write_text(yaml.safe_dump({"stages": {"base": entry}}))
    asked = [Question(f"q{place}", f" jar a{place} 1", "1", "maths", "world") for place in range(4)]
    for file in (paths.MID, paths.RL_QUESTIONS):
        write_records(file, Question, asked)
    seconds, answers = measure.measure(params)
    assert seconds.keys() == {"generate", "evaluate", "midtrain", "rl"}
    assert all(value >= 0.0 and math.isfinite(value) for value in seconds.values())
    assert all(1 <= value <= 16 for value in answers.values())


# Disk and memory


def test_disk_by_hand() -> None:
    params = tiny()
    sizes, _ = needs.models(params)
    assert sizes["base"].checkpoint == sizes["teacher"].checkpoint == 4 * 115_904
    assert sizes["reward"].checkpoint == 4 * (115_904 + 64)
    found = planned(params)
    assert needs.left(found["rl", "n1"], sizes) == 2 * 4 * 115_904
    assert needs.left(found["midtrain", "vanilla"], sizes) == 0
    assert needs.scratch(params, sizes, Device(False, 1e9, 2)) == 2 * 12 * 115_904 * 2 + 2 * 4 * 115_904


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub has the configurations of profile paper's models."""

    def write(name: str, revision: str, folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps(CONFIGS[name]))

    monkeypatch.setattr(needs.hub, "configuration", write)


@pytest.mark.usefixtures("published")
def test_published_models_have_the_published_number_of_weights() -> None:
    sizes, notes = needs.models(paper())
    assert notes == []
    assert sizes["base"].parameters == 3_212_749_824
    assert sizes["teacher"].parameters == pytest.approx(32_763_876_352, rel=1e-4)  # its biases are in no config.json
    assert sizes["reward"].parameters == 7_504_928_768


def faults(gigabytes: float = 80, **machine: Any) -> set[str]:
    """The stages of profile paper that do not fit its GPUs."""
    params = paper(**machine)
    sizes, _ = needs.models(params)
    here = needs.device(params, sizes, gigabytes * 1e9)
    return {stage for stage, one in needs.memory(params, sizes, here).items() if one.bytes > gigabytes * 1e9}


ONE = {"processes": 1, "accelerate": None, "tensor_parallel": 1, "data_parallel": 1, "gpu_memory": 0.95}


@pytest.mark.usefixtures("published")
def test_the_paper_s_study_fits_one_gpu_of_80_gb_and_four() -> None:
    """By `auto`; and with 0.3, on which an H100 ran out of memory while vLLM did not yet sleep."""
    assert faults() == faults(**ONE) == faults(accelerate=None) == faults(**ONE, rollout_memory=0.3) == set()
    assert faults(**ONE, rollout_memory=0.6) == {"rl"}
    assert faults(tensor_parallel=1, data_parallel=4) == {"distil"}, "65.5 GB of QwQ-32B leave its cache no room"
    assert faults(24, **ONE) >= {"distil", "midtrain", "rl"}


@pytest.mark.usefixtures("published")
def test_what_auto_comes_to_is_shown_and_too_little_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYA_DATA", "nowhere")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 3 * 10**12))
    assert cli.execute(["plan", "paper", "--gpu-memory", "80"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "trainings keep float32 and compute in bfloat16" in shown
    assert "Sequences in a backward pass, on 80.0 GB: midtrain " in shown
    assert "vLLM takes 0.75 of it for rollouts (machine.rollout_memory)." in shown
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 10**9))
    assert cli.execute(["plan", "paper", "--gpu-memory", "24"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("polya: profiles/paper.yaml: stage distil needs ")
    assert "of memory of 24.0 GB; lower distil.rows" in line
    assert "of disk and 1.0 GB are free here; make room" in line
    assert line.count("\n") == 1


# Power


def test_the_detectable_difference_is_the_normal_one_for_many_questions() -> None:
    params = tiny(arms={name: TINY["arms"][name] for name in ("vanilla", "n1")}, seeds=list(range(5000)), bases=[{}])
    found = power.planned(params, {"mid": 9, "benchmarks/one": 10_001})
    spread = math.sqrt(power.QUESTIONS[0] ** 2 / 10_001 + 2 * power.SEEDS[0] ** 2 / 5000)
    assert found[1] == pytest.approx(spread * (1.960 + 0.842), rel=0.001)
    halves = power.planned(params, {"benchmarks/one": 5001, "benchmarks/two": 5000})
    chosen = params.model_copy(update={"tables": params.tables.model_copy(update={"means": {"mean": ["one"]}})})
    assert power.planned(chosen, {"benchmarks/one": 10_001, "benchmarks/two": 7}) == found
    assert halves[1] == pytest.approx(found[1], rel=0.01), "a mean over two halves is as exact as over the whole"


def test_the_detectable_difference_falls_with_seeds_and_needs_two() -> None:
    counts = {f"benchmarks/{name}": 16 for name in "abcdef"}
    assert power.planned(tiny(), counts | {"benchmarks/unread": 0}) == power.planned(tiny(), counts)
    one, two, ten = (power.planned(tiny(seeds=list(range(count)), bases=[{}]), counts) for count in (1, 2, 10))
    bases = power.planned(tiny(seeds=[1, 2, 3], bases=[{}, {}]), counts)
    assert one == {}
    assert bases == two, "bases are drawn, whatever their seeds"
    assert all(ten[k] < two[k] for k in TINY["tables"]["ks"])


def test_nothing_but_the_command_line_knows_the_plan() -> None:
    package = ROOT / "src/polya_midtrain"
    users = [path for path in package.rglob("*.py") if "polya_midtrain.tools.plan" in path.read_text()]
    assert {path.relative_to(package).as_posix() for path in users if path.parent.name != "plan"} == {
        "cli.py",
        "tools/told.py",  # how long is left
    }
