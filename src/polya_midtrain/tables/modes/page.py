"""The readable page of table modes."""

from __future__ import annotations

from collections.abc import Sequence

from polya_midtrain.results.small import PHASES
from polya_midtrain.tables.modes.cells import Cells
from polya_midtrain.tables.row import Row, Rows
from polya_midtrain.tables.shared import cells
from polya_midtrain.tables.shared.cells import SOURCES
from polya_midtrain.tables.shared.render import Grid, Page
from polya_midtrain.tables.shared.study import SLOPE

CLOSED = "closed form"
# Each step: its title, and its columns by the metric that they show; the closed form stands beside all but the first.
STEPS = {
    "positive": (
        "advantage +1 on a sampled fitting approach",
        {
            "moved": "it gains",
            "fitting": "share taken from other fitting ones",
            "risen": "other fitting modes that rise",
            "all risen": "points where all of them do",
        },
    ),
    "negative": (
        "advantage -1 on a sampled fitting approach",
        {
            "moved": "it moves",
            "fitting": "share that goes to other fitting ones",
            "unfit": "share that goes to unfit ones",
            "risen": "other fitting modes that rise",
        },
    ),
    "negative_unfit": (
        "advantage -1 on a sampled unfit approach",
        {
            "moved": "it moves",
            "fitting": "share that goes to fitting ones",
            "unfit": "share that goes to other unfit ones",
            "risen": "fitting modes that rise",
        },
    ),
    "expected": (
        "expectation over a group's samples",
        {
            "moved": "fitting approaches gain",
            "risen": "fitting modes that rise",
            "all risen": "points where all of them do",
        },
    ),
}


def page(rows: Sequence[Row], measured: Cells, arms: Sequence[str], profile: str) -> Page:
    """Modes, effective numbers, trends over n and the steps, of ``arms``."""
    index = Rows(rows)
    effective = ("probability on fitting approaches", "probability on unfit approaches")
    grids = [
        _state(index, arms, "Modes at branch points", "modes", ("fitting modes",)),
        _state(
            index,
            arms,
            "Effective number of next tokens, and where the probability lies",
            "effective number",
            effective,
        ),
        _trends(index),
        *(_step(index, arms, step) for step in STEPS),
    ]
    return Page(
        title="Modes at branch points, and one policy-gradient step",
        grids=[grid for grid in grids if grid.rows],
        notes=_notes(measured, profile),
    )


def _phases(index: Rows, arm: str, metric: str) -> list[str]:
    return [cells.score(index.get(metric, arm=arm, phase=phase)) for phase in PHASES]


def _state(index: Rows, arms: Sequence[str], caption: str, metric: str, more: Sequence[str]) -> Grid:
    header = ["arm", f"{metric}, before RL", "after RL", "difference", "p"]
    header += [f"{name}, {phase} RL" for name in more for phase in PHASES]
    rows = []
    for arm in arms:
        after = index.get(metric, arm=arm, phase="after")
        moved = [cells.difference(after), cells.p_value(after)]
        others = [cell for name in more for cell in _phases(index, arm, name)]
        rows.append([arm, *_phases(index, arm, metric), *moved, *others])
    return Grid(caption=caption, header=header, rows=rows)


def _trends(index: Rows) -> Grid:
    rows = []
    for metric in index.by_metric:
        if metric.endswith(SLOPE):
            shown = [show(row) for row in index.find(metric) for show in (cells.change, cells.p_value)]
            rows.append([metric.removesuffix(f", {SLOPE}"), *shown])
    caption = "Change with each doubling of n (slope over log2 n, heuristic arms)"
    return Grid(caption=caption, header=["number", "before RL", "p", "after RL", "p"], rows=rows)


