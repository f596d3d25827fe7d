"""Trainings that accelerate spreads over two processes: the same numbers as one process, but for rounding."""

from __future__ import annotations

import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from accelerate.commands.config import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import Machine, Params
from polya_midtrain.records import Question, TrainingRow, write_records
from polya_midtrain.stages import midtrain, rl
from polya_midtrain.training import hosts, join, launch
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
    shutil.copytree(tiny_policy, paths.base(1))
    policy.point(paths.MIDTRAIN / PLACE, paths.base(1))
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
    content |= {"seeds": [1], "bases": [{}], "arms": arms, "machine": machine}
    for name in ("midtrain", "rl"):
        content[name] |= CHANGES[name] | changes.get(name, {})
    settings.PARAMS_FILE.write_text(yaml.safe_dump(content))
    return settings.load()


def configuration(name: str, **changes: Any) -> str:
    """A configuration file of the repository, with other values."""
    return yaml.safe_dump(yaml.safe_load((ROOT / name).read_text()) | changes)


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
    start = weights(paths.base(1))
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
    assert (weights(paths.RL / PLACE) - weights(paths.base(1))).norm() > 0.01


@pytest.mark.usefixtures("project")
def test_bad_input_of_a_process_is_the_stage_s_one_line() -> None:
    (paths.base(1) / "config.json").unlink()
    with pytest.raises(UserError, match=r"^models/base/base-1: no checkpoint here; run `dvc repro`"):
        rl.run(written(2), "n2")


def test_a_launch_that_fails_names_its_output(project: Path) -> None:
    (project / "accelerate.yaml").write_text(configuration("machines/fsdp.yaml", mixed_precision="nonesuch"))
    with pytest.raises(
        UserError, match=r"accelerate launch for rl n2, seed 1, ended with exit code 1; .*\.log; "
    ) as said:
        rl.run(written(2, "accelerate.yaml"), "n2")
    output = str(said.value).partition("what it said is in ")[2].partition(";")[0]
    assert "nonesuch" in Path(output).read_text()


def test_the_command_takes_the_configuration_or_says_it_all() -> None:
    plain = launch.command(Machine(device="cpu", processes=2), ["rl", "n2"])
    assert plain[1:3] == ["-m", "accelerate.commands.launch"]
    assert plain[-2:] == ["rl", "n2"]
    assert plain[plain.index("--num_processes") + 1] == "2"
    assert plain[plain.index("--mixed_precision") + 1] == "no"
    given = launch.command(Machine(device="cpu", processes=8, accelerate=Path("fsdp.yaml")), [])
    assert given[given.index("--config_file") + 1] == "fsdp.yaml"
    assert "--multi_gpu" not in given
    assert given[given.index("--machine_rank") + 1] == "0"


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


# accelerate shards models on GPUs only: on a CPU it would take the file and train without shares. Here it is told that
# the CPU is what it shards on; trainer, shares, gathering and saving are then those of GPUs, over gloo.
SHARDED = """
import sys
import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor
from polya_midtrain.training import hooks, launch

def backend(self, *_, **__):
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    return "gloo", DistributedType.MULTI_GPU

def device(self):
    self.device = torch.device("cpu")

run = hooks.run_trainer
def run_trainer(trainer, folder):
    log = run(trainer, folder)
    assert all(isinstance(value, DTensor) for value in trainer.model.parameters())
    return log

PartialState._prepare_backend, PartialState.set_device, hooks.run_trainer = backend, device, run_trainer
code = launch.main(sys.argv[1:])
torch.distributed.destroy_process_group()
sys.exit(code)
"""


