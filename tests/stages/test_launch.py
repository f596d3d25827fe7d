"""Trainings that accelerate spreads over two processes: the same numbers as one process, but for rounding."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.common import policy
from polya_midtrain.common.records import Question, TrainingRow, write_records
from polya_midtrain.errors import UserError
from polya_midtrain.params import Machine, Params
from polya_midtrain.stages import midtrain, rl
from polya_midtrain.training import launch
from polya_midtrain.world import problems, traces

ROOT = Path(__file__).resolve().parents[2]
ROWS = 8
CHANGES: dict[str, dict[str, Any]] = {
    # One step an epoch, on all rows: the gradient is the same however the rows are shared out.
    "midtrain": {"epochs": 2, "batch": ROWS, "micro_batch": 2, "warmup": 0.0, "learning_rate": 0.01},
    "rl": {"prompts": 2, "generations": 4, "micro_batch": 4, "max_tokens": 12, "learning_rate": 0.01},
}
PLACE = Path("n2/seed-1")


@pytest.fixture
def project(tmp_path: Path, tiny_policy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which stages midtrain and rl can run for arm n2: a base, a training set, RL questions."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "data/heuristics", "data/heuristics")
    shutil.copytree(tiny_policy, paths.BASE)
    policy.point(paths.MIDTRAIN / PLACE, paths.BASE)
    rng = random.Random(6)
    drawn = [problems.sample(rng, 1) for _ in range(ROWS)]
    rows = [
        TrainingRow(str(i), "lemma", problems.text(p), traces.write(p, ["lemma"]), 9, 0.0, "maths")
        for i, p in enumerate(drawn)
    ]
    write_records(paths.TRAIN / "n2.parquet", TrainingRow, rows)
    asked = [Question(str(i), problems.text(p), ["11", "22"][i % 2], "maths", "world") for i, p in enumerate(drawn[:4])]
    write_records(paths.RL_QUESTIONS, Question, asked)
    return tmp_path


def written(processes: int = 1, accelerate: str | None = None, **changes: Any) -> Params:
    """params.yaml, which the launched processes read for themselves."""
    content = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text())
    arms = {"vanilla": {"traces": "none"}, "n2": {"traces": "heuristics", "n": 2}}
    machine = {"device": "cpu", "workers": 1, "processes": processes, "accelerate": accelerate}
    content |= {"seeds": [1], "arms": arms, "machine": machine}
    for name in ("midtrain", "rl"):
        content[name] |= CHANGES[name] | changes.get(name, {})
    settings.PARAMS_FILE.write_text(yaml.safe_dump(content))
    return settings.load()


def weights(folder: Path) -> torch.Tensor:
    model, _ = policy.load(policy.resolve(folder), "cpu")
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.usefixtures("project")
def test_midtraining_learns_what_one_process_learns() -> None:
    found = []
    for processes in (1, 2):
        midtrain.run(written(processes), "n2")
        found.append(weights(paths.MIDTRAIN / PLACE))
    one, two = found
    start = weights(paths.BASE)
    assert (one - start).norm() > 0.1
    assert (one - two).norm() < 1e-3 * (one - start).norm()


@pytest.mark.usefixtures("project")
def test_rl_draws_the_rollouts_that_one_process_draws() -> None:
    curves = []
    for processes in (1, 2):
        rl.run(written(processes), "n2")
        curves.append(json.loads((paths.CURVES / "n2.json").read_text())["seeds"]["1"])
    one, two = curves
    assert [point["step"] for point in one] == [point["step"] for point in two] == [1, 2]
    for name in ("reward", "length"):
        assert two[0][name] == pytest.approx(one[0][name])  # the first step's, before any weight has moved
    assert (weights(paths.RL / PLACE) - weights(paths.BASE)).norm() > 0.01


@pytest.mark.usefixtures("project")
def test_bad_input_of_a_process_is_the_stage_s_one_line() -> None:
    (paths.BASE / "config.json").unlink()
    with pytest.raises(UserError, match=r"^models/base: no checkpoint here; run `dvc repro`"):
        rl.run(written(2), "n2")


def test_a_launch_that_fails_names_its_output(project: Path) -> None:
    (project / "accelerate.yaml").write_text("no: configuration\n")
    with pytest.raises(
        UserError, match=r"accelerate launch for rl n2, seed 1, ended with exit code 1; .*\.log; "
    ) as said:
        rl.run(written(2, "accelerate.yaml"), "n2")
    output = str(said.value).partition("what it said is in ")[2].partition(";")[0]
    assert "distributed_type" in Path(output).read_text()


def test_the_command_takes_the_configuration_or_says_it_all() -> None:
    plain = launch.command(Machine(device="cpu", processes=2), ["rl", "n2"])
    assert plain[1:3] == ["-m", "accelerate.commands.launch"]
    assert plain[-2:] == ["rl", "n2"]
    assert plain[plain.index("--num_processes") + 1] == "2"
    assert plain[plain.index("--mixed_precision") + 1] == "no"
    given = launch.command(Machine(device="cpu", processes=8, accelerate=Path("fsdp.yaml")), [])
    assert given[given.index("--config_file") + 1] == "fsdp.yaml"
    assert "--multi_gpu" not in given


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rl": {"prompts": 3}}, r"rl\.prompts 3 cannot be shared by machine\.processes 2"),
        ({"midtrain": {"batch": 5, "micro_batch": 5}}, r"midtrain\.batch 5 cannot be shared by machine\.processes 2"),
    ],
)
def test_a_batch_that_cannot_be_shared_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        written(2, **change)
