"""Where questions come from."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from polya_midtrain.params.block import Block, File, Name
from polya_midtrain.params.models import Commit


class WorldSet(Block):
    """Questions of the embedded world: ``parts`` per problem, drawn from a ``pool`` of type combinations.

    ``task``: chain (work the parts out), or out of domain: program (write code for the parts' types, run on tests) and
    story (who in a story has what: multiple choice).
    """

    source: Literal["world"]
    task: Literal["chain", "program", "story"]
    parts: list[Annotated[int, Field(ge=1, le=12)]] = Field(min_length=1)
    pool: Literal["seen", "unseen", "pure", "composite", "exception"]
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
    count: int = Field(ge=1, le=100_000)  # the templates have so many


class Slice(Block):
    """``start`` and ``limit`` cut a slice after filtering and shuffling by ``questions.seed``."""

    start: int | None = Field(None, ge=0)
    limit: int | None = Field(None, ge=1)
    max_chars: int | None = Field(None, ge=1)


class FileSet(Slice):
    """Questions of a public data set, from the hub or from the folder that POLYA_DATA names."""

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
    split: Literal["train", "test"]

    @property
    def place(self) -> tuple[str, str]:
        """What its rows are shuffled by."""
        return self.source, self.split


def _digest(sha256: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError("give the file's sha256, 64 hexadecimal digits: `sha256sum FILE` prints it")
    return sha256


class OwnFile(Slice):
    """Questions of a file of one's own, from the project's root: .jsonl, .jsonl.gz, .csv or .parquet.

    ``question`` and ``answer`` name its fields; answers are graded as mathematics. DVC reads settings and not this
    file, so its ``sha256`` stands here: another file is another setting, and an edited one is refused.
    """

    source: Literal["file"]
    path: File
    sha256: Annotated[str, AfterValidator(_digest)]
    question: str
    answer: str

    @model_validator(mode="after")
    def _readable(self) -> OwnFile:
        if self.path.suffix not in (".jsonl", ".gz", ".csv", ".parquet"):
            raise ValueError(f"{self.path} is no .jsonl, .jsonl.gz, .csv or .parquet file; convert it")
        return self

    @property
    def place(self) -> tuple[str, str]:
        """What its rows are shuffled by."""
        return self.source, self.path.as_posix()


class HubSet(Slice):
    """Questions of any data set of the hub, at a pinned revision; ``question`` and ``answer`` name its fields.

    Answers are graded as mathematics.
    """

    source: Literal["hub"]
    id: str = Field(min_length=1)
    revision: Commit
    config: str | None = None
    split: str
    question: str
    answer: str

    @property
    def place(self) -> tuple[str, str]:
        """What its rows are shuffled by."""
        return self.id, self.split


ReadSet = FileSet | OwnFile | HubSet
QuestionSet = Annotated[WorldSet | EasySet | FileSet | OwnFile | HubSet, Field(discriminator="source")]


class Questions(Block):
    """Stage questions: the training sets and the benchmarks, disjoint from each other."""

    seed: int
    mid: QuestionSet  # questions that the base answers for mid-training
    reward: QuestionSet | None = None  # questions whose traces train the reward model; a published one needs none
    rl: QuestionSet
    benchmarks: dict[Name, QuestionSet] = Field(min_length=1)
    transfer: dict[Name, QuestionSet] = Field(min_length=1)  # out of domain: evaluated alike, in a table of their own

    @model_validator(mode="after")
    def _apart(self) -> Questions:
        twice = sorted(set(self.benchmarks) & set(self.transfer))
        if twice:
            raise ValueError(f"{twice[0]!r} is both a benchmark and a transfer set; rename one")
        return self
