"""The method, a block per stage: traces, their selection, the two trainings, evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from polya_midtrain.params.block import Block, File, Url
from polya_midtrain.params.models import Sampling


class Machine(Block):
    """Where the work runs, and on which engine.

    ``workers``: processes of a stage, of trainings one a seed; 0: one a core, on a GPU as many as fit side by side
    (`polya plan` says how many; one where vLLM samples, or where a training has ``processes`` of its own). On device
    cpu the questions of each heuristic are answered apart, elsewhere together as far as ``rows`` goes.
    With engine vllm ``data_parallel`` copies of a model answer side by side, each spread over ``tensor_parallel`` GPUs
    and taking the share ``gpu_memory`` of their memory. RL's rollouts then come from vLLM too: from a ``server`` (the
    address of a running `vllm serve`), or beside the trainer, taking the share ``rollout_memory`` (auto: what the
    trainer's weights and optimiser leave) while it does not sleep.
    A training is spread over ``processes``, one a GPU, by `accelerate launch`; its configuration file ``accelerate``
    (one of machines/, or another) may add FSDP or further hosts, whose processes are counted too.
    ``sandbox`` weak: programs are graded also where the machine lacks seccomp or Landlock, and every table says so. It
    is the one of these settings that DVC looks at: params.yaml has to hold it.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int = Field(0, ge=0)
    processes: int = Field(1, ge=1)
    accelerate: File | None = None
    engine: Literal["transformers", "vllm"] = "transformers"
    tensor_parallel: int = Field(1, ge=1)
    data_parallel: int = Field(1, ge=1)
    gpu_memory: float = Field(0.85, gt=0, lt=1)
    rollout_memory: Annotated[float, Field(gt=0, lt=1)] | Literal["auto"] = "auto"
    server: Url | None = None
    sandbox: Literal["required", "weak"] = "required"

    @property
    def spread(self) -> bool:
        """Whether `accelerate launch` starts the trainings."""
        return self.processes > 1 or self.accelerate is not None

    @model_validator(mode="after")
    def _parallel(self) -> Machine:
        names = ("tensor_parallel", "data_parallel", "gpu_memory", "rollout_memory", "server")
        given = [name for name in names if getattr(self, name) != type(self).model_fields[name].default]
        if self.engine == "transformers" and given:
            raise ValueError(f"{', '.join(given)} belong to engine vllm; set engine, or remove them")
        return self


class Prompts(Block):
    """How a question becomes a prompt: a system line, worked examples, the question and a suffix.

    ``suffixes``: another suffix for a kind of questions (`records.Question`), as programs are not asked for a box.
    """

    catalogue: File
    system: str
    suffix: str
    suffixes: dict[Annotated[str, Field(pattern="^(maths|code|choice)$")], str]
    shots: int = Field(ge=0)
    plain_shots: int = Field(ge=0)

    def ending(self, kind: str) -> str:
        """What stands behind a question of a kind."""
        return self.suffixes.get(kind, self.suffix)


class Generate(Sampling):
    """Stage generate: ``samples`` per question under each of the first ``heuristics`` of the catalogue, and
    ``unprompted`` per question without one (STaR)."""

    seed: int
    heuristics: int = Field(ge=1)
    unprompted: int = Field(ge=1)


class Distil(Sampling):
    """Stage distil: ``samples`` answers of the teacher per mid-training question."""

    seed: int


class Score(Block):
    """Stage score."""

    batch: int = Field(ge=1)


class Select(Block):
    """Stage select: one response per (question, heuristic).

    ``adherence``: a trace follows its heuristic if the reward model gives it the score from which on such a share of
    the traces of held-out pairs do; none: whatever its score. ``order``: which n heuristics of a question an arm takes,
    the catalogue's first or the first of an order drawn for each question. ``length_tolerance``: how far the lengths of
    a matched right and wrong response may differ, a share of the longer.
    """

    seed: int
    adherence: Annotated[float, Field(gt=0, le=1)] | Literal["none"]
    order: Literal["catalogue", "question"]
    length_tolerance: float = Field(ge=0, le=1)


MicroBatch = Annotated[int, Field(ge=1)] | Literal["auto"]
"""Sequences in one backward pass; auto: as many as the GPU's memory takes (`polya plan` says how many)."""


class Midtrain(Block):
    """Stage midtrain: trl's SFTTrainer, loss on the response only."""

    epochs: float = Field(gt=0)
    batch: int = Field(ge=1)
    micro_batch: MicroBatch
    learning_rate: float = Field(gt=0)
    warmup: float = Field(ge=0, lt=1)
    max_length: int = Field(ge=8)
    save_steps: int = Field(ge=1)

    @model_validator(mode="after")
    def _divisible(self) -> Midtrain:
        if self.micro_batch != "auto" and self.batch % min(self.batch, self.micro_batch):
            raise ValueError(f"batch {self.batch} is no multiple of micro_batch {self.micro_batch}; change one of them")
        return self


class Rl(Block):
    """Stage rl: trl's GRPOTrainer. ``generations`` is G; ``prompts`` per optimiser step."""

    prompts: int = Field(ge=1)
    generations: int = Field(ge=2)
    epochs: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    beta: float = Field(ge=0)
    epsilon: float = Field(gt=0)
    temperature: float = Field(gt=0)
    max_prompt_tokens: int = Field(ge=1)
    max_tokens: int = Field(ge=1)
    rows: int = Field(ge=1)  # rollouts decoded side by side
    micro_batch: MicroBatch
    save_steps: int = Field(ge=1)

    @model_validator(mode="after")
    def _divisible(self) -> Rl:
        rows = self.prompts * self.generations
        if self.micro_batch != "auto" and rows % min(rows, self.micro_batch):
            raise ValueError(
                f"a step's {rows} completions (prompts x generations) are no multiple of micro_batch "
                f"{self.micro_batch}; change one of them"
            )
        return self


class Evaluate(Sampling):
    """Stage evaluate: ``samples`` completions per benchmark question, before and after RL."""

    seed: int
