"""How the stages of a run lie on its GPUs: copies of a model that answers, and processes of a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from polya_midtrain.errors import UserError
from polya_midtrain.params import Machine
from polya_midtrain.runtime import yamlfile


@dataclass(frozen=True, slots=True)
class Layout:
    """``streaming``: vLLM samples, ``copies`` of a model side by side, each on ``wide`` GPUs; ``processes``: of a
    training, one a GPU, which hold everything each, or by FSDP a share each (``shared``). Without GPUs there is one of
    everything.
    """

    streaming: bool = False
    wide: int = 1
    copies: int = 1
    processes: int = 1
    shared: bool = False

    @property
    def gpus(self) -> int:
        """That one arm takes."""
        return max(self.wide * self.copies, self.processes)

    @property
    def shards(self) -> int:
        """Processes that hold a share each of a training's weights and state."""
        return self.processes if self.shared else 1

    def state(self, weights: float) -> float:
        """Bytes of weights, gradients and Adam's two averages in one process; each of the four takes ``weights``."""
        return 4.0 * weights / self.shards


def of(machine: Machine, kind: str) -> Layout:
    """The layout of a machine's settings on a device of a ``kind`` (cpu, cuda)."""
    if kind == "cpu":
        return Layout()
    return Layout(
        machine.engine == "vllm",
        machine.tensor_parallel,
        machine.data_parallel,
        machine.processes,
        _fsdp(machine.accelerate),
    )


def _fsdp(file: Path | None) -> bool:
    """Whether accelerate's configuration shares out the weights; whether it is a good one `training.hosts` says."""
    if file is None:
        return False
    if not file.is_file():
        raise UserError(f"{file}: no such file; name one of machines/ as machine.accelerate in params.yaml")
    content = yamlfile.content(file)
    return isinstance(content, dict) and content.get("distributed_type") == "FSDP"
