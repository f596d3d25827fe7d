"""`polya plan`: time, disk and memory by hand, on one GPU or on several, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from polya_midtrain import cli
from polya_midtrain.common import shapes
from polya_midtrain.errors import UserError
from polya_midtrain.params import Machine, Params
from polya_midtrain.plan import build, command, devices, layout, needs, report, sizes
from polya_midtrain.plan.assume import Asked
from polya_midtrain.plan.devices import DEVICES, STARTED, STREAMED_TOKEN, Device
from polya_midtrain.plan.layout import Layout
from polya_midtrain.plan.work import Load, sampled

ROOT = Path(__file__).resolve().parents[1]
TINY: dict[str, Any] = yaml.safe_load((ROOT / "profiles/tiny.yaml").read_text())
PAPER: dict[str, Any] = yaml.safe_load((ROOT / "profiles/paper.yaml").read_text())
SMALL = shapes.Model("small", 4, 8, 2, 2, 1, 2, 10)
HAND = Device("hand", "hand", "cuda", 2e6, 1e6, 1e4, 1e9, 0.25, 0.5, 1.0, 4.0, 0.5, 0.01, 0.1, "a test")
ALONE = {"device": "cuda"}  # one GPU, and the package's own engine


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


def paper(**blocks: Any) -> Params:
    """Profile paper with some settings of its blocks changed."""
    return Params.model_validate(PAPER | {name: PAPER[name] | block for name, block in blocks.items()})


def own(**blocks: Any) -> Params:
    """Profile paper on one GPU and the package's own engine."""
    return Params.model_validate(
        PAPER | {"machine": ALONE} | {name: PAPER[name] | block for name, block in blocks.items()}
    )


# Models


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("meta-llama/Llama-3.2-3B-Instruct", 3_212_749_824),
        ("Qwen/QwQ-32B", 32_763_876_352),
        ("Skywork/Skywork-Reward-V2-Llama-3.1-8B", 7_504_928_768),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008),
        ("HuggingFaceTB/SmolLM2-360M-Instruct", 361_821_120),
    ],
)
def test_published_models_have_the_published_number_of_weights(name: str, parameters: int) -> None:
    assert sizes.MODELS[name].parameters == parameters


def test_the_embedded_base_has_the_weights_that_its_training_counts() -> None:
    base = sizes.models(tiny())["base"]
    assert base.parameters == 115_904
    assert base.checkpoint == 4 * 115_904


def test_memory_by_hand() -> None:
    # Per layer 2 x 4 x (4 + 2) of attention, 3 x 4 x 8 of the perceptron, 8 of norms; a norm and an embedding of 40.
    assert SMALL.parameters == 2 * (48 + 96 + 8) + 4 + 40
    assert SMALL.key_values == 2 * 2 * 1 * 2 * 4
    assert SMALL.sampled_row(5.0) == 5 * 32 + 3 * 4 * 10
    assert SMALL.sampled_row(5.0, size=2) == 5 * 16 + 3 * 4 * 10
    assert SMALL.trained_row(5.0) == 5 * 4 * (2 * 17 * 4 + 30)
    layer, casts, head = 30 * 4 + 4 * 2 + 8 * 8, 2 * (348 - 40), 4 * 40
    assert SMALL.update(2, 5.0, checkpointed=False) == 10 * 2 * layer + casts + 2 * 10 * layer + head
    assert SMALL.update(2, 5.0, checkpointed=True) == 10 * 2 * 4 * 4 + max(casts, 2 * 10 * layer + head)


# Time, disk and memory


class Hand(NamedTuple):
    load: Load
    seconds: float


@pytest.mark.parametrize(
    "case",
    [
        Hand(Load(scored_tokens=1000), 2 * 348 * 1000 / (1e6 * 0.5 * 0.5)),
        Hand(Load(trained_tokens=1000), 6 * 348 * 1000 / (2e6 * 0.25 * 0.8)),
        Hand(Load(train_steps=3), 3 * 0.1),
        Hand(Load(decode_steps=10), 10 * (2 * 0.01 + 2 * 348 / (1e4 * 0.5))),  # in bfloat16
        Hand(Load(looked_back=50), 50 * 16 / (1e4 * 0.5)),
        Hand(Load(train_steps=3, tasks=3), 3 * 0.1 * 2 / 3),
        Hand(Load(downloads=2e8), 2.0),
    ],
)
def test_seconds_by_hand(case: Hand) -> None:
    assert devices.seconds(case.load, SMALL, HAND, 2) == pytest.approx(case.seconds)


