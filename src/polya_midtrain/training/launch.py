"""One training spread over several processes by `accelerate launch`: one a GPU, on one host or more.

The stage starts it and waits; each process reads params.yaml, trains its share and meets the others in accelerate's
process group; the first of them saves the checkpoint and the curve into the stage's scratch folder, as a training in
the stage's own process would. The processes of further hosts are started there (`training.join`) by the same command.
Works on a CPU too, where it gains nothing and is tested.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from polya_midtrain import params as settings
from polya_midtrain import stages
from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import Machine
from polya_midtrain.runtime import parent, room, workers
from polya_midtrain.training import hosts
from polya_midtrain.training.seeds import Seed, train

PAUSE = 0.2  # seconds between two looks at a launched training
PATIENCE = 45.0  # seconds that it gets to end when the stage is stopped; torch gives its own processes 30 of them


def command(machine: Machine, arguments: Sequence[str], rank: int = 0) -> list[str]:
    """The command line of a launch on host ``rank``; its configuration file may add FSDP, or further hosts."""
    options = ["--num_processes", str(machine.processes)]
    if machine.accelerate is not None:
        options += ["--config_file", str(machine.accelerate), "--machine_rank", str(rank)]
    else:
        mixed = "bf16" if policy.device_of(machine.device) == "cuda" else "no"
        options += ["--multi_gpu", "--num_machines", "1", "--mixed_precision", mixed, "--dynamo_backend", "no"]
        options += ["--main_process_port", "0"]
    return [sys.executable, "-m", "accelerate.commands.launch", *options, "-m", __name__, *arguments]


def environment() -> dict[str, str]:
    """The environment of a launch: this process's, with its import path."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def run(job: Seed, report: workers.Report) -> None:
    """Launch one seed's training and wait for it. `UserError` where it ends in another way than with a checkpoint."""
    arguments = [job.stage, job.arm, str(job.seed), str(job.work), job.key]
    several = hosts.count(job.params.machine) > 1
    base = base_of(arguments)
    progress, fault, output = (base.with_suffix(ending) for ending in (".progress", ".fault", ".log"))
    for file in (progress, fault):
        file.unlink(missing_ok=True)
    with output.open("wb") as stream, hosts.calling(arguments) if several else nullcontext():
        process = subprocess.Popen(
            command(job.params.machine, arguments),
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment(),
            preexec_fn=partial(parent.follow, os.getpid()),
        )
        try:
            while process.poll() is None and not fault.exists():  # a fault of one host leaves the others waiting
                time.sleep(PAUSE)
                if progress.exists():
                    report(*json.loads(progress.read_text()))
        finally:
            stop(process)
    if fault.exists():
        raise UserError(fault.read_text())
    if process.returncode:
        raise UserError(
            f"accelerate launch for {job.stage} {job.arm}, seed {job.seed}, ended with exit code {process.returncode}; "
            f"what it said is in {output}; run it again, or set machine.processes to 1 in params.yaml"
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a launch that still runs, and its processes with it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def base_of(arguments: Sequence[str]) -> Path:
    """Where a launch with these arguments leaves its progress, fault and log: this path with an ending."""
    _, _, seed, work, _ = arguments
    return Path(work) / f"launch-{seed}"


def leave(base: Path, ending: str, text: str) -> None:
    """Write a file that another process waits for, whole at once."""
    draft = base.with_suffix(f"{ending}-{os.getpid()}")
    draft.write_text(text)
    draft.replace(base.with_suffix(ending))


def main(arguments: list[str]) -> int:
    """One process of a launched training."""
    parent.follow(os.getppid())
    stage, arm, seed, work, key = arguments
    place, local = (int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK"))
    base = base_of(arguments)

    def tell(done: float, total: float, note: str = "") -> None:
        leave(base, ".progress", json.dumps([done, total, note]))

    try:
        policy.quiet()
        params = settings.load()
        device = policy.device_of(params.machine.device)
        training = importlib.import_module(f"{stages.__name__}.{stage}").training(params, arm)
        job = Seed(params, stage, arm, int(seed), Path(work), key)
        with room.enough(stage):
            train(job, training, f"cuda:{local}" if device == "cuda" else device, tell, main=place == 0)
    except UserError as error:
        leave(base, ".fault", str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
