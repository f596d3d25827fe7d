"""The method, a block per stage: traces, their selection, the two trainings, evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from polya_midtrain.params.block import Block
from polya_midtrain.params.models import Sampling


class Machine(Block):
    """Where the work runs. ``workers`` 0 means one process a core (CPU) or one process (CUDA)."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int = Field(0, ge=0)


class Prompts(Block):
    """How a question becomes a prompt: a system line, worked examples, the question and a suffix."""

    catalogue: Path
    system: str = ""
    suffix: str = ""
    shots: int = Field(0, ge=0)
    plain_shots: int = Field(0, ge=0)


class Generate(Sampling):
    """Stage generate: ``samples`` per question under each of the first ``heuristics`` of the catalogue, and
    ``unprompted`` per question without one (STaR)."""

    seed: int
    heuristics: int = Field(ge=1, le=64)
    unprompted: int = Field(ge=1)


class Distil(Sampling):
    """Stage distil: ``samples`` answers of the teacher per mid-training question."""

    seed: int


class Score(Block):
    """Stage score."""

    batch: int = Field(ge=1)


class Select(Block):
    """Stage select: one response per (question, heuristic).

    ``length_tolerance``: how far the lengths of a matched right and wrong response may differ, a share of the longer.
    """

    seed: int
    length_tolerance: float = Field(0.2, ge=0, le=1)


class Midtrain(Block):
    """Stage midtrain: trl's SFTTrainer, loss on the response only."""

    epochs: float = Field(gt=0)
    batch: int = Field(ge=1)
    micro_batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    warmup: float = Field(0.05, ge=0, lt=1)
    max_length: int = Field(ge=8)
    save_steps: int = Field(ge=1)

    @model_validator(mode="after")
    def _divisible(self) -> Midtrain:
        if self.batch % min(self.batch, self.micro_batch):
            raise ValueError(f"batch {self.batch} is no multiple of micro_batch {self.micro_batch}; change one of them")
        return self


class Rl(Block):
    """Stage rl: trl's GRPOTrainer. ``generations`` is G; ``prompts`` per optimiser step."""

    prompts: int = Field(ge=1)
    generations: int = Field(ge=2)
    epochs: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    beta: float = Field(0.0, ge=0)
    epsilon: float = Field(0.2, gt=0)
    temperature: float = Field(1.0, gt=0)
    max_prompt_tokens: int = Field(ge=1)
    max_tokens: int = Field(ge=1)
    rows: int = Field(256, ge=1)  # rollouts decoded side by side
    micro_batch: int = Field(ge=1)  # rollouts in one backward pass
    save_steps: int = Field(ge=1)

    @model_validator(mode="after")
    def _divisible(self) -> Rl:
        rows = self.prompts * self.generations
        if rows % min(rows, self.micro_batch):
            raise ValueError(
                f"a step's {rows} completions (prompts x generations) are no multiple of micro_batch "
                f"{self.micro_batch}; change one of them"
            )
        return self


class Evaluate(Sampling):
    """Stage evaluate: ``samples`` completions per benchmark question, before and after RL."""

    seed: int