def test_disk_by_hand() -> None:
    planned = build.plan(tiny(), DEVICES["cpu"])
    checkpoints = 2 + 2 * (21 + 22)  # base and teacher; two seeds of 21 mid-trained arms, and of 22 after RL
    reward = 4 * (115_904 + 64)
    assert planned.disk.models == checkpoints * 4 * 115_904 + reward
    kept = needs.outputs(planned.params, planned.works, planned.sizes)
    assert kept["midtrain", "vanilla"] == (0.0, 0.0)
    assert kept["verify", ""] == (0.0, kept["generate", ""][1])
    assert planned.disk.total == 2 * planned.disk.outputs + planned.disk.scratch
    often = tiny(rl=TINY["rl"] | {"save_steps": 10})
    states = 2 * 12 * 115_904 * min(2, planned.side_by_side)
    assert build.plan(often, DEVICES["cpu"]).disk.scratch == pytest.approx(planned.disk.scratch + states)


def test_bytes_and_times_are_written_in_units_that_fit() -> None:
    assert [needs.human(value) for value in (5, 1234, 2.5e6, 7.53e9, 2.1e12)] == [
        "5 B",
        "1.23 kB",
        "2.5 MB",
        "7.53 GB",
        "2.1 TB",
    ]
    assert [report.duration(value) for value in (7, 599, 700, 9000, 1e6)] == [
        "7 s",
        "599 s",
        "12 min",
        "2.5 h",
        "278 h",
    ]
    assert [report.count(value) for value in (0, 7, 999, 16_320, 530_212, 5.5e6)] == [
        "-",
        "7",
        "999",
        "16.3k",
        "530k",
        "5.5M",
    ]


def test_too_little_disk_is_refused_after_the_plan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 1_000_000))
    assert cli.execute(["plan"]) == 2
    shown = capsys.readouterr()
    assert shown.out.startswith("Plan of profile tiny: 22 arms, 2 training seeds, on ")
    assert shown.err.startswith("polya: params.yaml: the run needs 1")
    assert "and 1 MB are free here; make room, or take fewer seeds or arms" in shown.err
    assert shown.err.count("\n") == 1


def test_too_little_memory_is_refused_with_what_would_fit() -> None:
    small = own(generate={"max_tokens": 3000, "rows": 512})
    planned = build.plan(small, DEVICES["h100"])
    faults = needs.shortfalls(planned.disk, planned.memory, planned.device, Path())
    assert any("stage distil needs" in fault and "lower distil.rows from 64 to " in fault for fault in faults)
    card = build.plan(small, DEVICES["rtx4090"])
    more = needs.shortfalls(card.disk, card.memory, card.device, Path())
    weights = next(fault for fault in more if "stage distil" in fault)
    assert "RTX 4090 has 24 GB; take a device with more memory" in weights, "QwQ-32B alone is 66 GB"
    rows = next(fault for fault in faults if "stage generate" in fault)
    most = int(rows.split("lower generate.rows from 512 to ")[1].split()[0])
    fits = build.plan(own(generate={"max_tokens": 3000, "rows": most}), DEVICES["h100"]).memory
    assert next(one for one in fits if one.stage == "generate").bytes <= 80e9