def _step(index: Rows, arms: Sequence[str], step: str) -> Grid:
    """The step's grid; without rows where no arm has it."""
    title, columns = STEPS[step]

    def cell(arm: str, phase: str, what: str) -> str:
        row, closed = (index.get(f"{step}: {what}{end}", arm=arm, phase=phase) for end in ("", f", {CLOSED}"))
        return cells.value(row) if what == "moved" else f"{cells.score(row)} ({cells.value(closed)})"

    header = ["arm", *(f"{phase} RL: {name}" for phase in PHASES for name in columns.values())]
    rows = [
        [arm, *(cell(arm, phase, what) for phase in PHASES for what in columns)]
        for arm in arms
        if index.find(f"{step}: moved", arm=arm)
    ]
    return Grid(caption=f"One step: {title}; in round brackets the {CLOSED}", header=header, rows=rows)


def _notes(study: Cells, profile: str) -> list[str]:
    measured, settings = study.measured, study.settings
    file = measured.settings
    where = (
        "in the answer, after the word of a part drawn at random, the parts before it worked by plans that fit; an "
        "approach is a plan, and fits the part or not"
        if file.branch == "world"
        else "where the response begins; an approach is any token above the threshold, all of them are called fitting "
        "(which of them lead to a right answer is not known), and none unfit"
    )
    alpha = 1.0 - settings.confidence
    notes = [
        f"Profile {profile}; {len(measured.questions)} questions of the RL set, one branch point each: {where}. The "
        "same points for every arm, phase and training seed; nothing is decoded. Mode: a next token with a probability "
        f"above {file.threshold:g}. Effective number: exp of the entropy of the next token. This page shows the main "
        "arms; the CSV has all, and each training seed.",
        f"Brackets: {settings.confidence:.0%} bootstrap interval ({settings.resamples} resamples, expanded for few "
        "units), pooled over branch points and training seeds, not corrected for the number of arms. Shares of a step "
        "are ratios of sums over branch points, and their interval is that of the ratio's linear form.",
        (
            f"Difference: after less before RL, paired by branch point and training seed. *: Holm-corrected p below "
            f"{alpha:.2g} over the {len({arm for arm, _ in measured.cells})} arms, or over the slopes (p by min F', "
            "Clark 1973). Before RL, an arm without mid-training is the base itself, whatever the seed."
            if study.several
            else "One training seed: intervals and differences describe these trained policies, and no test is made."
        ),
        f"One step: all weights of the model, once, along the gradient of advantage x log-probability at the branch "
        f"point, times {file.learning_rate:g}; plain ascent, always from the same checkpoint. The sampled approach is "
        "drawn from the policy's own probabilities among those that fit, or do not. Expectation: of the step over "
        f"groups of {file.generations} samples whose reward is whether the approach fits, advantages normalised as in "
        "GRPO. Gains and moves: mean change of probability. The shares say where that came from or went to; what is "
        "missing to 1 is tokens that begin no approach, or unfit approaches. Shares below 0 or above 1 mean that "
        "others moved the same way, or more.",
        f"Round brackets, the {CLOSED}: a softmax whose logits are free, moved as far as the model moved "
        "(science/softmax.py has the derivation). It says that a positive step on one of n equal modes lowers all the "
        "others, that a negative one moves its mass to the others, the larger first, right or wrong, and that the "
        "expected step raises every one of n equal rewarded modes, but of unequal ones not the small. What differs "
        "from it here is the work of shared weights. The CSV also has what free logits move at the model's learning "
        "rate: far less, since a model's logits depend on all its weights.",
        "Paper: training on n correct approaches makes the next-token distribution at a branch point n-modal; a "
        "positive advantage can raise all n modes; a negative one moves mass from the sampled approach to the other "
        "n-1 (A). No number of it is known to us, nor whether it was measured. " + SOURCES,
        "Not shown: a step of the optimiser that RL uses, which divides by gradient sizes and sums over all tokens of "
        "all samples; steps at other tokens of an answer; whether more modes make more answers right.",
    ]
    if file.branch == "world":
        notes.insert(
            1,
            "n counts the approaches of a training set over all parts. Of the world's sixteen plans four fit any one "
            "part, so that fitting modes cannot exceed four at a branch point, and n = 4 already teaches one plan for "
            "every part; modes beyond the fitting ones are approaches that fail there.",
        )
    return notes
