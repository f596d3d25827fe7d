"""The catalogue of heuristics: what a prompt condition is, read from YAML.

A catalogue lists heuristics in the order in which arms use them: arm n takes the first n. Anyone's own catalogue of the
same form works; `prompts.catalogue` in params.yaml names the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from polya_midtrain.errors import UserError
from polya_midtrain.params import yamlfile


class Exemplar(BaseModel):
    """A worked example: a question, a response that follows the heuristic, and the answer that it reaches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str = Field(min_length=1)
    response: str = Field(min_length=1)
    answer: str = Field(min_length=1)


class Heuristic(BaseModel):
    """One way of working: ``idea`` says it to a person, ``instruction`` to the policy.

    ``cues``: phrases that give the heuristic away in prose, which judge cues (`labellers.cues`) looks for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name: str
    idea: str
    instruction: str = Field(min_length=1)
    exemplars: list[Exemplar] = []
    cues: list[Annotated[str, Field(pattern=r"\S")]] = []


class Catalogue(BaseModel):
    """All heuristics in arm order, and worked examples (``plain``) for prompts that name none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plain: list[Exemplar] = []
    heuristics: list[Heuristic] = Field(min_length=1)

    @field_validator("heuristics")
    @classmethod
    def _unique(cls, heuristics: list[Heuristic]) -> list[Heuristic]:
        ids = [heuristic.id for heuristic in heuristics]
        for index, name in enumerate(ids):
            if name in ids[:index]:
                raise ValueError(f"heuristic {name!r} is listed twice; rename or remove one")
        return heuristics

    def get(self, name: str) -> Heuristic:
        """A heuristic by id."""
        return next(heuristic for heuristic in self.heuristics if heuristic.id == name)

    def first(self, n: int) -> list[str]:
        """The ids of the first ``n`` heuristics, the set that arm n trains on."""
        if n > len(self.heuristics):
            raise UserError(
                f"params.yaml: {n} heuristics are asked for, but the catalogue has {len(self.heuristics)}; "
                "lower arms.*.n or generate.heuristics, or add heuristics to the catalogue"
            )
        return [heuristic.id for heuristic in self.heuristics[:n]]


def load(path: Path) -> Catalogue:
    """Read a catalogue; a fault is a one-line error with file and line."""
    return yamlfile.load(path, Catalogue)
