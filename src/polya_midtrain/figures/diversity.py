"""Diversity: the Vendi score of every training set at one size, and question by question against the teacher's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from polya_midtrain.errors import UserError
from polya_midtrain.figures.data import Table, count, interval
from polya_midtrain.figures.style import Drawing, Look, dots, legend, names_axis, stacked
from polya_midtrain.params import Params, studies
from polya_midtrain.tables.row import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VENDI, PER_QUESTION = "vendi", "vendi per question"
LOOKS = {"self-generated": Look("#0072B2", "o"), "the teacher's": Look("#E69F00", "D", filled=False)}


def draw(params: Params) -> Drawing | None:
    """A column for each kernel: all sets above, the pair question by question below. None where no arm has a set."""
    if all(arm.traces == "none" for arm in params.arms.values()):
        return None
    table = Table("diversity")
    points = table.find(VENDI) + table.find(PER_QUESTION)
    if not table.find(VENDI):
        raise UserError(
            f"{table.path}: no training set is large enough for a Vendi score; lower diversity.size in params.yaml"
        )
    kernels = list(dict.fromkeys(point.benchmark for point in points))
    names = {kernel: _kernel(next(point for point in points if point.benchmark == kernel)) for kernel in kernels}
    rows = {metric: list(dict.fromkeys(point.arm for point in table.find(metric))) for metric in (VENDI, PER_QUESTION)}
    rows = {metric: arms for metric, arms in rows.items() if arms}
    teachers = studies.distilled(params.arms)
    heights = [0.8 + 0.19 * len(arms) for arms in rows.values()]
    figure, panels = stacked([len(kernels)] * len(rows), 0.4 + sum(heights), heights)
    words = []
    for (metric, arms), columns in zip(rows.items(), panels, strict=True):
        for axes, kernel in zip(columns, kernels, strict=True):
            found = {point.arm: point for point in table.find(metric, benchmark=kernel)}
            _dots(axes, found, arms, teachers)
            axes.set_title(f"{names[kernel]}: {'sets of equal size' if metric == VENDI else 'question by question'}")
            axes.set_xlabel("Vendi score" if metric == VENDI else "mean Vendi score")
            said = ", ".join(f"{arm} {point.value:.2f}" for arm, point in found.items())
            words.append(f"{metric} by {names[kernel]}: {said}")
    legend(figure, [axes for columns in panels for axes in columns])
    pair = table.find(PER_QUESTION)
    sets = table.find(VENDI)[0].method.split(";")[0]
    below = ""
    if pair:
        asked = count(pair[0].n_questions, "question")
        below = f" Below: mean over the {asked} that both answer, as many traces of each, {interval(pair[0], params)}."
    return Drawing(
        figure,
        "Diversity of the training sets",
        "Vendi score, the effective number of different traces, by kernel. Sets: mean, and as a bar the "
        f"{params.tables.confidence:.0%} {sets}.{below} The paper's scores, in the table, are of another embedding.",
        f"Charts of dots, a line a training set. {'; '.join(words)}.",
        (f"{table.path}",),
    )


def _dots(axes: Axes, found: Mapping[str, Row], arms: Sequence[str], teachers: Sequence[str]) -> None:
    for label, look in LOOKS.items():
        chosen = [arm for arm in arms if arm in found and (arm in teachers) == (look.marker == "D")]
        if chosen:
            dots(axes, [found[arm] for arm in chosen], [arms.index(arm) for arm in chosen], look, label)
    names_axis(axes, arms)


def _kernel(point: Row) -> str:
    """The kernel's name: of the leading one it stands in the method alone."""
    return point.benchmark or point.method.rpartition("kernel: ")[2]
