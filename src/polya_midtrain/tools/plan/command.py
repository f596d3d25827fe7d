"""What `polya plan` does: a table of the stages a hundred columns wide, and what it rests on."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.filesize import decimal

from polya_midtrain import params as settings
from polya_midtrain.checkpoints.shapes import Model, together
from polya_midtrain.errors import UserError
from polya_midtrain.runtime import room
from polya_midtrain.runtime.progress import duration
from polya_midtrain.tools.plan import needs, power, runs, work
from polya_midtrain.tools.plan.needs import Device, Memory
from polya_midtrain.tools.plan.work import Work
from polya_midtrain.training import fits


def show(path: Path, source: Path | None, measured: bool, gpu: float | None) -> None:
    """Print the plan of the settings in ``path``; raises `UserError` after it where disk or memory cannot suffice.

    ``source``: the folder of the finished run to learn from, else one of the same base is looked for; ``measured``:
    seconds and lengths by a short measurement here; ``gpu``: gigabytes of a GPU that is not here.
    """
    params = settings.load(path)
    with settings.named(path):
        run = runs.reference(source, params)
        facts, notes = runs.facts(params, run)
        rates = runs.rates(run, params) if run else {}
        if measured:
            from polya_midtrain.tools.plan.measure import measure

            found, answers = measure(params)
            rates, facts = rates | found, replace(facts, answers={**facts.answers, **answers})
            notes.append(f"measured now: seconds a token of {', '.join(found)}, and how long the base's answers are")
        sizes, unknown = needs.models(params)
        here = needs.device(params, sizes, gpu and gpu * 1e9)
        memory, works = needs.memory(params, sizes, here), work.works(params, facts)
    print(f"Plan of profile {params.profile}: {len(params.arms)} arms, {len(params.runs)} training runs\n")
    print("stage             samples     their tokens       rows     their tokens      time      disk   memory")

    def show_row(name: str, parts: Sequence[Work]) -> None:
        known = [rates[one.stage] * one.units for one in parts if one.stage in rates]
        time = ("> " if len(known) < len(parts) else "") + duration(sum(known)) if known else "?"
        wide = {"samples": 11, "tokens": 17, "rows": 11, "trained": 17}
        sums = [(sum(getattr(one, key) for one in parts), size) for key, size in wide.items()]
        cells = "".join(f"{f'{value:,.0f}' if value else '-':>{size}}" for value, size in sums)
        left = sum(needs.left(one, sizes) for one in parts)
        most = max(memory[one.stage].bytes if one.stage in memory else 0.0 for one in parts)
        print(f"{name:<14}{cells}{time:>10}{_size(left):>10}{_size(most):>9}")

    for stage in dict.fromkeys(one.stage for one in works):
        parts = [one for one in works if one.stage == stage]
        show_row(f"{stage} x {len(parts)}" if parts[0].arm else stage, parts)
    show_row("all", works)
    scratch, free = needs.scratch(params, sizes, here), shutil.disk_usage(Path()).free
    total = needs.COPIES * sum(needs.left(one, sizes) for one in works) + scratch
    known = [f"{value:.3f} (k = {k})" for k, value in power.planned(params, facts.counts).items()]
    for line in (
        f"Disk: {_size(total)}: {needs.COPIES} times the above (DVC has a copy), {_size(scratch)} for trainers.",
        *_gpu(params, sizes, here, memory),
        "Smallest difference to vanilla in mean pass@k after RL, found with probability 0.8: "
        + (", ".join(known) or "no test, with one training seed or fewer than two questions of a benchmark"),
        *(f"- {note}" for note in (*notes, *unknown)),
    ):
        print(textwrap.fill(line, 100, subsequent_indent="  ", break_on_hyphens=False))
    faults = [
        f"stage {stage} needs {_size(one.bytes)} of memory of {_size(here.memory)}; lower {room.LOWER[stage]}"
        for stage, one in memory.items()
        if here.memory is not None and one.bytes > here.memory
    ]
    if total > free:
        faults.append(f"the run needs {_size(total)} of disk and {_size(free)} are free here; make room")
    if faults:
        raise UserError(f"{path}: {'; and '.join(faults)}")


def _gpu(params: settings.Params, sizes: Mapping[str, Model], here: Device, memory: Mapping[str, Memory]) -> list[str]:
    if not here.cuda:
        return []
    lines = ["GPU: models answer and score as they are stored; trainings keep float32 and compute in bfloat16."]
    if here.memory is None:
        return [*lines, "What auto comes to, and a training's memory, follow from the GPU's: --gpu-memory 80."]
    chosen = [f"{stage} {one.rows}{', checkpointed' * one.checkpointed}" for stage, one in memory.items() if one.rows]
    beside = f" vLLM takes {here.rollouts:.2f} of it for rollouts (machine.rollout_memory)." if here.rollouts else ""
    wants = {"midtrain": fits.midtrain(sizes["base"], params.midtrain)} if "base" in sizes else {}
    if wants and params.machine.engine != "vllm":
        wants["rl"] = fits.rl(sizes["base"], params.rl)
    side = [f"{stage} {params.machine.workers or together(want, here.memory)}" for stage, want in wants.items()]
    if side and not params.machine.spread:
        lines.append(f"Trainings side by side on a GPU at most (machine.workers): {'; '.join(side)}.")
    return [*lines, f"Sequences in a backward pass, on {_size(here.memory)}: {'; '.join(chosen) or '?'}.{beside}"]


def _size(number: float) -> str:
    return decimal(int(number)) if number else "-"
