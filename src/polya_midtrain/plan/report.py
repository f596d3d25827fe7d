"""The plan on the console: tables that fit a hundred columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from polya_midtrain.common.shapes import part
from polya_midtrain.plan import needs, power
from polya_midtrain.plan.build import Corrections, Plan, by_stage
from polya_midtrain.plan.measured import Measured
from polya_midtrain.plan.needs import human
from polya_midtrain.plan.work import Load, Place

WIDTH = 100
NONE = "-"


def show(plan: Plan, others: Sequence[Plan], run: Measured | None, corrected: Corrections | None, arms: bool) -> None:
    """Print a plan; ``others``: the same on other devices; ``run``: a finished one of the same settings.

    ``corrected``: what a run of other settings changed in it; ``arms``: a line for every arm.
    """
    console = Console(width=WIDTH, highlight=False, soft_wrap=False)
    params = plan.params
    sizes = f"{len(params.arms)} arms, {len(params.seeds)} training seeds"
    console.print(f"Plan of profile {params.profile}: {sizes}, on {_where(plan)}")
    console.print(_work(plan, arms))
    more = f", {plan.lanes} arms of a stage at a time" if plan.lanes > 1 else ""
    gpus = plan.lanes * plan.layout.gpus
    hours = f", {count(gpus * plan.wall / 3600)} GPU-hours" if plan.device.kind == "cuda" else ""
    console.print(f"From start to end {duration(plan.wall)}{hours}, the time between the stages included{more}.")
    if plan.layout.streaming:
        console.print(
            f"vLLM answers in bfloat16: {plan.layout.copies} copies of a model, each on {plan.layout.wide} GPUs; "
            f"{plan.layout.processes} processes share a training."
        )
    if plan.device.kind == "cuda":
        console.print(_at_a_time(plan))
    disk, hungriest = plan.disk, plan.memory[0]
    console.print(
        f"Disk: {human(disk.total)}: {human(disk.models)} of checkpoints and {human(disk.data)} of data, "
        f"{needs.COPIES} times (DVC keeps a copy), and {human(disk.scratch)} while it runs."
    )
    console.print(f"Memory: {human(hungriest.bytes)} at most, in stage {hungriest.stage}.")
    console.print(_devices([plan, *others]))
    console.print(_power(plan, run))
    if run is not None:
        console.print(_compared(plan, run))
        if run.changed:
            console.print(f"Since that run {', '.join(run.changed)} of its settings have changed (dvc.lock).")
    if corrected is not None:
        console.print(_corrections(corrected))
    console.print("Assumed:")
    rates = (
        f"rates of the {plan.device.title}: {plan.device.source}; what a stage gets of them is ours (plan/devices.py)"
    )
    for line in (*plan.assumed.sources, rates):
        console.print(f"- {line}")


def _at_a_time(plan: Plan) -> str:
    """What the trainings work on at a time, and how much of a GPU vLLM takes beside them."""
    base, machine = plan.sizes["base"], plan.params.machine
    chosen = needs.batches(plan.params, base, plan.device, plan.layout, plan.sharing)
    parts = [f"{stage} {one.rows}" + (", checkpointed" if one.checkpointed else "") for stage, one in chosen.items()]
    text = f"Sequences in a backward pass: {'; '.join(parts)}."
    if plan.layout.streaming and machine.server is None:
        share = needs.rollout_memory(plan.params, base, plan.device.memory, plan.layout)
        text += f" vLLM takes {share:.2f} of a GPU for rollouts (machine.rollout_memory)."
    if plan.sharing:
        many = "; ".join(
            f"{stage} {count}, {human(part(plan.device.memory, count))} each" for stage, count in plan.sharing.items()
        )
        text += f" Processes side by side on a GPU (machine.workers): {many}."
    return text


def _where(plan: Plan) -> str:
    """How many of which device: cores, or the GPUs of all arms that run at a time."""
    return f"{plan.side_by_side if plan.device.kind == 'cpu' else plan.lanes * plan.layout.gpus} x {plan.device.title}"


def duration(seconds: float) -> str:
    """Seconds in the unit that fits."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 360_000 else f"{seconds / 3600:,.0f} h"


def count(number: float) -> str:
    """A count to three digits, empty for none."""
    if not number:
        return NONE
    for unit in ("", "k", "M", "G"):
        if number < 999.5:
            return (f"{number:.0f}" if not unit or number >= 99.5 else f"{number:.3g}") + unit
        number /= 1000
    return f"{number:,.3g}T"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.min_width = len(title)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    return table


