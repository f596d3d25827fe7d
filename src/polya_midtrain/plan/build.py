"""The plan itself: the work of a run, how long it takes on a device, and what a finished run corrects in both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from polya_midtrain.common.shapes import Model
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.plan import devices, layout, needs, work
from polya_midtrain.plan.assume import Assumptions, assumptions
from polya_midtrain.plan.devices import Device
from polya_midtrain.plan.layout import Layout
from polya_midtrain.plan.measured import Measured
from polya_midtrain.plan.needs import Disk, Memory
from polya_midtrain.plan.sizes import models
from polya_midtrain.plan.work import Load, Place, Work
from polya_midtrain.runtime import cores

# Stages whose answers are as long as those of the stage whose tokens a run records.
ALIKE = MappingProxyType({"evaluate": "rl", "reward": "generate", "score": "generate", "modes": "rl"})


@dataclass(frozen=True)
class Corrections:
    """By stage, what another run took over what would have been planned for it: of tokens, and of seconds."""

    tokens: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


NONE = Corrections()


@dataclass(frozen=True)
class Plan:
    """A run before it is run. ``seconds``: inside of each stage and arm; ``side_by_side``: tasks of a stage at a time
    on a CPU, ``sharing``: by stage, on each GPU, where there are several; ``lanes``: arms at a time, each on the GPUs
    of the ``layout``."""

    params: Params
    assumed: Assumptions
    sizes: Mapping[str, Model]
    device: Device
    side_by_side: int
    sharing: Mapping[str, int]
    lanes: int
    layout: Layout
    works: list[Work]
    seconds: Mapping[Place, float]
    disk: Disk
    memory: list[Memory]

    @property
    def tokens(self) -> dict[Place, float]:
        """Tokens by stage and arm as runs record them: sampled, and in stage midtrain of the responses learned."""
        return self._sums(
            lambda one: one.load.learned_tokens if one.stage == "midtrain" else one.load.completion_tokens
        )

    @property
    def samples(self) -> dict[Place, float]:
        """Completions by stage and arm as runs record them, and in stage midtrain rows learned."""
        return self._sums(lambda one: one.load.rows if one.stage == "midtrain" else one.load.samples)

    @property
    def loads(self) -> dict[Place, Load]:
        """All of a stage and arm together."""
        found: dict[Place, Load] = {}
        for one in self.works:
            place = (one.stage, one.arm)
            found[place] = found[place] + one.load if place in found else one.load
        return found

    @property
    def wall(self) -> float:
        """Seconds from start to end: arms of a stage share the lanes, everything else is one after the other."""
        total = 0.0
        for stage, seconds in by_stage(self.seconds).items():
            arms = sum(place[0] == stage for place in self.seconds)
            total += (seconds + devices.BETWEEN * arms) / min(self.lanes, arms)
        return total

    def _sums(self, number: Callable[[Work], float]) -> dict[Place, float]:
        found: dict[Place, float] = {}
        for one in self.works:
            place = (one.stage, one.arm)
            found[place] = found.get(place, 0.0) + number(one)
        return found


def plan(params: Params, device: Device, gpus: int | None = None, corrections: Corrections = NONE) -> Plan:
    """The plan of ``params`` on a device; on a CPU all of this machine's cores, elsewhere ``gpus`` GPUs, which arms
    share (None: as many as one arm takes). Raises `UserError` where they are fewer than that."""
    here = layout.of(params.machine, device.kind)
    if gpus is not None and gpus < here.gpus:
        raise UserError(
            f"params.yaml: machine asks for {here.gpus} GPUs (tensor_parallel x data_parallel, and processes), and the "
            f"plan is for {gpus}; raise --gpus, or lower what it asks for"
        )
    assumed, sizes = assumptions(params), models(params)
    side_by_side = (params.machine.workers or cores.available()) if device.kind == "cpu" else 1
    found = [
        replace(one, load=one.load.longer(corrections.tokens.get(one.stage, 1.0)))
        for one in work.works(params, assumed, sizes, dict(devices.GRADING))
    ]
    tasks: dict[str, int] = {}
    for one in found:
        tasks[one.stage] = max(one.load.tasks, tasks.get(one.stage, 1))
    sharing = needs.processes(params, assumed, sizes, device, tasks)
    seconds: dict[Place, float] = {}
    for one in found:
        place = (one.stage, one.arm)
        # An endpoint answers elsewhere: its work is counted, and takes no device of ours.
        many = side_by_side if device.kind == "cpu" else sharing.get(one.stage, 1)
        busy = 0.0 if one.model == "judge" else devices.seconds(one.load, sizes[one.model], device, many, here)
        seconds[place] = seconds.get(place, devices.inside(one.stage)) + busy
    factors = corrections.seconds
    return Plan(
        params,
        assumed,
        sizes,
        device,
        side_by_side,
        sharing,
        (gpus or here.gpus) // here.gpus,
        here,
        found,
        {place: value * factors.get(place[0], 1.0) for place, value in seconds.items()},
        needs.disk(params, found, sizes, sharing.get("rl", side_by_side)),
        needs.memory(params, assumed, sizes, device, side_by_side, here, sharing),
    )


def corrections(run: Measured, device: Device, wanted: Params) -> Corrections:
    """What a finished run of other settings teaches a plan of ``wanted``: tokens first, then seconds given the tokens.

    Seconds only where both run on a CPU or both do not. Raises `UserError` where the run's answers are of another kind.
    """
    if (run.params.base.kind == "world") != (wanted.base.kind == "world"):
        raise UserError(
            f"{run.folder}: a run of base kind {run.params.base.kind}, which says nothing of one of kind "
            f"{wanted.base.kind}; name a run of like settings"
        )
    first = plan(run.params, device)
    tokens = _ratios(run.tokens, first.tokens)
    tokens |= {stage: tokens[other] for stage, other in ALIKE.items() if stage not in tokens and other in tokens}
    if (run.params.machine.device == "cpu") != (device.kind == "cpu"):
        return Corrections(tokens)
    second = plan(run.params, device, corrections=Corrections(tokens))
    return Corrections(tokens, _ratios(run.seconds, second.seconds))


def by_stage(values: Mapping[Place, float]) -> dict[str, float]:
    """Sums over the arms."""
    found: dict[str, float] = {}
    for (stage, _), value in values.items():
        found[stage] = found.get(stage, 0.0) + value
    return found


def _ratios(measured: Mapping[Place, float], planned: Mapping[Place, float]) -> dict[str, float]:
    """By stage, over the arms that both have; none where nothing was measured."""
    places = [place for place in measured if planned.get(place)]
    ours, theirs = (by_stage({place: values[place] for place in places}) for values in (measured, planned))
    return {stage: ours[stage] / theirs[stage] for stage in ours if ours[stage] > 0.0}
