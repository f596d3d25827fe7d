"""Of the main table: whence the variance of a mean comes, from bases, training seeds or questions."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from polya_midtrain.params import Arm, studies
from polya_midtrain.params.studies import REFERENCE
from polya_midtrain.science.components import Components, components, shares
from polya_midtrain.tables.row import MEAN, Row, tidy
from polya_midtrain.tables.shared import cells
from polya_midtrain.tables.shared.render import Grid
from polya_midtrain.tables.shared.scores import Scores

UP_TO = 16  # n: claim C1 is about the arm with the largest one up to that
METRIC = "share of variance: "  # and the part
NONE = "none: analysis of variance"


def rows(scores: Scores, arms: Mapping[str, Arm]) -> list[Row]:
    """The parts' shares of the variance of pass@k, mean over benchmarks, at both ends of k: of vanilla, of the arm that
    claim C1 is about, and of the difference of the two, whose ``reference`` is vanilla.

    A part that cannot be told has no row; with one training run no part can.
    """
    if not scores.several:
        return []
    best = [name for name in studies.by_n(arms) if arms[name].n <= UP_TO][-1:]
    sizes = [scores.sizes[name] for name in scores.averaged]
    blocks = {name: list(scores.passes(name, scores.averaged).values()) for name in (REFERENCE, *best)}
    none = [np.zeros_like(block) for block in blocks[REFERENCE]]
    pairs = [(REFERENCE, ""), *((name, other) for name in best for other in ("", REFERENCE))]
    found = []
    for arm, other in pairs:
        parts = shares(components(blocks[arm], blocks.get(other, none), scores.bases), sizes, scores.bases)
        found += [
            scores.row(
                arm=arm,
                phase=scores.phase,
                benchmark=MEAN,
                metric=METRIC + part,
                k=scores.ks[place],
                value=tidy(values[place]),
                n_questions=sum(sizes),
                method=NONE,
                reference=other,
            )
            for place in sorted({0, len(scores.ks) - 1})
            for part, values in zip(Components._fields, parts, strict=True)
            if not math.isnan(values[place])
        ]
    return found


def grids(found: list[Row]) -> list[Grid]:
    """The same as a readable table; none where nothing can be told."""
    at = {(row.arm, row.reference, row.k, row.metric): row for row in found}
    lines = []
    for arm, other, k in dict.fromkeys(key[:3] for key in at):
        parts = [cells.value(at.get((arm, other, k, METRIC + part))) for part in Components._fields]
        lines.append([f"{arm} less {other}" if other else arm, str(k), *parts])
    caption = "Whence the variance of pass@k comes, mean over benchmarks: shares of 1"
    return [Grid(caption=caption, header=["arm", "k", *Components._fields], rows=lines)] if lines else []