@pytest.fixture
def sharded(project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The repository's FSDP file for a CPU."""
    (project / "sharded_on_a_cpu.py").write_text(SHARDED)
    monkeypatch.syspath_prepend(project)
    plain = launch.command

    def command(*given: Any) -> list[str]:
        return [{launch.__name__: "sharded_on_a_cpu"}.get(word, word) for word in plain(*given)]

    monkeypatch.setattr(launch, "command", command)
    (project / "fsdp.yaml").write_text(configuration("machines/fsdp.yaml", mixed_precision="no"))
    return "fsdp.yaml"


def test_midtraining_in_shares_saves_the_whole_model_that_one_process_learns(sharded: str) -> None:
    found = []
    for params in (written(), written(2, sharded)):
        midtrain.run(params, "n2")
        found.append(weights(paths.MIDTRAIN / PLACE))
    one, two = found
    start = weights(paths.base(1))
    assert (one - start).norm() > 0.1
    assert (one - two).norm() < 1e-3 * (one - start).norm()


def test_rl_in_shares_samples_and_saves_the_whole_model(sharded: str) -> None:
    curves = []
    for params in (written(), written(2, sharded)):
        rl.run(params, "n2")
        curves.append(json.loads((paths.CURVES / "n2.json").read_text())["seeds"]["1"])
    one, two = curves
    assert [point["step"] for point in two] == [1, 2]
    for name in ("reward", "length"):
        assert two[0][name] == pytest.approx(one[0][name])
    assert (weights(paths.RL / PLACE) - weights(paths.base(1))).norm() > 0.01


@pytest.fixture
def two_hosts(project: Path) -> str:
    """A configuration of two hosts that both are this one, without shares."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    plain = {"distributed_type": "MULTI_GPU", "mixed_precision": "no", "fsdp_config": {}}
    here = {"main_process_ip": "127.0.0.1", "main_process_port": port}
    (project / "hosts.yaml").write_text(configuration("machines/two-hosts.yaml", **plain, **here))
    return "hosts.yaml"


@contextmanager
def joined() -> Iterator[subprocess.Popen[str]]:
    """The second host: `polya join 1` in the same folder."""
    command = [sys.executable, "-c", "import sys; from polya_midtrain.start import main; sys.exit(main())", "join", "1"]
    process = subprocess.Popen(
        command,
        env=launch.environment(),
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # it is ignored below a shell's `command &`
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


@pytest.mark.slow
def test_two_hosts_train_what_one_trains(two_hosts: str) -> None:
    midtrain.run(written(), "n2")
    one, start = weights(paths.MIDTRAIN / PLACE), weights(paths.base(1))
    params = written(2, two_hosts)
    with joined() as host:
        for _ in range(2):  # the second host goes on waiting after the first training
            shutil.rmtree(paths.MIDTRAIN / "n2")
            midtrain.run(params, "n2")
            two = weights(paths.MIDTRAIN / PLACE)
            assert (one - two).norm() < 1e-3 * (one - start).norm()
        assert not hosts.CALL.exists()
    assert host.stdout is not None
    said = host.stdout.read()
    assert said.startswith("host 1 of 2 waits")
    assert said.count("takes part in midtrain n2, seed 1") == 2
    assert said.count("done") >= 1
    assert host.returncode == 130


def test_a_fault_of_the_second_host_is_the_first_one_s_line(two_hosts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    params = written(2, two_hosts)
    plain = launch.command

    def command(machine: Machine, arguments: Sequence[str], rank: int = 0) -> list[str]:
        return [sys.executable, "-c", "raise SystemExit(7)"] if rank else plain(machine, arguments)

    def second() -> None:
        while (call := hosts.called()) is None:
            time.sleep(0.05)
        join.take_part(call, 1)

    def kill(process: subprocess.Popen[bytes]) -> None:
        pytest.fail("the first host's launch did not end by itself when it was asked to")

    monkeypatch.setattr(launch, "command", command)
    monkeypatch.setattr(launch, "PATIENCE", 3600.0)
    monkeypatch.setattr(subprocess.Popen, "kill", kill)
    helper = threading.Thread(target=second)
    helper.start()
    with pytest.raises(
        UserError, match=r"^host 1 \(.*\): accelerate launch ended with exit code 7; what it said is in "
    ):
        midtrain.run(params, "n2")
    helper.join()
    assert not hosts.CALL.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_machines": 3}, r"num_machines 3 does not divide machine\.processes 4 of params\.yaml; correct it"),
        ({"main_process_ip": None}, r"several hosts need main_process_ip and a main_process_port"),
        ({"fsdp_config": {"fsdp_version": 1}}, r"fsdp_config needs fsdp_version 2"),
        ({"fsdp_config": {"fsdp_version": 2}}, r"fsdp_config needs fsdp_state_dict_type FULL_STATE_DICT"),
        ({"no": "key"}, r"no configuration of accelerate \(.*no.*\); take one of machines/"),
    ],
)
def test_a_configuration_that_cannot_work_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("given.yaml").write_text(configuration("machines/two-hosts.yaml", **changes))
    with pytest.raises(UserError, match=rf"^given\.yaml: {message}"):
        hosts.count(Machine(device="cpu", processes=4, accelerate=Path("given.yaml")))


def test_more_processes_than_gpus_and_a_file_that_is_not_there_are_one_line_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    two = ROOT / "machines/two-hosts.yaml"
    assert hosts.count(Machine(processes=6, accelerate=two)) == 2
    with pytest.raises(UserError, match=r"asks for 4 GPUs on each of 2 hosts and torch sees 3 on this one; lower it"):
        hosts.count(Machine(processes=8, accelerate=two))
    with pytest.raises(UserError, match=r"^nowhere\.yaml: no such file; name one of machines/"):
        hosts.count(Machine(processes=2, accelerate=Path("nowhere.yaml")))


@pytest.mark.parametrize("file", sorted((ROOT / "machines").glob("*.yaml")), ids=lambda file: file.name)
def test_accelerate_takes_every_file_of_machines(file: Path) -> None:
    given = launch.command(Machine(device="cpu", processes=4, accelerate=file), ["rl", "n2"], 1)
    arguments, defaults, _ = _validate_launch_command(launch_command_parser().parse_args(given[3:]))
    assert defaults is not None
    assert load_config_from_file(str(file)).to_dict() == defaults.to_dict()
    assert arguments.use_fsdp
    assert (arguments.fsdp_version, arguments.fsdp_state_dict_type) == (2, "FULL_STATE_DICT")
    assert (arguments.num_processes, arguments.machine_rank) == (4, 1)
    assert hosts.count(Machine(device="cpu", processes=4, accelerate=file)) == arguments.num_machines


@pytest.mark.usefixtures("project")
def test_a_host_that_has_nothing_to_join_says_so(two_hosts: str) -> None:
    written(2)
    with pytest.raises(UserError, match=r"machine\.accelerate is None, with 1 hosts; name a file of several"):
        join.join(1, print)
    written(2, two_hosts)
    with pytest.raises(UserError, match=r"with 2 hosts; `polya join` takes 1 to 1"):
        join.join(2, print)


def test_a_launch_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "PATIENCE", 0.2)
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    launch.stop(process)
    assert process.returncode == -signal.SIGKILL
