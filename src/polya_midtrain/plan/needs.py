"""What a run needs beside time: bytes of disk, and of memory in the stage that wants most; and what is there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polya_midtrain.common.shapes import (
    ASLEEP,
    CONTEXT,
    HALF,
    TRAINING,
    USABLE,
    WEIGHT,
    Model,
    part,
    together,
)
from polya_midtrain.params import Params, RewardTraining, Sampling
from polya_midtrain.plan.assume import Assumptions
from polya_midtrain.plan.devices import Device, host_memory
from polya_midtrain.plan.layout import Layout
from polya_midtrain.plan.work import Place, Work
from polya_midtrain.training import fits

SPREAD = ", or share its state over processes: machine.accelerate: machines/fsdp.yaml"
COPIES = 2  # of every output: in the project, and in DVC's cache
# Bytes of a completion's row in parquet, and of a token of its text, compressed.
ROW, TOKEN = 12.0, 0.7
PROCESS = 0.7e9  # of memory, with the libraries loaded; processes of a stage share most of it
SHARED = 0.2e9  # ... and what every further one adds


@dataclass(frozen=True)
class Disk:
    """Bytes: checkpoints and data of a finished run, DVC's copy of both, and trainers' checkpoints while it runs."""

    models: float
    data: float
    scratch: float

    @property
    def outputs(self) -> float:
        """What dvc.lock lists."""
        return self.models + self.data

    @property
    def total(self) -> float:
        """All that has to fit at a time."""
        return COPIES * self.outputs + self.scratch


@dataclass(frozen=True)
class Memory:
    """Bytes of device memory that a stage takes at most. ``remedy``: what would make it less."""

    stage: str
    bytes: float
    remedy: str


def outputs(params: Params, found: Sequence[Work], sizes: Mapping[str, Model]) -> dict[Place, tuple[float, float]]:
    """By stage and arm, bytes of the checkpoints and of the data that it leaves."""
    kept: dict[Place, tuple[float, float]] = {}
    for work in found:
        models = data = 0.0
        if work.stage in ("base", "teacher") or (work.stage == "reward" and work.model == "reward"):
            models = sizes[work.model].checkpoint
        elif work.stage == "rl" or (work.stage == "midtrain" and work.load.rows):
            models = len(params.seeds) * sizes["base"].checkpoint
        if work.stage in ("generate", "distil", "evaluate"):
            data = ROW * work.load.samples + TOKEN * work.load.completion_tokens
            if work.stage == "generate":  # and stage verify writes it once more
                kept["verify", ""] = (0.0, data)
        before = kept.get((work.stage, work.arm), (0.0, 0.0))
        kept[work.stage, work.arm] = (before[0] + models, before[1] + data)
    return kept


def disk(params: Params, found: Sequence[Work], sizes: Mapping[str, Model], side_by_side: int) -> Disk:
    """Disk of a whole run from nothing."""
    kept = outputs(params, found, sizes).values()
    seeds = len(params.seeds)
    saved = any(
        work.load.train_steps / seeds > block.save_steps
        for work in found
        for stage, block in (("midtrain", params.midtrain), ("rl", params.rl))
        if work.stage == stage
    )
    # Weights and Adam's averages, and the next ones are written before the last ones go; then the seeds' own outputs.
    states = 2.0 * (TRAINING - WEIGHT) * sizes["base"].parameters * min(side_by_side, seeds) if saved else 0.0
    scratch = states + seeds * sizes["base"].checkpoint
    return Disk(sum(models for models, _ in kept), sum(data for _, data in kept), scratch)


def processes(
    params: Params, assumed: Assumptions, sizes: Mapping[str, Model], device: Device, tasks: Mapping[str, int]
) -> dict[str, int]:
    """By stage, processes that share a GPU where there are several (`runtime.card`). ``tasks``: of each stage."""
    if device.kind == "cpu":
        return {}
    base, machine = sizes["base"], params.machine
    wants = {"modes": base.stepped(assumed.bare["rl"].prompt + assumed.bare["rl"].answer)}
    if not machine.spread:
        wants["midtrain"] = fits.midtrain(base, params.midtrain)
    if machine.engine != "vllm":
        wants |= {
            stage: model.sampled(settings.rows, prompt + settings.max_tokens, model.stored)
            for stage, settings, model, prompt in (
                ("generate", params.generate, base, assumed.generate.prompt),
                ("distil", params.distil, sizes["teacher"], assumed.distil.prompt),
                ("evaluate", params.evaluate, base, _longest(assumed)),
            )
        }
        if not machine.spread:
            wants["rl"] = fits.rl(base, params.rl)
    found = {
        stage: min(tasks[stage], machine.workers or together(want, device.memory)) for stage, want in wants.items()
    }
    return {stage: count for stage, count in found.items() if count > 1}


def memory(
    params: Params,
    assumed: Assumptions,
    sizes: Mapping[str, Model],
    device: Device,
    side_by_side: int,
    layout: Layout,
    sharing: Mapping[str, int],
) -> list[Memory]:
    """Every stage that loads a model, the hungriest first: of a CPU, or of one GPU, all processes of the stage.

    ``sharing``: `processes`.
    """
    base, cpu = sizes["base"], device.kind == "cpu"
    here = _Place(room(device), side_by_side if cpu else 1, cpu, layout, params.machine.gpu_memory)
    chosen = batches(params, base, device, layout, sharing)
    longest = _longest(assumed)
    found = [
        _sampling("generate", "generate", params.generate, base, assumed.generate.prompt, here),
        _sampling("distil", "distil", params.distil, sizes["teacher"], assumed.distil.prompt, here),
        _sampling("evaluate", "evaluate", params.evaluate, base, longest, here, checkpoints=here.processes),
        _training("midtrain", base, chosen["midtrain"], params.midtrain.max_length, params, here),
        *_rl(params, base, assumed.bare["rl"].prompt, chosen["rl"], here),
        _modes(base, assumed, here),
    ]
    judge = sizes["reward"]
    size = here.size(judge)
    scoring = size * judge.parameters + params.score.batch * judge.read_row(assumed.generate.judged, size)
    found.append(Memory("score", scoring, "lower score.batch, or take a smaller model in block reward"))
    if isinstance(params.reward, RewardTraining):
        settings = params.reward
        pairs = _training("reward", judge, Batch(2 * settings.batch, not cpu), settings.max_length, params, here)
        found.append(Memory("reward", pairs.bytes, "lower reward.batch"))
        found.append(_sampling("reward", "reward.sampling", settings.sampling, base, assumed.reward.prompt, here))
    every = []
    for one in found:
        count = sharing.get(one.stage, 1)
        libraries = PROCESS + (SHARED * (here.processes - 1) if cpu else CONTEXT * (count - 1))
        remedy = one.remedy if count == 1 else "lower machine.workers"
        every.append(Memory(one.stage, count * one.bytes + libraries, remedy))
    return sorted(every, key=lambda one: -one.bytes)


def room(device: Device) -> float:
    """Bytes of memory that there are."""
    return device.memory or host_memory()


def shortfalls(need: Disk, stages: Sequence[Memory], device: Device, folder: Path) -> list[str]:
    """Why the run cannot go to its end here, a clause each, with what would help; none if it can."""
    found = []
    there = float(shutil.disk_usage(folder).free)
    if need.total > there:
        found.append(
            f"the run needs {human(need.total)} of disk ({human(need.models)} of checkpoints, {COPIES} times) and "
            f"{human(there)} are free here; make room, or take fewer seeds or arms"
        )
    there, what = room(device), device.title if device.memory else "this machine"
    found += [
        f"stage {one.stage} needs {human(one.bytes)} of memory and {what} has {human(there)}; {one.remedy}"
        for one in stages
        if one.bytes > there
    ]
    return found


def human(count: float) -> str:
    """Bytes in the unit that fits, decimal."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB" if count < 1000 else f"{count:,.0f} TB"


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences of a training's backward pass, and whether their activations are checkpointed."""

    rows: int
    checkpointed: bool


