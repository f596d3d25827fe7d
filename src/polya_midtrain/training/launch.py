"""One training spread over several processes by `accelerate launch`: one a GPU, on one host or more.

The stage starts it and waits; each process reads params.yaml, trains its share and meets the others in accelerate's
process group; the first of them saves the checkpoint and the curve into the stage's scratch folder, as a training in
the stage's own process would. Works on a CPU too, where it gains nothing and is tested.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from polya_midtrain import params as settings
from polya_midtrain import stages
from polya_midtrain.common import policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import Machine
from polya_midtrain.runtime import workers
from polya_midtrain.training.seeds import Seed, train

PAUSE = 0.2  # seconds between two looks at a launched training
PATIENCE = 20.0  # seconds that it gets to end when the stage is stopped


def command(machine: Machine, arguments: list[str]) -> list[str]:
    """The command line of a launch; its configuration file may add FSDP, ZeRO, or further hosts."""
    options = ["--num_processes", str(machine.processes)]
    if machine.accelerate is not None:
        options += ["--config_file", str(machine.accelerate)]
    else:
        mixed = "bf16" if policy.device_of(machine.device) == "cuda" else "no"
        options += ["--multi_gpu", "--num_machines", "1", "--mixed_precision", mixed, "--dynamo_backend", "no"]
        options += ["--main_process_port", "0"]
    return [sys.executable, "-m", "accelerate.commands.launch", *options, "-m", __name__, *arguments]


def run(job: Seed, report: workers.Report) -> None:
    """Launch one seed's training and wait for it. `UserError` where it ends in another way than with a checkpoint."""
    policy.check_gpus(job.params.machine)
    base = job.work / f"launch-{job.seed}"
    progress, fault, output = (base.with_suffix(ending) for ending in (".progress", ".fault", ".log"))
    for file in (progress, fault):
        file.unlink(missing_ok=True)
    arguments = [job.stage, job.arm, str(job.seed), str(job.work), job.key]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with output.open("wb") as stream:
        process = subprocess.Popen(
            command(job.params.machine, arguments), stdout=stream, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while process.poll() is None:
                time.sleep(PAUSE)
                if progress.exists():
                    report(*json.loads(progress.read_text()))
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE)
    if fault.exists():
        raise UserError(fault.read_text())
    if process.returncode:
        raise UserError(
            f"accelerate launch for {job.stage} {job.arm}, seed {job.seed}, ended with exit code {process.returncode}; "
            f"what it said is in {output}; run it again, or set machine.processes to 1 in params.yaml"
        )


def main(arguments: list[str]) -> int:
    """One process of a launched training."""
    stage, arm, seed, work, key = arguments
    place, local = (int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK"))
    base = Path(work) / f"launch-{seed}"

    def tell(done: float, total: float, note: str = "") -> None:
        draft = base.with_suffix(".draft")
        draft.write_text(json.dumps([done, total, note]))
        draft.replace(base.with_suffix(".progress"))

    try:
        policy.quiet()
        params = settings.load()
        device = policy.device_of(params.machine.device)
        training = importlib.import_module(f"{stages.__name__}.{stage}").training(params, arm)
        job = Seed(params, stage, arm, int(seed), Path(work), key)
        train(job, training, f"cuda:{local}" if device == "cuda" else device, tell, main=place == 0)
    except UserError as error:
        base.with_suffix(".fault").write_text(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
