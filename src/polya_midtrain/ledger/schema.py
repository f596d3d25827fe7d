"""claims.yaml: each claim of the paper as predicates over the tables. Nothing in the code knows a claim.

A claim has parts, each with a statement, what the paper gives, and a test: which row of which table holds the effect,
and which way the paper says that it goes. Arms are named by what they are (`Arms`), so that one file serves every
profile; a part whose arms a profile does not have is not tested.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from polya_midtrain.ledger.evaluate import Direction
from polya_midtrain.params import yamlfile

UNKNOWN = "unknown"
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
    """Arms of a group: those of one ``n``, or each of them; ``up_to``: of n at most this.

    As the other side of a comparison ``n`` may be "same": that of the arm which is compared.
    """

    group: Group
    n: Literal["largest", "smallest", "each", "same"] | int = "largest"
    up_to: int | None = Field(None, ge=1)


class Sets(Part):
    """The transfer sets with one of these tasks (embedded world) or sources (public data)."""

    transfer: list[str] = Field(min_length=1)


class Test(Part):
    """The row of ``table`` that holds the effect, by the columns of the long format, and the way it should go.

    ``column``: "value" where the row's own number is the effect, "diff" where it is the difference to the row's
    reference. ``zero``: where there is no effect. ``rule``: whether of several arms all have to show the effect, or
    any; of several sets always all.
    """

    table: str
    metric: str
    column: Literal["value", "diff"] = "value"
    phase: str = "after"
    benchmark: str | Sets = "mean"
    k: Literal["largest", "smallest"] | None = None
    zero: float = 0.0
    direction: Direction
    rule: Literal["all", "any"] = "all"


class Compare(Test):
    """The effect belongs to an arm: to it alone, or to it against another (``reference``, "" where none is named)."""

    kind: Literal["compare"]
    arm: Arms
    reference: Arms | str = ""

    @field_validator("arm")
    @classmethod
    def _known(cls, arm: Arms) -> Arms:
        if arm.n == "same":
            raise ValueError("`n: same` is for the reference; name the arm's own n")
        return arm


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
    is another.
    """

    value: str
    source: str = Field("", pattern="^([ARI](, [ARI])*)?$")
    size: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _sourced(self) -> Paper:
        if (self.value == UNKNOWN) != (self.source == "") or (self.value == UNKNOWN and self.size is not None):
            raise ValueError(f"a value needs its source (A, R or I), and {UNKNOWN} has neither source nor size")
        return self


class Statement(Part):
    """One part of a claim: what it says, in our words, and how it is tested.

    ``control``: a check of ours that the paper does not make. It is judged like any other, and does not count in the
    verdict on the claim.
    """

    statement: str = Field(min_length=1)
    control: bool = False
    paper: Paper
    test: Annotated[Compare | Trend, Field(discriminator="kind")]


class Claim(Part):
    """A claim, which holds if all of its parts do; parts are named a, b, c ..."""

    statement: str = Field(min_length=1)
    parts: dict[Annotated[str, Field(pattern="^[a-z]$")], Statement]

    @model_validator(mode="after")
    def _claimed(self) -> Claim:
        if all(part.control for part in self.parts.values()):
            raise ValueError("a claim needs a part that is no control; add one")
        return self


class Claims(Part):
    """The whole file."""

    claims: dict[str, Claim] = Field(min_length=1)


def load(path: Path) -> Claims:
    """Read and check claims.yaml; every fault is one `UserError` line with file and line."""
    return yamlfile.load(path, Claims)
