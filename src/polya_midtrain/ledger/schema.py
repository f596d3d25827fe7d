"""claims.yaml: each claim of the paper as predicates over the tables. Nothing in the code knows a claim.

A claim has parts, each with a statement, what the paper gives, and a test: which row of which table holds the effect,
and which way the paper says that it goes. One part is primary and decides the claim. Arms are named by what they are
(`Arms`), so that one file serves every profile; a part whose arms a profile does not have is not tested.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from polya_midtrain.ledger.evaluate import Direction
from polya_midtrain.params import yamlfile

UNKNOWN = "unknown"
PRIMARY = "primary"
Role = Literal[
    "primary",  # decides the claim; one a claim
    "secondary",  # something else that the paper says
    "control",  # a check of ours that the paper does not make
]
Group = Literal[
    "vanilla",  # no mid-training
    "star",
    "heuristics",  # by n, at their full size
    "budget rows",  # equal rows; the one that the others are matched to is the smallest n
    "budget tokens",
    "right",
    "wrong",
    "mixed",
    "distilled",
    "as distilled",  # the arms that those which learn from the teacher are matched to
]


class Part(BaseModel):
    """Unknown keys are errors: a misspelt condition must never be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Arms(Part):
    """The arm of a group with the largest or the smallest ``n``; ``up_to``: among those of n at most this."""

    group: Group
    n: Literal["largest", "smallest"] = "largest"
    up_to: int | None = Field(None, ge=1)


class Sets(Part):
    """The transfer sets with one of these tasks (embedded world) or sources (public data)."""

    transfer: list[str] = Field(min_length=1)


class Test(Part):
    """The row of ``table`` that holds the effect, by the columns of the long format, and the way it should go.

    ``column``: "value" where the row's own number is the effect, "diff" where it is the difference to the row's
    reference. ``zero``: where there is no effect. Of several sets all have to show it.
    """

    table: str
    metric: str
    column: Literal["value", "diff"] = "value"
    phase: str = "after"
    benchmark: str | Sets = "mean"
    k: Literal["largest", "smallest"] | None = None
    zero: float = 0.0
    direction: Direction


class Compare(Test):
    """The effect belongs to an arm: to it alone, or to it against another (``reference``, "" where none is named)."""

    kind: Literal["compare"]
    arm: Arms
    reference: Arms | str = ""


class Trend(Test):
    """The effect belongs to all arms of a group together, such as a slope over n, or to them less those of another.

    Tables name a group by its arms, joined by "+", unless ``arm`` and ``reference`` say what stands there.
    """

    kind: Literal["trend"]
    over: Group
    less: Group | None = None
    arm: str = ""
    reference: str = ""


class Paper(Part):
    """What the paper gives: ``value`` as it stands there, its ``source`` (A, R or I, see README.md).

    ``size``: the effect in the unit of the test's row, without its sign; left out where it is unknown or where our unit
    is another. ``error``: its standard error as far as the sizes of the paper's sets are known. Neither decides.
    """

    value: str
    source: str = Field("", pattern="^([ARI](, [ARI])*)?$")
    size: float | None = Field(None, gt=0)
    error: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _sourced(self) -> Paper:
        if (self.value == UNKNOWN) != (self.source == "") or (self.value == UNKNOWN and self.size is not None):
            raise ValueError(f"a value needs its source (A, R or I), and {UNKNOWN} has neither source nor size")
        if self.error is not None and self.size is None:
            raise ValueError("an error is that of a size; give the size or leave out the error")
        return self


class Smallest(Part):
    """The smallest effect of interest: its ``size`` in the unit of the test's row, without its sign, and ``why``."""

    size: float = Field(gt=0)
    why: str = Field(min_length=1)


class Statement(Part):
    """One part of a claim: what it says, in our words, and how it is tested.

    ``sesoi``: of the primary part. ``room``: the metric of a row of the same table that says where the effect starts
    from, which must leave room for one of that size. ``judge``: the judge's measured precision and recall, on chains of
    two heuristics or more, must be at least this. Where one of them fails, the part is not tested.
    """

    role: Role
    statement: str = Field(min_length=1)
    paper: Paper
    sesoi: Smallest | None = None
    room: str = ""
    judge: float | None = Field(None, gt=0, le=1)
    test: Annotated[Compare | Trend, Field(discriminator="kind")]

    @model_validator(mode="after")
    def _decided(self) -> Statement:
        if (self.role == PRIMARY) != (self.sesoi is not None):
            raise ValueError("a primary part needs its smallest effect of interest (sesoi), and no other part has one")
        if self.room and self.sesoi is None:
            raise ValueError("room is that for a smallest effect of interest; leave it out where there is none")
        return self


class Level(Part):
    """An arm's pooled number in a table."""

    table: str
    metric: str
    phase: str
    benchmark: str = "mean"
    k: Literal["largest", "smallest"] | None = None
    arm: Arms


class Premise(Part):
    """What holds in the paper before its claim comes in: one level is below another."""

    statement: str = Field(min_length=1)
    level: Level
    below: Level


class Claim(Part):
    """A claim, which its primary part decides; parts are named a, b, c ..."""

    statement: str = Field(min_length=1)
    premise: Premise | None = None
    parts: dict[Annotated[str, Field(pattern="^[a-z]$")], Statement]

    @model_validator(mode="after")
    def _claimed(self) -> Claim:
        if sum(part.role == PRIMARY for part in self.parts.values()) != 1:
            raise ValueError("a claim needs one primary part; give the others another role")
        return self

    @property
    def primary(self) -> str:
        """The letter of the part that decides."""
        return next(letter for letter, part in self.parts.items() if part.role == PRIMARY)


class Claims(Part):
    """The whole file."""

    claims: dict[str, Claim] = Field(min_length=1)

    @property
    def tables(self) -> list[str]:
        """The tables that it names."""
        found = {part.test.table for claim in self.claims.values() for part in claim.parts.values()}
        premises = [claim.premise for claim in self.claims.values() if claim.premise]
        return sorted(found | {level.table for one in premises for level in (one.level, one.below)})


def load(path: Path) -> Claims:
    """Read and check claims.yaml; every fault is one `UserError` line with file and line."""
    return yamlfile.load(path, Claims)
