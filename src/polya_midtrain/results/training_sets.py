"""results/counts/training_sets.json: what each arm's mid-training learns from."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import Field, RootModel, model_validator

from polya_midtrain import paths
from polya_midtrain.results.small import Part, Small, refusal


class TrainingSet(Part):
    """One arm's card. ``tokens``: response tokens; ``mean_score``: adherence by the reward model, or None.

    Counts are of all ``bases`` together. ``follow``: the share of traces under a heuristic that work by it alone
    (`adherence.share`), or None.
    """

    arm: str
    rows: int = Field(ge=0)
    tokens: int = Field(ge=0)
    questions: int = Field(ge=0)
    questions_asked: int = Field(ge=0)
    bases: int = Field(ge=1)
    rows_per_heuristic: dict[str, int]
    mean_score: float | None
    follow: float | None
    right: int = Field(ge=0)
    wrong: int = Field(ge=0)

    @model_validator(mode="after")
    def _possible(self) -> TrainingSet:
        if self.right + self.wrong != self.rows or self.questions > self.rows or self.questions > self.questions_asked:
            raise ValueError(
                f"the {self.rows} rows of {self.arm!r} do not fit their right and wrong ones or their questions"
            )
        return self


class TrainingSets(RootModel[dict[str, TrainingSet]], Small):
    """The file: a card an arm."""

    def text(self) -> str:
        """A line a number."""
        return json.dumps(self.model_dump(), indent=2) + "\n"


def read(arms: Sequence[str]) -> dict[str, TrainingSet]:
    """The cards of ``arms``; those of other arms are ignored, and every fault is a one-line `UserError`."""
    path = paths.TRAINING_SETS
    found = TrainingSets.read(path).root
    for arm in arms:
        if arm not in found:
            raise refusal(path, [arm], "missing, and it is in params.yaml")
        if found[arm].arm != arm:
            raise refusal(path, [arm, "arm"], f"expected {arm!r}, found {found[arm].arm!r}")
    return {arm: found[arm] for arm in arms}