def batches(
    params: Params, base: Model, device: Device, layout: Layout, sharing: Mapping[str, int]
) -> dict[str, Batch]:
    """What `training.fits` will choose for both trainings on a GPU; on a CPU what the settings say."""
    found = {}
    rl, learn = params.rl, params.midtrain
    for stage, whole, wanted, length in (
        ("midtrain", learn.batch, learn.micro_batch, float(learn.max_length)),
        ("rl", rl.prompts * rl.generations, rl.micro_batch, float(rl.max_prompt_tokens + rl.max_tokens)),
    ):
        share = whole // layout.processes
        if device.kind == "cpu":
            found[stage] = Batch(base.alone(share, length, wanted), False)
            continue
        free = USABLE * part(device.memory, sharing.get(stage, 1)) - layout.state(base.weights)
        if stage == "rl" and params.machine.server is None:
            free -= base.beside(layout.streaming)
        found[stage] = Batch(*base.batch(share, length, free, wanted, layout.shards))
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a stage runs: bytes of memory, and processes that share them."""

    bytes: float
    processes: int
    cpu: bool
    layout: Layout
    share: float  # of a GPU that vLLM may take

    def size(self, model: Model) -> int:
        """Bytes of a number of a model that is read or sampled (see `common.policy.precision`)."""
        return WEIGHT if self.cpu else model.stored

    def update(self, model: Model, rows: int, length: float) -> float:
        """The least that an update takes beside the state."""
        return min(model.update(rows, length, checkpointed, self.layout.shards) for checkpointed in (False, True))

    def fits(self, fixed: float, row: float) -> int:
        """How many rows fit beside what is needed anyway."""
        return max(0, int((self.bytes - fixed - PROCESS - SHARED * (self.processes - 1)) / row))

    def remedy(self, setting: str = "", most: int = 0, now: int = 0) -> str:
        """What to change where ``most`` rows of ``now`` fit; without rows only the machine can be changed."""
        if 0 < most < now:
            return f"lower {setting} from {now} to {most} or less"
        if self.cpu and self.processes > 1:
            return "lower machine.workers, or take more memory or a smaller model"
        return "take a device with more memory (--device) or a smaller model"


def _sampling(
    stage: str, block: str, settings: Sampling, model: Model, prompt: float, here: _Place, checkpoints: int = 1
) -> Memory:
    """A stage that samples from so many checkpoints at a time; processes with one checkpoint share its weights."""
    if here.layout.streaming:
        length = prompt + settings.max_tokens
        remedy = "raise machine.tensor_parallel or machine.gpu_memory, or take a smaller model"
        return Memory(stage, _served(model, length, here.layout.wide) / here.share, remedy)
    row = here.processes * model.sampled_row(prompt + settings.max_tokens, here.size(model))
    weights = float(here.size(model) * model.parameters * checkpoints)
    remedy = here.remedy(f"{block}.rows", here.fits(weights, row), settings.rows)
    return Memory(stage, weights + settings.rows * row, remedy)


def _served(model: Model, length: float, wide: int) -> float:
    """Bytes that vLLM takes of each of ``wide`` GPUs at the least: its share of the weights, and of one sequence.

    Rows that do not fit wait: they cost time and not memory.
    """
    return model.stored * (model.parameters + length * model.key_values / WEIGHT) / wide + ASLEEP


def _longest(assumed: Assumptions) -> float:
    """Tokens of the longest prompt of an evaluation."""
    return max(asked.prompt for asked in assumed.bare.values())


def _modes(base: Model, assumed: Assumptions, here: _Place) -> Memory:
    """Gradient steps at a branch point, one at a time; on a CPU of a policy in each process."""
    asked = assumed.bare["rl"]
    return Memory("modes", here.processes * base.stepped(asked.prompt + asked.answer), here.remedy())


def _training(stage: str, model: Model, batch: Batch, length: float, params: Params, here: _Place) -> Memory:
    """A stage that trains the seeds, side by side on a CPU."""
    seeds = min(here.processes, len(params.seeds))
    fixed = seeds * here.layout.state(model.weights)
    if here.cpu:
        row = seeds * model.trained_row(length)
        remedy = here.remedy(f"{stage}.micro_batch", here.fits(fixed, row), batch.rows)
        return Memory(stage, fixed + batch.rows * row, remedy)
    if stage == "rl" and params.machine.server is None:
        fixed += model.beside(here.layout.streaming)
    most = max(
        (rows for rows in range(1, batch.rows) if fixed + here.update(model, rows, length) <= here.bytes), default=0
    )
    remedy = here.remedy(f"{stage}.micro_batch", most, batch.rows)
    need = fixed + model.update(batch.rows, length, batch.checkpointed, here.layout.shards)
    return Memory(stage, need, remedy + ("" if here.layout.shared else SPREAD))


def _rl(params: Params, model: Model, prompt: float, batch: Batch, here: _Place) -> list[Memory]:
    """Its updates, and its rollouts: Adam's averages stay, and the gradients are gone.

    vLLM beside the trainer sleeps during the updates; as a server it is elsewhere.
    """
    settings = params.rl
    seeds = min(here.processes, len(params.seeds))
    length = (prompt if here.cpu else settings.max_prompt_tokens) + settings.max_tokens
    updates = _training("rl", model, batch, length, params, here)
    held = seeds * here.layout.state(model.weights) * (TRAINING - WEIGHT) / TRAINING
    if here.layout.streaming:
        if params.machine.server is not None:
            return [updates]
        share = rollout_memory(params, model, here.bytes, here.layout)
        alone = _served(model, settings.max_prompt_tokens + settings.max_tokens, 1)
        return [
            updates,
            Memory("rl", held + share * here.bytes, "lower machine.rollout_memory" + SPREAD),
            Memory("rl", alone / share, "raise machine.rollout_memory"),
        ]
    rows = min(settings.rows, settings.prompts // here.layout.processes * settings.generations)
    if not here.cpu:
        held += HALF * model.parameters
    row = seeds * model.sampled_row(length, WEIGHT if here.cpu else HALF)
    rollouts = Memory("rl", held + rows * row, here.remedy("rl.rows", here.fits(held, row), rows))
    return [updates, rollouts]


def rollout_memory(params: Params, model: Model, bytes: float, layout: Layout) -> float:
    """The share of a GPU that vLLM takes beside the trainer."""
    wanted = params.machine.rollout_memory
    return model.rollout_memory(bytes, layout.shards) if wanted == "auto" else wanted
