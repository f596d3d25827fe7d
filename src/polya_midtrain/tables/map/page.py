"""The readable page of table map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polya_midtrain.params import Params, flat
from polya_midtrain.tables.row import PASS, Row, Rows
from polya_midtrain.tables.shared import cells, render
from polya_midtrain.tables.shared.render import Grid, Page
from polya_midtrain.tables.shared.scores import DIFFERENCE, Scores

TITLE = "Where mid-training helps: by base and amount of RL"
COVERAGE, RATIO, ENTROPY = "coverage", "coverage over accuracy", "entropy at branch points"
NUMBERS = {COVERAGE: "share", RATIO: "ratio", ENTROPY: "nats"}  # of a base, each with its unit
RHO, ZERO = "rho of the gain and", "no gain at"


def nothing() -> Page:
    """Of a profile without amounts."""
    return Page(title=TITLE, grids=[], notes=["No arm has an amount of RL of its own (rl_epochs): there is no map."])


def numbers(base: Rows, number: str, k: int) -> list[Row]:
    """The row of one of the `NUMBERS` of a base, if there is one; ``k``: the largest, of which coverage is."""
    return base.find(PASS, phase="before", k=k) if number == COVERAGE else base.find(number)


def page(
    by_base: Sequence[Sequence[Row]],
    trends: Sequence[Row],
    amounts: Mapping[float, Sequence[str]],
    study: Scores,
    params: Params,
) -> Page:
    """The bases, the gains after each amount of RL, and how they go together. ``study``: of any of the bases."""
    bases = [Rows(rows) for rows in by_base]
    ends = sorted({study.ks[0], study.ks[-1]})
    grids = [
        _bases(bases, ends, params),
        *(_gains(bases, ends, epochs, names) for epochs, names in amounts.items()),
        *_trends(Rows(trends), amounts),
    ]
    notes = render.notes(
        "map/notes.j2",
        profile=params.profile,
        study=study,
        runs=len(study.seeds),
        decoding=cells.decoding(study.decoding),
        settings=study.settings,
        alpha=f"{study.alpha:.2g}",
        ends=ends,
        trends=trends,
    )
    return Page(title=TITLE, grids=grids, notes=notes)


def _bases(bases: Sequence[Rows], ends: Sequence[int], params: Params) -> Grid:
    """What each base is before any training."""
    rows = []
    for number, base in enumerate(bases, start=1):
        changed = ", ".join(f"{name} {value}" for name, value in flat(params.bases[number - 1]).items())
        shown = [cells.score(base.get(PASS, phase="before", k=k)) for k in ends]
        others = [cells.score(base.get(name)) for name in (RATIO, ENTROPY)]
        rows.append([str(number), changed or cells.UNKNOWN, *shown, *others])
    header = ["base", "its settings", *(f"pass@{k}" for k in ends), RATIO, f"{ENTROPY} (nats)"]
    return Grid(caption="The bases, before any training", header=header, rows=rows)


def _gains(bases: Sequence[Rows], ends: Sequence[int], epochs: float, names: Sequence[str]) -> Grid:
    """Of one amount of RL: the arm without mid-training, and what each other adds."""
    first, *others = names
    rows = []
    for number, base in enumerate(bases, start=1):
        alone = [cells.score(base.get(PASS, phase="after", arm=first, k=k)) for k in ends]
        rows.append([str(number), first, *alone, *(cells.UNKNOWN for _ in ends)])
        for arm in others:
            gains = [cells.change(base.get(DIFFERENCE, arm=arm, k=k)) for k in ends]
            rows.append([str(number), arm, *(cells.UNKNOWN for _ in ends), *gains])
    header = ["base", "arm", *(f"pass@{k}" for k in ends), *(f"pass@{k}: gain" for k in ends)]
    return Grid(caption=f"After RL of {epochs:g} epochs: {first}, and gains over it", header=header, rows=rows)


def _trends(trends: Rows, amounts: Mapping[float, Sequence[str]]) -> list[Grid]:
    """The gains against the bases' numbers; no grid where there are too few bases."""

    def cell(name: str, arm: str) -> list[str]:
        rho, zero = (trends.get(f"{what} {name}", arm=arm) for what in (RHO, ZERO))
        return [cells.UNKNOWN if rho is None else f"{rho.value:+.2f} (p {rho.p:.3f})", cells.score(zero)]

    rows = [
        [arm, f"{epochs:g}", *(text for name in NUMBERS for text in cell(name, arm))]
        for epochs, (_, *arms) in amounts.items()
        for arm in arms
    ]
    header = ["arm", "epochs of RL", *(f"{what} {name}" for name in NUMBERS for what in (RHO, ZERO))]
    caption = "Over the bases: the gain at the largest k against each number of a base"
    return [Grid(caption=caption, header=header, rows=rows)] if trends.by_metric else []
