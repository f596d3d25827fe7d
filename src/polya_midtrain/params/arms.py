"""The arms: rows of the study."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from polya_midtrain.params.block import Block


class Match(Block):
    """The arm whose training this arm's equals in rows or in response tokens (the questions are cut to fit), or in
    optimiser steps (the rows are repeated)."""

    rows: str | None = None
    tokens: str | None = None
    steps: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Match:
        if [self.rows, self.tokens, self.steps].count(None) != 2:
            raise ValueError("name an arm to match in rows, tokens or steps, one of the three")
        return self

    @property
    def arm(self) -> str:
        """The arm that is matched."""
        return self.rows or self.tokens or self.steps or ""


Traces = Literal["none", "unprompted", "heuristics", "teacher", "right", "wrong", "mixed"]


class Arm(Block):
    """A row of the study: which traces mid-training learns from.

    ``traces``: none (no mid-training); unprompted (STaR: the base's own correct answers without a heuristic);
    heuristics (the first ``n`` of them, one response per question and heuristic); teacher (up to ``n`` correct
    answers a question of a stronger model); right, wrong and mixed (of the first ``n`` heuristics, pairs of a right and
    a wrong response to the same question under the same heuristic: the right ones, the wrong ones, or half of each).
    ``rl_epochs``: how long its RL lasts in place of ``rl.epochs``; such an arm stands in table map.
    """

    traces: Traces
    n: int = Field(ge=1)
    match: Match | None = None
    rl_epochs: float | None = Field(None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _of_none(cls, given: Any) -> Any:
        """An arm without traces has no n, and is written without; what counts arms by n counts it as 1."""
        return {"n": 1} | given if isinstance(given, dict) and given.get("traces") == "none" else given

    @model_validator(mode="after")
    def _matchable(self) -> Arm:
        if self.match is not None and self.traces not in ("unprompted", "heuristics", "teacher"):
            raise ValueError(f"traces {self.traces} cannot be matched to another arm; remove match")
        return self

    def epochs(self, usual: float) -> float:
        """How many epochs its RL lasts, where arms without ``rl_epochs`` have ``usual``."""
        return self.rl_epochs or usual
