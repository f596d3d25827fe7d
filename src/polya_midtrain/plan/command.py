"""What `polya plan` does."""

from __future__ import annotations

from pathlib import Path

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.plan import build, measured, needs, report
from polya_midtrain.plan.devices import DEVICES, Device
from polya_midtrain.plan.measured import Measured


def show(path: Path, source: Path | None, name: str | None, gpus: int | None, arms: bool) -> None:
    """Print the plan of the settings in ``path``; raises `UserError` after it where the run cannot go to its end here.

    ``source``: the folder of a finished run. One of the same settings is set beside the plan, one of others corrects
    it. Without ``source`` the project's own results are set beside it, if they are of these settings.
    """
    params = settings.load(path)
    device = chosen(name, params, gpus)
    run = measured.read(source) if source else own(params)
    same = run is not None and run.params == params
    corrected = build.corrections(run, device, params) if run is not None and not same else None
    longer = build.Corrections(corrected.tokens) if corrected else build.NONE
    with settings.named(path):
        plan = build.plan(params, device, gpus, corrected or build.NONE)
        others = [
            build.plan(params, other, gpus if other.kind == "cuda" else None, longer)
            for other in DEVICES.values()
            if other is not device
        ]
    report.show(plan, others, run if same else None, corrected, arms)
    faults = needs.shortfalls(plan.disk, plan.memory, device, Path())
    if faults:
        raise UserError(f"{path}: {'; and '.join(faults)}")


def chosen(name: str | None, params: Params, gpus: int | None) -> Device:
    """The named device; without a name a CPU where the settings ask for one, else an H100."""
    if name is not None and name not in DEVICES:
        raise UserError(f"no device {name!r} is known; name one of {', '.join(DEVICES)}, or add it to plan/devices.py")
    device = DEVICES[name or ("cpu" if params.machine.device == "cpu" else "h100")]
    if gpus and device.kind == "cpu":
        raise UserError(f"--gpus {gpus} is for GPUs, and the plan is for a CPU; name one with --device")
    return device


def own(params: Params) -> Measured | None:
    """The project's own results, where they are of these settings."""
    if not (paths.METRICS.is_dir() and settings.PARAMS_FILE.is_file()) or settings.load() != params:
        return None
    return measured.read(Path())