def _work(plan: Plan, arms: bool) -> Table:
    table = _table(
        "What each stage does",
        "stage",
        "prompts",
        "samples",
        "prompt tok.",
        "sampled tok.",
        "trained tok.",
        "time",
        "disk",
    )
    left = needs.outputs(plan.params, plan.works, plan.sizes)
    kept = {place: models + data for place, (models, data) in left.items()}
    disk, seconds = by_stage(kept), by_stage(plan.seconds)
    loads = plan.loads
    for stage in seconds:
        places = [place for place in loads if place[0] == stage]
        total = sum((loads[place] for place in places), Load())
        many = f" x {len(places)}" if places[0][1] else ""
        table.add_row(*_cells(stage + many, total, seconds[stage], disk.get(stage, 0.0)))
        if arms and many:
            for place in places:
                table.add_row(*_cells(f"  {place[1]}", loads[place], plan.seconds[place], kept.get(place, 0.0)))
    everything = sum(loads.values(), Load())
    table.add_section()
    table.add_row(*_cells("all", everything, sum(seconds.values()), sum(kept.values())))
    return table


def _cells(name: str, load: Load, seconds: float, disk: float) -> list[str]:
    counted = [load.prompts, load.samples, load.prompt_tokens, load.completion_tokens, load.trained_tokens]
    return [name, *map(count, counted), duration(seconds), human(disk) if disk else NONE]


def _devices(plans: Sequence[Plan]) -> Table:
    table = _table("On the devices that the plan knows", "device", "time", "memory needed", "there is", "")
    for plan in plans:
        hungriest, room = plan.memory[0], needs.room(plan.device)
        table.add_row(
            _where(plan),
            duration(plan.wall),
            f"{human(hungriest.bytes)} ({hungriest.stage})",
            human(room),
            "" if hungriest.bytes <= room else "too little",
        )
    return table


def _power(plan: Plan, run: Measured | None) -> Table:
    measured = run.detectable if run else {}
    columns = ["k", "planned", *(["measured", "ratio"] if measured else [])]
    table = _table("Smallest difference to vanilla in mean pass@k after RL, found with probability 0.8", *columns)
    for k, planned in power.planned(plan.params, plan.assumed).items():
        cells = [str(k), f"{planned:.3f}" if planned is not None else "no test: one training seed, or one question"]
        if measured:
            found = measured.get(k)
            cells += [f"{found:.3f}", _ratio(planned or 0.0, found)] if found else [NONE, NONE]
        table.add_row(*cells)
    return table


def _compared(plan: Plan, run: Measured) -> Table:
    table = _table(
        "Beside the finished run (ratio: planned / measured)",
        "stage",
        "tokens",
        "run",
        "ratio",
        "samples",
        "run",
        "ratio",
        "time",
        "run",
        "ratio",
    )
    pairs = [(plan.tokens, run.tokens), (plan.samples, run.samples), (plan.seconds, run.seconds)]
    stages = list(by_stage(plan.seconds))
    for stage in stages:
        if any(place[0] == stage for _, measured in pairs for place in measured):
            table.add_row(stage, *_three(pairs, [stage]))
    table.add_section()
    table.add_row("all", *_three(pairs, stages))
    if run.disk:
        ours = plan.disk.outputs
        table.add_row("outputs on disk", *[""] * 6, human(ours), human(run.disk), _ratio(ours, run.disk))
    return table


def _three(pairs: Sequence[tuple[Mapping[Place, float], Mapping[Place, float]]], stages: Sequence[str]) -> list[str]:
    """Planned, measured and ratio of tokens, of samples and of seconds, over what was measured alone."""
    cells = []
    for (planned, measured), write in zip(pairs, (count, count, duration), strict=True):
        places = [place for place in measured if place in planned and place[0] in stages]
        if not places:
            cells += ["", "", ""]
            continue
        ours, theirs = (sum(values[place] for place in places) for values in (planned, measured))
        cells += [write(ours), write(theirs), _ratio(ours, theirs)]
    return cells


def _ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}" if theirs else NONE


def _corrections(corrected: Corrections) -> Table:
    table = _table("Corrected by the other run: multiplied with", "stage", "tokens", "time")
    for stage in dict.fromkeys([*corrected.tokens, *corrected.seconds]):
        cells = [corrected.tokens.get(stage), corrected.seconds.get(stage)]
        table.add_row(stage, *(NONE if value is None else f"{value:.2f}" for value in cells))
    return table
