"""Where questions come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from polya_midtrain.params.block import Block


class WorldSet(Block):
    """Questions of the embedded world: ``parts`` per problem, drawn from a ``pool`` of type combinations.

    ``task``: chain (work the parts out), or out of domain: program (write code for the parts' types, run on tests) and
    story (who in a story has what: multiple choice).
    """

    source: Literal["world"]
    task: Literal["chain", "program", "story"] = "chain"
    parts: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)
    pool: Literal["seen", "unseen", "composite", "exception"] = "seen"
    count: int = Field(ge=1)

    @model_validator(mode="after")
    def _possible(self) -> WorldSet:
        if self.pool == "unseen" and min(self.parts) < 2:
            raise ValueError(
                "one part has no unseen combination of types; give pool unseen problems of 2 parts or more"
            )
        return self


class EasySet(Block):
    """Easy English word problems of our own, made from templates: ``steps`` operations each, in turn."""

    source: Literal["easy"]
    steps: list[Literal[1, 2]] = Field(min_length=1)
    count: int = Field(ge=1)


class FileSet(Block):
    """Questions of a public data set, from the hub or from the folder that POLYA_DATA names.

    ``start`` and ``limit`` cut a slice after filtering and shuffling by ``questions.seed``.
    """

    source: Literal[
        "gsm8k",
        "math500",
        "aime24",
        "aime25",
        "amc23",
        "minerva",
        "olympiadbench",
        "hmmt25",
        "dapo",
        "humaneval",
        "musr_murder",
        "musr_object",
        "musr_team",
    ]
    split: Literal["train", "test"] = "test"
    start: int = Field(0, ge=0)
    limit: int | None = Field(None, ge=1)
    max_chars: int | None = Field(None, ge=1)


QuestionSet = Annotated[WorldSet | EasySet | FileSet, Field(discriminator="source")]


class Questions(Block):
    """Stage questions: the training sets and the benchmarks, disjoint from each other."""

    seed: int
    mid: QuestionSet  # questions that the base answers for mid-training
    reward: QuestionSet  # questions whose traces train the reward model
    rl: QuestionSet
    benchmarks: dict[str, QuestionSet] = Field(min_length=1)
    transfer: dict[str, QuestionSet] = Field(min_length=1)  # out of domain: evaluated alike, in a table of their own

    @model_validator(mode="after")
    def _apart(self) -> Questions:
        twice = sorted(set(self.benchmarks) & set(self.transfer))
        if twice:
            raise ValueError(f"{twice[0]!r} is both a benchmark and a transfer set; rename one")
        return self
