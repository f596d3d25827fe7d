"""`polya plan`: the counts by hand, what it assumes, and how near it comes to the committed run."""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from polya_midtrain import cli
from polya_midtrain import params as settings
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.plan import assume, build, command, devices, measured, power, prose, rehearsal, report, sizes
from polya_midtrain.plan.assume import Asked, Cell
from polya_midtrain.plan.devices import DEVICES
from polya_midtrain.plan.work import Load, sampled, works
from polya_midtrain.sources.adapters import ADAPTERS
from polya_midtrain.stages.tables import TABLES
from polya_midtrain.world import corpus, pretrain, tokenizer
from polya_midtrain.world.tasks import TASKS

ROOT = Path(__file__).resolve().parents[1]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
POLYA = "data/heuristics/polya.yaml"
TINY: dict[str, Any] = yaml.safe_load((ROOT / "profiles/tiny.yaml").read_text())


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project root with the committed profiles and catalogues, without results; params.yaml is profile tiny."""
    for name in ("profiles", "data/heuristics"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "profiles/tiny.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tiny(**blocks: Any) -> Params:
    """Profile tiny with some blocks replaced."""
    return Params.model_validate(TINY | blocks)


def published(**blocks: Any) -> Params:
    """Settings with published models and public sets."""
    gsm8k = {"source": "gsm8k", "split": "train"}
    known: dict[str, Any] = {
        "machine": {"device": "cuda"},
        "arms": {name: TINY["arms"][name] for name in ("vanilla", "star", "n1", "n16", "distil")},
        "prompts": TINY["prompts"] | {"catalogue": POLYA, "shots": 2, "plain_shots": 2, "suffix": "\nBox it."},
        "questions": {
            "seed": 7,
            "mid": gsm8k,
            "reward": gsm8k | {"limit": 1},
            "rl": {"source": "dapo", "split": "train", "max_chars": 200},
            "benchmarks": {
                "math500": {"source": "math500", "split": "test"},
                "aime24": {"source": "aime24", "split": "test"},
            },
            "transfer": {"humaneval": {"source": "humaneval", "split": "test", "limit": 50}},
        },
        "base": {"kind": "hub", "id": "meta-llama/Llama-3.2-3B-Instruct", "revision": COMMIT},
        "teacher": {"kind": "hub", "id": "Qwen/QwQ-32B", "revision": COMMIT},
        "reward": {"kind": "hub", "id": "Skywork/Skywork-Reward-V2-Llama-3.1-8B", "revision": COMMIT},
        "compose": {
            "judge": "endpoint",
            "endpoint": {
                "url": "http://localhost:8000/v1",
                "model": "judge",
                "temperature": 0.0,
                "max_tokens": 256,
                "timeout": 60.0,
                "tries": 6,
                "parallel": 8,
            },
            "benchmarks": ["aime24"],
            "labelled": 100,
            "seed": 1,
        },
        "modes": TINY["modes"] | {"branch": "start"},
    }
    return tiny(**(known | blocks))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """A plan that is refused with exit code 2; its one line."""
    assert cli.execute(["plan", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("polya: ")
    assert error.count("\n") == 1
    return error.removeprefix("polya: ").strip()


# Work


def test_sampling_by_hand() -> None:
    asked = Asked(prompt=30.0, shared=10.0, answer=20.0, longest=40.0)
    load = sampled([10], 4, 8, asked)  # eight sequences side by side: two prompts a batch, five batches
    assert load == Load(
        prompts=10,
        samples=40,
        prompt_tokens=300.0,
        prefilled=10 * 20 + 5 * 10,
        completion_tokens=800.0,
        decode_steps=5 * 40,
        looked_back=800.0 * (30 + 10),
        tasks=1,
    )
    jobs = sampled([10, 3], 4, 8, asked, chunk=4)  # 4 + 4 + 2 and 3 questions
    assert (jobs.tasks, jobs.decode_steps) == (4, (2 + 2 + 1 + 2) * 40)
    assert sampled([3], 4, 2, asked).decode_steps == 3 * 2 * 40, "two rows at a time, whatever the samples"
    assert sampled([3], 4, 2, asked).times(2).prompts == 6
    assert load.longer(1.5).completion_tokens == 1200
    assert load.longer(1.5).prompts == 10


def test_right_answers_by_hand() -> None:
    assert assume.some_right(0.5, 2) == 0.75
    assert assume.some_of_both(0.5, 2) == 0.5
    assert assume.most_right(0.5, 2, 1) == 0.75
    assert assume.most_right(0.5, 2, 2) == 1.0


def test_training_sets_by_hand() -> None:
    params = tiny(generate=TINY["generate"] | {"samples": 2, "unprompted": 2})
    sure, even = Cell(1.0, 6.0, 10.0), Cell(0.5, 6.0, 30.0)
    never = Cell(0.0, 6.0, 99.0)
    named = [[sure, even]] + [[never, never]] * 15
    sets = assume.training_sets(params, 100, named, [sure, never], [sure, sure])
    assert sets["vanilla"].rows == 0
    assert sets["n1"].rows == sets["n16"].rows == 100 * (1 + 0.75) / 2
    assert sets["n1"].response == pytest.approx((10 + 0.75 * 30) / 1.75)
    assert sets["star"].rows == 50  # one response each
    assert sets["r1"] == sets["w1"]
    assert sets["r1"].rows == pytest.approx(100 * 0.5 / 2)  # the sure ones have no wrong answer
    assert sets["distil"].rows == sets["n16"].rows
    assert sets["b16"].rows == sets["n1"].rows
    assert sets["t16"].rows * sets["t16"].response == pytest.approx(sets["n1"].rows * sets["n1"].response)
    assert assume.scored(params, 100, named) == pytest.approx(2 * (1 + 0.75) / 2 * 100)


def test_every_stage_of_the_pipeline_is_planned_for_every_arm_and_table() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    planned = build.plan(tiny(), DEVICES["cpu"])
    places = list(dict.fromkeys((one.stage, one.arm) for one in planned.works))
    assert list(dict.fromkeys(stage for stage, _ in places)) == list(stages)
    for name, entry in stages.items():
        items = [""] if "foreach" not in entry else list(TINY["arms"])
        assert [item for stage, item in places if stage == name] == (list(TABLES) if name == "tables" else items)
    assert list(stages["tables"]["foreach"]) == list(TABLES)


def test_the_arms_of_ablations_answer_the_benchmarks_after_rl_alone() -> None:
    planned = build.plan(tiny(), DEVICES["cpu"])
    assert planned.samples["evaluate", "n4"] == 2 * 2 * (60 + 20) * 72
    assert planned.samples["evaluate", "w4"] == 2 * 60 * 72
    assert planned.samples["rl", "n4"] == 2 * 256 * 16
    assert planned.loads["rl", "n4"].train_steps == 2 * 256 / 8
    assert planned.loads["midtrain", "vanilla"] == Load()


# Assumptions


def test_the_world_s_tokens_are_those_of_its_tokenizer() -> None:
    encoder, rng = tokenizer.build(), random.Random(3)
    for _ in range(300):
        task = rng.choice(list(pretrain.SHARES))
        plan, item, response = corpus.document(rng, rng.choice(pretrain.LENGTHS[task]), corpus.Habits(), task)
        for text in ((f" by {plan}:\n" if plan else " ") + TASKS[task].text(item), response):
            assert rehearsal.tokens(text) == len(encoder(text)["input_ids"]), text


def test_every_public_set_has_its_size() -> None:
    assert {(name, split) for name, adapter in ADAPTERS.items() for split in adapter.splits} <= set(prose.SETS)


def test_published_models_and_public_sets_can_be_planned() -> None:
    planned = build.plan(published(), DEVICES["h100"], gpus=4)
    assumed = planned.assumed
    assert assumed.counts["mid"] == 7473
    assert assumed.counts["transfer/humaneval"] == 50
    assert assumed.generate.prompt > assumed.unprompted.prompt > assumed.bare["mid"].prompt
    assert assumed.distil.answer == pytest.approx(prose.CUT * 80), "the limit ends the teacher's long answers"
    assert planned.loads["teacher", ""].downloads == 2 * 32_763_876_352
    assert planned.loads["reward", ""].trained_tokens == 0
    chains = 30 * 72 * 2 * 2 * 5 + 100  # of aime24, by the five arms, before and after RL, with two seeds
    assert planned.samples["compose", ""] == chains
    assert planned.tokens["compose", ""] == chains * 40
    assert planned.wall < build.plan(published(), DEVICES["h100"]).wall


def test_what_the_plan_cannot_know_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    strange = published(base={"kind": "package", "package": "some-model", "version": "1", "file": "x.gguf"})
    with pytest.raises(
        UserError, match=r"base: the plan does not know the size of 'some-model'; add its line to MODELS"
    ):
        build.plan(strange, DEVICES["h100"])
    questions = TINY["questions"] | {"rl": {"source": "gsm8k", "split": "train"}}
    with pytest.raises(
        UserError, match=r"questions.rl: the embedded base reads questions of its world alone; set source"
    ):
        build.plan(tiny(questions=questions), DEVICES["cpu"])
    with pytest.raises(UserError, match=r"does not know the size of math500/train; correct it or add its line to SETS"):
        build.plan(
            published(questions=published().questions.model_dump() | {"rl": {"source": "math500", "split": "train"}}),
            DEVICES["h100"],
        )
    with pytest.raises(UserError, match=r"polya\.yaml: 'equation' is no plan of the embedded world"):
        build.plan(tiny(prompts=TINY["prompts"] | {"catalogue": POLYA}), DEVICES["cpu"])
    assert "no profile 'huge' in profiles/; the profiles are " in refused(capsys, "huge")
    assert refused(capsys, "--device", "abacus").startswith("no device 'abacus' is known; name one of cpu, a100, h100")
    assert "--gpus 2 is for GPUs" in refused(capsys, "--gpus", "2")
    assert "nowhere: no params.yaml, so what was run is not known" in refused(capsys, "--from", "nowhere")


# Power


def test_the_detectable_difference_is_the_normal_one_for_many_questions() -> None:
    found = power.detectable([10_001], 2, 1, 0.05, power.Spread(0.2, 0.0))
    assert found == pytest.approx(0.2 / math.sqrt(10_001) * (1.960 + 0.842), rel=0.001)
    two = power.detectable([5000, 5000], 2, 1, 0.05, power.Spread(0.2, 0.0))
    assert two == pytest.approx(found, rel=0.01), "a mean over two halves is as exact as over the whole"


def test_the_detectable_difference_falls_with_seeds_and_needs_two() -> None:
    few, many = (power.detectable([16] * 6, seeds, 7, 0.05, power.LARGE_K) for seeds in (2, 10))
    assert few is not None
    assert many is not None
    assert many < few
    assert power.detectable([16] * 6, 1, 7, 0.05, power.LARGE_K) is None
    assert power.spread(1, 64) == power.SMALL_K
    assert power.spread(64, 64) == power.LARGE_K


def test_the_documents_have_the_plan_of_the_profile_for_a_gpu() -> None:
    planned = build.plan(settings.load(ROOT / "profiles/smollm2-gpu.yaml"), DEVICES["h100"])
    found = power.planned(planned.params, planned.assumed)[64]
    steps = planned.assumed.counts["rl"] // planned.params.rl.prompts
    asked = [count for name, count in planned.assumed.counts.items() if name.startswith("benchmarks/")]
    assert (steps, asked, len(planned.params.seeds) >= 3) == (40, [100, 100, 100], True)
    assert max(one.bytes for one in planned.memory) < 80e9
    for name, words in {
        "REPRODUCE.md": (f"{report.duration(planned.wall)} on an H100, planned", f"differences of {found:.3f} in pass"),
        "docs/gpu.md": (
            f"could find: {report.duration(planned.wall).partition(' ')[0]} hours of",
            f"{found:.3f} of pass",
        ),
    }.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        assert [word for word in words if word not in text] == [], name


# A finished run


def finished(folder: Path, **blocks: Any) -> Path:
    """A folder with what a run of tiny leaves of its size: twice the tokens and thrice the seconds of its plan."""
    params = tiny(**blocks)
    planned = build.plan(params, DEVICES["cpu"])
    (folder / "results/metrics").mkdir(parents=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(TINY | blocks))
    (folder / "results/metrics/generate.json").write_text(
        json.dumps({"seconds": 0, "tokens": 2 * planned.tokens["generate", ""], "completions": 16320})
    )
    longer = build.plan(params, DEVICES["cpu"], corrections=build.Corrections({"generate": 2.0})).seconds
    for stage in ("base", "generate"):
        path = folder / f"results/metrics/{stage}.json"
        held = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(held | {"seconds": 3 * longer[stage, ""]}))
    return folder


def test_a_run_of_other_settings_corrects_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = measured.read(finished(tmp_path / "run", seeds=[8, 9]))
    found = build.corrections(run, DEVICES["cpu"], tiny())
    assert found.tokens == pytest.approx({"generate": 2.0, "reward": 2.0, "score": 2.0})
    assert found.seconds == pytest.approx({"base": 3.0, "generate": 3.0})
    assert build.corrections(run, DEVICES["h100"], tiny()).seconds == {}, "a CPU's seconds say nothing of a GPU"
    with pytest.raises(UserError, match="a run of base kind world, which says nothing of one of kind hub"):
        build.corrections(run, DEVICES["h100"], published())
    plain, corrected = build.plan(tiny(), DEVICES["cpu"]), build.plan(tiny(), DEVICES["cpu"], corrections=found)
    assert corrected.tokens["generate", ""] == pytest.approx(2 * plain.tokens["generate", ""])
    assert corrected.seconds["base", ""] == pytest.approx(3 * plain.seconds["base", ""])
    assert cli.execute(["plan", "--from", str(tmp_path / "run")]) == 0
    assert "Corrected by the other run" in capsys.readouterr().out


def test_a_run_of_the_same_settings_stands_beside_the_plan_and_changes_nothing(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["plan"]) == 0
    alone = capsys.readouterr().out
    finished(tmp_path / "run")
    shutil.copytree(tmp_path / "run/results", project / "results")
    assert cli.execute(["plan"]) == 0
    beside = capsys.readouterr().out
    shown, _, compared = beside.partition("Beside the finished run")
    assert shown.strip() == alone.partition("Assumed:")[0].strip()
    line = next(line for line in compared.splitlines() if line.startswith(" generate"))
    assert line.split()[1:4] == ["535k", "1.07M", "0.50"]
    assert cli.execute(["plan", "smoke"]) == 0
    assert "Beside the finished run" not in capsys.readouterr().out


def test_settings_that_changed_since_the_run_are_named(tmp_path: Path) -> None:
    folder = finished(tmp_path / "run")
    held = {"params.yaml": {"rl": TINY["rl"] | {"epochs": 9}, "score.batch": TINY["score"]["batch"], "arms.n1": None}}
    outs = [{"path": "models/rl/n1", "size": 1000}, {"path": "results/curves/n1.json", "size": 24}]
    (folder / "dvc.lock").write_text(yaml.safe_dump({"stages": {"rl@n1": {"params": held, "outs": outs}}}))
    run = measured.read(folder)
    assert run.changed == ("arms.n1", "rl")
    assert run.disk == 1024
    (folder / "results/metrics/distil.json").write_text("[")
    with pytest.raises(UserError, match=r"distil.json:1: not the numbers of a stage; delete the file"):
        measured.read(folder)


def test_the_plan_of_tiny_is_near_the_committed_run(committed: Path) -> None:
    run = measured.read(committed)
    assert run.params == tiny()
    planned = build.plan(run.params, DEVICES["cpu"])
    for stage, tokens in build.by_stage(run.tokens).items():
        assert build.by_stage(planned.tokens)[stage] == pytest.approx(tokens, rel=0.25), stage
    for place in (place for place in run.samples if place[0] in ("generate", "distil", "rl", "evaluate")):
        assert planned.samples[place] == run.samples[place], place
    assert planned.disk.outputs == pytest.approx(run.disk, rel=0.25)


def test_the_plan_of_smollm2_is_near_its_kept_run() -> None:
    run = measured.read(ROOT / "reports/smollm2")
    assert run.params == settings.load(ROOT / "profiles/smollm2.yaml")
    assert run.changed == ()
    planned = build.plan(run.params, DEVICES["cpu"])
    for place in (place for place in run.samples if place[0] in ("generate", "distil", "rl", "evaluate")):
        assert planned.samples[place] == run.samples[place], place
    tokens = [sum(one.tokens[place] for place in run.tokens) for one in (planned, run)]
    assert tokens[0] == pytest.approx(tokens[1], rel=0.25)
    assert planned.disk.outputs == pytest.approx(run.disk, rel=0.25)


# What is printed


def test_the_plan_fits_a_hundred_columns_and_loads_no_heavy_library() -> None:
    script = (
        "import sys; from polya_midtrain.start import main; code = main(['plan', 'tiny', '--arms']); "
        "print(code, sorted({'torch', 'transformers', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "0 []"
    assert max(map(len, lines)) <= 100
    assert "…" not in done.stdout
    text = "\n".join(lines)
    for words in (
        " rl x 22 ",
        "   b16 ",
        " tables x 8 ",
        "From start to end ",
        "Disk: ",
        "Memory: ",
        "RTX 4090",
        " 64 ",
    ):
        assert words in text
    assert "Beside the finished run" not in text


def test_nothing_but_the_command_line_knows_the_plan() -> None:
    package = ROOT / "src/polya_midtrain"
    users = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "polya_midtrain.plan" in path.read_text() and path.parent.name != "plan"
    ]
    assert users == ["cli.py"]
    assert command.chosen(None, tiny(), None) is DEVICES["cpu"]
    assert command.chosen(None, published(), 2) is DEVICES["h100"]


def test_works_are_pure() -> None:
    params = tiny()
    assumed, models = assume.assumptions(params), sizes.models(params)
    assert assumed == assume.assumptions(params)
    assert works(params, assumed, models, dict(devices.GRADING)) == works(
        params, assumed, models, dict(devices.GRADING)
    )
