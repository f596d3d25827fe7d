"""How fast the named devices work: what their makers state, and how much of it we assume that a stage gets.

Time is arithmetic over a rate, plus what is paid per step however small the step is. A run corrects it: `polya plan
--from FOLDER` multiplies every stage's time by what that stage took there over what was planned for it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from polya_midtrain.common.shapes import WEIGHT, Model
from polya_midtrain.plan.layout import Layout
from polya_midtrain.plan.work import Load
from polya_midtrain.runtime import cores

ALONE = Layout()


@dataclass(frozen=True, slots=True)
class Device:
    """A core or a GPU. Makers' numbers: ``training_peak`` and ``sampling_peak`` (FLOP/s of the number formats that the
    stages use there), ``bandwidth`` (bytes/s) and ``memory`` (bytes; 0 for the host's).

    Assumed: ``training_share`` and ``sampling_share`` of the peaks, for wide models; ``training_half`` and
    ``sampling_half``, the hidden size at which half of that is left (matrix products grow with the square of the width,
    the rest of a layer's work with the width); ``stream_share`` of the bandwidth; ``layer_step``, seconds of a decoding
    step per layer that no size makes shorter; ``train_step``, the same of one optimiser step.
    """

    name: str
    title: str
    kind: Literal["cpu", "cuda"]
    training_peak: float
    sampling_peak: float
    bandwidth: float
    memory: float
    training_share: float
    sampling_share: float
    training_half: float
    sampling_half: float
    stream_share: float
    layer_step: float
    train_step: float
    source: str


def _gpu(name: str, title: str, peak: float, bandwidth: float, memory: float, *, source: str) -> Device:
    """A GPU by its maker's numbers; what is assumed of it is assumed of every GPU."""
    return Device(
        name,
        title,
        "cuda",
        peak,
        peak,
        bandwidth,
        memory,
        training_share=0.40,  # 0.34 at a width of 3,072, usual for fine-tuning without fused kernels
        sampling_share=0.5,
        training_half=512.0,
        sampling_half=512.0,
        stream_share=0.6,
        layer_step=0.9e-3,  # about thirty kernel launches, each tens of microseconds of Python: the engine runs eagerly
        train_step=0.1,
        source=source,
    )


# On a GPU training, sampling and reading are in bfloat16, with dense tensor cores.
DEVICES = MappingProxyType(
    {
        "cpu": Device(
            "cpu",
            "CPU core",
            "cpu",
            1.0e11,
            1.0e11,
            2.0e10,
            0.0,
            training_share=0.60,
            sampling_share=0.65,
            training_half=64.0,
            sampling_half=200.0,
            stream_share=0.5,
            layer_step=0.6e-3,
            train_step=0.02,
            # Shares and seconds are measured: the engine and plain training steps, on Llamas of width 64, 256 and 576.
            source="AMD EPYC 9004, 32 float32 operations a cycle at 3.1 GHz",
        ),
        "a100": _gpu(
            "a100",
            "A100 80 GB SXM",
            312e12,
            2.039e12,
            80e9,
            source="NVIDIA A100 Tensor Core GPU datasheet (2021)",
        ),
        "h100": _gpu(
            "h100",
            "H100 80 GB SXM",
            989e12,
            3.35e12,
            80e9,
            source="NVIDIA H100 Tensor Core GPU datasheet (2023), without sparsity",
        ),
        "rtx4090": _gpu(
            "rtx4090",
            "RTX 4090",
            165.2e12,
            1.008e12,
            24e9,
            source="NVIDIA Ada GPU architecture whitepaper (2022), without sparsity",
        ),
    }
)

# Seconds inside of a stage that no size changes: libraries, opening and saving. Measured on profile smoke.
INSIDE = MappingProxyType(
    {
        "questions": 1.0,
        "verify": 1.0,
        "select": 0.5,
        "compose": 1.5,
        "diversity": 2.0,
        "tables": 0.4,
        "figures": 6.0,
        "claims": 0.3,
        "page": 0.3,
        "rl": 4.0,
        "modes": 1.0,
    }
)
STREAMED_LAYER = 4e-5  # seconds of a step per layer under vLLM, whose kernels are launched as one graph
# Of vLLM on one H100, whatever the model's size (reports/gpu): seconds of its scheduler a token (20,000 tokens/s of
# SmolLM2-135M), and of its start, once a stage and copy, and in stage rl once a training.
STREAMED_TOKEN, STARTED = 5e-5, 70.0
JOINT = 0.85  # of their rates together: what GPUs keep that share a model or a training, for they talk
INSIDE_OTHERS = 1.5
BETWEEN = 1.0  # seconds between two stages: DVC, and the start of a process (tiny: 897 s with 111 stages of 779 s)
CHECKPOINT_RATE = 1e9  # bytes/s read or written
DOWNLOAD_RATE = 1e8  # bytes/s from the hub
# Seconds of a core per answer checked: plain numbers take a shortcut, others go through math-verify
# (reports/bench.json), programs are run.
GRADING = MappingProxyType({"plain": 1.2e-4, "maths": 7e-4, "code": 3e-3})


def host_memory() -> float:
    """Bytes of memory of this machine."""
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def seconds(load: Load, model: Model, device: Device, side_by_side: int, layout: Layout = ALONE) -> float:
    """Wall seconds inside of a stage, without what `INSIDE` holds: ``side_by_side`` of the load's tasks run at a time.

    Tasks are taken as equal; the last round may be partly idle. On GPUs the ``layout`` says how many share a model or a
    training; it then also says how many tasks vLLM works on at a time.
    """
    cuda = device.kind == "cuda"
    together = _joint(load.processes) if cuda else 1.0  # GPUs of a training
    streamed = cuda and load.streamed
    wide = _joint(layout.wide) if streamed and not load.processes else 1.0  # GPUs of an answering model
    if streamed and not load.processes:
        side_by_side = layout.copies
    reading = device.sampling_peak * device.sampling_share * model.hidden / (model.hidden + device.sampling_half)
    sampling = reading * wide * together
    training = device.training_peak * device.training_share * model.hidden / (model.hidden + device.training_half)
    stream = device.bandwidth * device.stream_share
    layer = STREAMED_LAYER if streamed else device.layer_step
    small = model.stored / WEIGHT if cuda else 1.0
    forward = 2.0 * model.parameters
    busy = (
        forward * (load.prefilled + load.completion_tokens) / sampling
        + forward * load.scored_tokens / reading
        + load.decode_steps * (model.layers * layer + small * model.weights / (stream * wide))
        + load.looked_back * small * model.key_values / (stream * wide * together)
        + 3.0 * forward * load.trained_tokens / (training * together)
        + load.train_steps * device.train_step
        + load.checkpoints * model.checkpoint / CHECKPOINT_RATE
    )
    starts = 0.0
    if streamed:
        busy += load.completion_tokens * STREAMED_TOKEN / max(1, load.processes)
        starts = STARTED * (load.tasks if load.processes else 1)
    rounds = -(-load.tasks // side_by_side) / load.tasks
    return starts + busy * rounds + load.checking / cores.available() + load.downloads / DOWNLOAD_RATE


def _joint(count: int) -> float:
    """What ``count`` GPUs are worth together."""
    return max(1, count) * (JOINT if count > 1 else 1.0)


def inside(stage: str) -> float:
    """Seconds that every run of a stage takes, however little there is to do."""
    return INSIDE.get(stage, INSIDE_OTHERS)
