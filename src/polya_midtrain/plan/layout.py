"""How the stages of a run lie on its GPUs: copies of a model that answers, and processes of a training."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from polya_midtrain.errors import UserError
from polya_midtrain.params import Machine

WHOLE = ("FSDP", "TP")  # distributed types of accelerate in which a process holds a part of the weights alone


@dataclass(frozen=True, slots=True)
class Layout:
    """``streaming``: vLLM samples, ``copies`` of a model side by side, each on ``wide`` GPUs; ``processes``: of a
    training, one a GPU, which hold everything each, or share the optimiser's averages (``averages``) or all of the
    state (``whole``). Without GPUs there is one of everything.
    """

    streaming: bool = False
    wide: int = 1
    copies: int = 1
    processes: int = 1
    averages: bool = False
    whole: bool = False

    @property
    def gpus(self) -> int:
        """That one arm takes."""
        return max(self.wide * self.copies, self.processes)

    def state(self, weights: float) -> float:
        """Bytes of weights, gradients and Adam's two averages in one process; each of the four takes ``weights``."""
        if self.whole:
            return 4.0 * weights / self.processes
        return 2.0 * weights + 2.0 * weights / (self.processes if self.averages else 1)


def of(machine: Machine, kind: str) -> Layout:
    """The layout of a machine's settings on a device of a ``kind`` (cpu, cuda)."""
    if kind == "cpu":
        return Layout()
    shared = _distributed(machine)
    return Layout(
        machine.engine == "vllm",
        machine.tensor_parallel,
        machine.data_parallel,
        machine.processes,
        averages=shared == "DEEPSPEED",
        whole=shared in WHOLE,
    )


def _distributed(machine: Machine) -> str:
    """How accelerate's configuration spreads a training; ZeRO's third stage counts as FSDP."""
    if machine.accelerate is None:
        return ""
    if not machine.accelerate.is_file():
        raise UserError(f"params.yaml: machine.accelerate: {machine.accelerate}: no such file; correct the path")
    content = yaml.safe_load(machine.accelerate.read_text(encoding="utf-8")) or {}
    if (content.get("deepspeed_config") or {}).get("zero_stage") == 3:
        return "FSDP"
    return str(content.get("distributed_type", ""))