def test_a_machine_with_too_little_memory_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(needs, "host_memory", lambda: 5e8)
    assert cli.execute(["plan", "tiny"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("polya: profiles/tiny.yaml: stage ")
    assert "and this machine has 500 MB; " in line


# Several GPUs


@pytest.mark.parametrize(
    "case",
    [
        # twice as many on two GPUs, less what they talk
        Hand(
            Load(completion_tokens=1000, streamed=True),
            STARTED + 1000 * (STREAMED_TOKEN + 2 * 348 / (1e6 * 0.5 * 0.5 * 1.7)),
        ),
        Hand(Load(decode_steps=10, streamed=True), STARTED + 10 * (2 * 4e-5 + 2 * 348 / (1e4 * 0.5 * 1.7))),
        Hand(Load(looked_back=50, streamed=True), STARTED + 50 * 16 / (1e4 * 0.5 * 1.7)),
        # a copy of the model for every other task
        Hand(Load(train_steps=4, streamed=True, tasks=4), STARTED + 4 * 0.1 / 2),
        Hand(Load(scored_tokens=1000), 2 * 348 * 1000 / (1e6 * 0.5 * 0.5)),  # what is read is read on one
        Hand(Load(trained_tokens=1000, processes=4), 6 * 348 * 1000 / (2e6 * 0.25 * 0.8 * 3.4)),
        Hand(  # three trainings, one after the other
            Load(completion_tokens=1000, streamed=True, tasks=3, processes=4),
            3 * STARTED + 1000 * (STREAMED_TOKEN / 4 + 2 * 348 / (1e6 * 0.5 * 0.5 * 3.4)),
        ),
    ],
)
def test_seconds_of_several_gpus_by_hand(case: Hand) -> None:
    spread = Layout(streaming=True, wide=2, copies=2, processes=4)
    assert devices.seconds(case.load, SMALL, HAND, 1, spread) == pytest.approx(case.seconds)
    cpu = replace(HAND, kind="cpu")
    plain = replace(case.load, streamed=False, processes=0)
    whole = replace(SMALL, stored=4)  # everything on a CPU is in float32
    assert devices.seconds(case.load, SMALL, cpu, 1) == devices.seconds(plain, whole, HAND, 1)


def test_where_an_answer_ends_the_next_begins() -> None:
    asked = Asked(prompt=30.0, shared=10.0, answer=20.0, longest=40.0)
    load = sampled([10], 4, 8, asked, streamed=True)
    assert load.decode_steps == 10 * 4 * 20 / 8
    assert load.prefilled == 10 * 20 + 10
    assert sampled([1], 4, 8, asked, streamed=True).decode_steps == 40, "a job takes as long as its longest answer"


def test_a_layout_is_that_of_the_machine_s_settings() -> None:
    machine = Machine(device="cuda", engine="vllm", tensor_parallel=2, data_parallel=2, processes=4)
    assert layout.of(machine, "cuda") == Layout(True, 2, 2, 4)
    assert layout.of(machine, "cuda").gpus == 4
    assert layout.of(machine, "cpu") == Layout()
    for name, shared in (("fsdp.yaml", True), ("two-hosts.yaml", True)):
        spread = layout.of(machine.model_copy(update={"accelerate": ROOT / "machines" / name}), "cuda")
        assert spread == Layout(True, 2, 2, 4, shared)
    assert Layout(processes=4).state(1.0) == 4.0
    assert Layout(processes=4, shared=True).state(1.0) == 1.0
    with pytest.raises(UserError, match=r"^none\.yaml: no such file; name one of machines/"):
        layout.of(Machine(device="cuda", accelerate=Path("none.yaml")), "cuda")


def test_the_teacher_of_the_paper_fits_two_gpus_under_vllm_and_not_one() -> None:
    """In bfloat16 QwQ-32B takes 65.5 GB, of which 68 GB of a GPU's 80 leave no room for its cache and vLLM itself."""

    def distil(**machine: Any) -> needs.Memory:
        planned = build.plan(paper(machine=machine), DEVICES["h100"])
        return next(one for one in planned.memory if one.stage == "distil")

    both, one = distil(), distil(tensor_parallel=1, data_parallel=4)
    weights = 2 * 32_763_876_352
    cache = 4096 * 2 * 2 * 64 * 8 * 128  # of the answer alone
    assert (weights + cache) / 2 / 0.85 < both.bytes < 80e9 < one.bytes
    assert one.remedy.startswith("raise machine.tensor_parallel")


def faults(gpu: Device = DEVICES["h100"], **machine: Any) -> list[str]:
    """What does not fit of profile paper on its GPUs, or on one."""
    planned = build.plan(paper(machine=machine), gpu)
    return [one for one in needs.shortfalls(planned.disk, planned.memory, planned.device, Path()) if "stage" in one]


ONE = {"processes": 1, "accelerate": None, "tensor_parallel": 1, "data_parallel": 1, "gpu_memory": 0.95}


def test_the_paper_s_study_fits_one_gpu_of_80_gb_and_four() -> None:
    """By `auto`; and with 0.3, on which an H100 ran out of memory while vLLM did not yet sleep."""
    assert faults() == faults(**ONE) == faults(accelerate=None) == []
    assert faults(**ONE, rollout_memory=0.3) == []
    assert faults(server="http://localhost:8000") == [], "vLLM is then on other GPUs"


def test_too_much_and_too_little_for_vllm_are_refused() -> None:
    (fault,) = faults(**ONE, rollout_memory=0.6)
    assert fault.startswith("stage rl needs ")
    assert "lower machine.rollout_memory, or share its state" in fault
    (low,) = faults(rollout_memory=0.1)
    assert low.endswith("raise machine.rollout_memory")
    small = faults(DEVICES["rtx4090"], **ONE)
    assert any(one.startswith("stage midtrain needs ") and "machines/fsdp.yaml" in one for one in small)


def test_what_auto_comes_to_is_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 3 * 10**12))
    assert cli.execute(["plan", "paper"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    gpus = layout.of(paper().machine, "cuda")
    found = needs.batches(paper(), sizes.models(paper())["base"], DEVICES["h100"], gpus, {})
    assert f"Sequences in a backward pass: midtrain {found['midtrain'].rows}" in shown
    assert "vLLM takes 0.75 of a GPU for rollouts (machine.rollout_memory)." in shown


def shared(capsys: pytest.CaptureFixture[str], **machine: Any) -> tuple[build.Plan, str]:
    """The plan of profile smollm2 on an H100, and what it says of the GPU."""
    content = yaml.safe_load((ROOT / "profiles/smollm2.yaml").read_text())
    planned = build.plan(Params.model_validate(content | {"machine": ALONE | machine}), DEVICES["h100"])
    report.show(planned, [], None, None, arms=False)
    return planned, " ".join(capsys.readouterr().out.split())


def test_seeds_of_a_small_model_share_a_gpu_and_the_plan_says_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    auto, shown = shared(capsys)
    assert {stage: auto.sharing[stage] for stage in ("midtrain", "rl", "modes")} == {"midtrain": 2, "rl": 2, "modes": 4}
    assert "Processes side by side on a GPU (machine.workers): " in shown
    assert f"rl 2, {needs.human(shapes.part(80e9, 2))} each" in shown
    assert all(one.bytes < 80e9 for one in auto.memory)
    one, said = shared(capsys, workers=1)
    assert one.sharing == {}
    assert "side by side" not in said
    assert one.wall > auto.wall > one.wall / 4
    vllm, _ = shared(capsys, engine="vllm")
    assert set(vllm.sharing) == {"midtrain", "modes"}
    assert not {"midtrain", "rl"} & set(shared(capsys, processes=2)[0].sharing)
    assert build.plan(paper(), DEVICES["h100"]).sharing == {}


def test_too_many_processes_for_a_gpu_are_refused() -> None:
    several = Params.model_validate(PAPER | {"machine": ALONE | {"workers": 3}})
    planned = build.plan(several, DEVICES["h100"])
    told = needs.shortfalls(planned.disk, planned.memory, planned.device, Path())
    assert any(one.startswith("stage rl needs ") and one.endswith("lower machine.workers") for one in told)


def test_arms_share_the_gpus_that_there_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    four, eight = (build.plan(paper(), DEVICES["h100"], gpus) for gpus in (None, 8))
    assert (four.lanes, eight.lanes) == (1, 2)
    assert 0.5 * four.wall < eight.wall < four.wall
    assert build.plan(own(), DEVICES["h100"]).wall > 4 * four.wall, "four GPUs, bfloat16 and vLLM"
    with pytest.raises(UserError, match=r"machine asks for 4 GPUs .* and the plan is for 2; raise --gpus, or lower"):
        build.plan(paper(), DEVICES["h100"], 2)
    assert command.chosen(None, paper(), 4) is DEVICES["h100"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 3 * 10**12))
    assert cli.execute(["plan", "paper"]) == 0
    shown = capsys.readouterr()
    assert ", on 4 x H100 80 GB SXM" in shown.out
    assert " GPU-hours, the time between" in shown.out
    assert "vLLM answers in bfloat16: 2 copies of a model, each on 2 GPUs; 4 processes share a training." in shown.out
    assert "RTX 4090" in shown.out
