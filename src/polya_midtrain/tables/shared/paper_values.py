"""The paper's own numbers, as far as they are known (arXiv 2605.08472; Llama-3.2-3B-Instruct), as shares of 1.

Source marks: A, the authors' post; R, a published review of the full text (second-hand). A value that neither gives is
absent here and stays empty in the tables.
"""

from __future__ import annotations

from typing import NamedTuple

from polya_midtrain.params import Arm, Params
from polya_midtrain.tables.row import MEAN

BEST = "best arm, not named"
SETTING = "Llama-3.2-3B-Instruct, mean of six maths benchmarks"


class PaperValue(NamedTuple):
    """A pass@k as a share of 1, with its source mark."""

    value: float
    source: str


# Keys: phase, arm (`arm_of`), source of the benchmark and k; the paper's average is over six maths sets.
PASS_AT_K = {
    ("before", "vanilla", MEAN, 64): PaperValue(0.4630, "R"),  # "zero-shot": vanilla before RL is the base itself
    ("before", "star", MEAN, 64): PaperValue(0.4632, "R"),
    ("before", "n64", MEAN, 64): PaperValue(0.4817, "R"),
    ("after", "vanilla", MEAN, 64): PaperValue(0.4421, "A"),
    ("after", "star", MEAN, 64): PaperValue(0.4569, "R"),
    ("after", "n16", MEAN, 64): PaperValue(0.4809, "A"),
    ("after", "n64", MEAN, 64): PaperValue(0.4762, "R"),
    ("after", "vanilla", "math500", 64): PaperValue(0.8342, "R"),
    ("after", "vanilla", "aime25", 64): PaperValue(0.1691, "R"),
    ("after", "vanilla", "amc23", 64): PaperValue(0.7818, "R"),
}

# The review gives the best arm's value per benchmark without saying which arm it is; keys: the set's source and k.
BEST_AFTER_RL = {
    ("math500", 64): PaperValue(0.8627, "R"),
    ("aime25", 64): PaperValue(0.2334, "R"),
    ("amc23", 64): PaperValue(0.8452, "R"),
}

# Fixed budget: the training set of each number of approaches, in approaches x questions, and the relative change of
# 16 approaches to 1 after RL. Whose k that is, is not said; the paper's averages are of pass@64.
BUDGET = {1: "1 x 7,408 (A)", 16: "16 x 463 (A)"}
BUDGET_CHANGE = {16: PaperValue(0.07, "A")}

# Out of domain, after RL, by the source of the set; which pass@k these are is not said.
TRANSFER = {
    "humaneval": {"vanilla": PaperValue(0.5114, "R"), "n64": PaperValue(0.5282, "R")},
    "musr_murder": {"vanilla": PaperValue(0.5315, "R"), BEST: PaperValue(0.5736, "R")},
    "musr_team": {"vanilla": PaperValue(0.2346, "R"), "n32": PaperValue(0.3907, "R")},
}


def arm_of(arm: Arm) -> str:
    """Which of the paper's arms this is, by what it learns from and whatever its name; "" for none."""
    if arm.match is not None:
        return ""
    return {"none": "vanilla", "unprompted": "star", "heuristics": f"n{arm.n}"}.get(arm.traces, "")


def lookup(params: Params, phase: str, arm: str, scope: str, k: int) -> PaperValue | None:
    """The paper's pass@k of an arm of ours on a benchmark of ours, or MEAN; None where it is unknown."""
    return PASS_AT_K.get((phase, arm_of(params.arms[arm]), source_of(params, scope), k))


def source_of(params: Params, scope: str) -> str:
    """Where a benchmark's questions come from, which says what it is; its name does not. MEAN is itself."""
    chosen = params.questions.benchmarks.get(scope)
    return chosen.source if chosen else MEAN if scope == MEAN else ""
