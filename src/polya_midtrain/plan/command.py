"""What `polya plan` does: a table of the stages a hundred columns wide, and what it rests on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from polya_midtrain import params as settings
from polya_midtrain.common import heuristics
from polya_midtrain.common.shapes import Model
from polya_midtrain.errors import UserError
from polya_midtrain.plan import needs, power, runs, work
from polya_midtrain.plan.needs import Device, Memory
from polya_midtrain.plan.work import Work
from polya_midtrain.runtime import room
from polya_midtrain.runtime.progress import duration

COUNTS = {"samples": "samples", "tokens": "their tokens", "rows": "rows", "trained": "learned tok."}


def show(path: Path, source: Path | None, measured: bool, gpu: float | None) -> None:
    """Print the plan of the settings in ``path``; raises `UserError` after it where disk or memory cannot suffice.

    ``source``: the folder of the finished run to learn from, else one of the same base is looked for; ``measured``:
    seconds and lengths by a short measurement here; ``gpu``: gigabytes of a GPU that is not here.
    """
    params = settings.load(path)
    with settings.named(path):
        heuristics.load(params.prompts.catalogue).first(params.generate.heuristics)
        run = runs.reference(source, params)
        facts, notes = runs.facts(params, run)
        rates = runs.rates(run, params) if run else {}
        if measured:
            from polya_midtrain.plan.measure import measure

            found, answers = measure(params)
            rates, facts = rates | found, replace(facts, answers={**facts.answers, **answers})
            notes.append(f"measured now: seconds a token of {', '.join(found)}, and how long the base's answers are")
        sizes, unknown = needs.models(params)
        here = needs.device(params, sizes, gpu and gpu * 1e9)
        memory = needs.memory(params, sizes, here)
    console = Console(width=100, highlight=False)
    console.print(f"Plan of profile {params.profile}: {len(params.arms)} arms, {len(params.seeds)} training seeds")
    works = work.works(params, facts)
    table = Table("stage", box=SIMPLE_HEAD, pad_edge=False)
    for name in (*COUNTS.values(), "time", "disk", "memory"):
        table.add_column(name, justify="right", no_wrap=True)
    for stage in dict.fromkeys(one.stage for one in works):
        parts = [one for one in works if one.stage == stage]
        table.add_row(f"{stage} x {len(parts)}" if parts[0].arm else stage, *_cells(parts, rates, sizes, memory))
    table.add_section()
    table.add_row("all", *_cells(works, rates, sizes, memory))
    console.print(table)
    left, scratch = sum(needs.left(one, sizes) for one in works), needs.scratch(params, sizes, here)
    total, free = needs.COPIES * left + scratch, shutil.disk_usage(Path()).free
    console.print(
        f"Disk: {size(total)}: {needs.COPIES} times the above (DVC has a copy), {size(scratch)} for trainers."
    )
    detectable = power.sentence(power.planned(params, facts.counts))
    for line in [*_gpu(here, memory), detectable, *(f"- {note}" for note in (*notes, *unknown))]:
        console.print(line)
    faults = [
        f"stage {stage} needs {size(one.bytes)} of memory of {size(here.memory)}; lower {room.LOWER[stage]}, or spread "
        "it over more GPUs (block machine)"
        for stage, one in memory.items()
        if here.memory is not None and one.bytes > here.memory
    ]
    if total > free:
        faults.append(f"the run needs {size(total)} of disk and {size(free)} are free here; make room")
    if faults:
        raise UserError(f"{path}: {'; and '.join(faults)}")


def _cells(
    parts: Sequence[Work], rates: Mapping[str, float], sizes: Mapping[str, Model], memory: Mapping[str, Memory]
) -> list[str]:
    """Counts, seconds, bytes on disk and bytes of memory of some stages' work."""
    stages = {one.stage for one in parts}
    known = [rates[one.stage] * one.units for one in parts if one.stage in rates]
    time = ("> " if len(known) < len(parts) else "") + duration(sum(known)) if known else "?"
    most = max((memory[stage].bytes for stage in stages & memory.keys()), default=0.0)
    counts = [_short(sum(getattr(one, name) for one in parts)) for name in COUNTS]
    return [*counts, time, size(sum(needs.left(one, sizes) for one in parts)), size(most)]


def _gpu(here: Device, memory: Mapping[str, Memory]) -> list[str]:
    """The number formats on a GPU, and what ``auto`` comes to there."""
    if not here.cuda:
        return []
    lines = ["GPU: models answer and score as they are stored; trainings keep float32 and compute in bfloat16."]
    if here.memory is None:
        return [*lines, "What auto comes to, and a training's memory, follow from the GPU's: --gpu-memory 80."]
    chosen = [f"{stage} {one.rows}{', checkpointed' * one.checkpointed}" for stage, one in memory.items() if one.rows]
    beside = f" vLLM takes {here.rollouts:.2f} of it for rollouts (machine.rollout_memory)." if here.rollouts else ""
    return [*lines, f"Sequences in a backward pass, on {size(here.memory)}: {'; '.join(chosen) or '?'}.{beside}"]


def size(number: float) -> str:
    """Bytes in the unit that fits; a dash for none."""
    return decimal(int(number)) if number else "-"


def _short(number: float) -> str:
    for unit in ("", "k", "M"):
        if number < 999.5:
            return f"{number:.3g}{unit}" if number else "-"
        number /= 1000
    return f"{number:,.3g}G"
