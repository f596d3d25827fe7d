"""Read results/counts/training_sets.json: what each arm's mid-training learns from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from polya_midtrain.tables.counts import parse, refusal


class TrainingSet(BaseModel):
    """One arm's card. ``tokens``: response tokens; ``mean_score``: adherence by the reward model, or None."""

    model_config = ConfigDict(frozen=True, strict=True)

    arm: str
    rows: int = Field(ge=0)
    tokens: int = Field(ge=0)
    questions: int = Field(ge=0)
    questions_asked: int = Field(ge=0)
    rows_per_heuristic: dict[str, int]
    mean_score: float | None
    right: int = Field(ge=0)
    wrong: int = Field(ge=0)

    @model_validator(mode="after")
    def _possible(self) -> TrainingSet:
        if self.right + self.wrong != self.rows or self.questions > self.rows or self.questions > self.questions_asked:
            raise ValueError(
                f"the {self.rows} rows of {self.arm!r} do not fit their right and wrong ones or their questions"
            )
        return self


def read(path: Path, arms: Sequence[str]) -> dict[str, TrainingSet]:
    """The cards of ``arms``; those of other arms are ignored, and every fault is a one-line `UserError`."""
    file, text = parse(path, RootModel[dict[str, TrainingSet]])
    for arm in arms:
        if arm not in file.root:
            raise refusal(path, text, [arm], "missing, and it is in params.yaml")
        if file.root[arm].arm != arm:
            raise refusal(path, text, [arm, "arm"], f"expected {arm!r}, found {file.root[arm].arm!r}")
    return {arm: file.root[arm] for arm in arms}
