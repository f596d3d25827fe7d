"""The readable pages of pass@k: which rows stand where, and the notes that explain them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polya_midtrain.params import Params
from polya_midtrain.params.studies import REFERENCE
from polya_midtrain.tables.row import MEAN, PASS, Row, Rows
from polya_midtrain.tables.shared import cells, paper_values, render
from polya_midtrain.tables.shared.cells import SOURCES, UNKNOWN
from polya_midtrain.tables.shared.render import Grid, Page
from polya_midtrain.tables.shared.scores import RATES, Pair, Scores

PAPER_K = 64  # the k at which the paper's averages are known
SLOPES = "Slope of mean pass@k over log2 n: the change with each doubling of n"


class Index(Rows):
    """One phase's scores; ``means``: the benchmarks of each mean beside that over all."""

    def __init__(self, rows: Sequence[Row], means: Mapping[str, Sequence[str]] | None = None) -> None:
        scores = [row for row in rows if row.metric in (PASS, *RATES)]
        super().__init__(scores)
        self.means = means or {}
        self.arms = list(dict.fromkeys(row.arm for row in scores))
        averages = {MEAN, *self.means}
        self.benchmarks = list(dict.fromkeys(row.benchmark for row in scores if row.benchmark not in averages))
        self.ks = sorted({row.k for row in scores if row.k is not None})
        self.ends = sorted({self.ks[0], self.ks[-1]})
        self.seeds = list(dict.fromkeys(row.seeds for row in scores if row.benchmark == MEAN))  # the pooled one last
        self.phase = scores[0].phase

    def scores(self, ks: Sequence[int], **wanted: str) -> list[str]:
        """The cells of pass@k."""
        return [cells.score(self.get(PASS, k=k, **wanted), marked=True) for k in ks]


def page(title: str, rows: Sequence[Row], study: Scores, params: Params) -> Page:
    """The page of one phase's rows: means, benchmarks, differences to vanilla, seeds."""
    index = Index(rows, params.tables.beside)
    averages = [means(index), *(subset_mean(index, name) for name in index.means)]
    grids = [glance(index), *averages, benchmarks(index), *differences(index), seeds(index)]
    told = [*notes(index, study, params.profile), paper_note(index, params)]
    return Page(title=title, grids=grids, notes=told)


def glance(index: Index) -> Grid:
    """What is asked first: pass@k of each arm at both ends of k, and how far from vanilla it ends at the largest."""
    k = index.ends[-1]
    rows = []
    for arm in index.arms:
        last = index.get(PASS, arm=arm, benchmark=MEAN, k=k)
        other = [cells.difference(last), cells.p_value(last)] if arm != REFERENCE else ["-", "-"]
        rows.append([arm, *index.scores(index.ends, arm=arm, benchmark=MEAN), *other])
    header = ["arm", *(f"pass@{k}" for k in index.ends), f"less {REFERENCE}: pass@{k}", "p"]
    return Grid(caption="At a glance, mean over benchmarks", header=header, rows=rows)


def means(index: Index) -> Grid:
    """pass@k of each arm at every k, mean over benchmarks."""
    paper = f"paper (mean of six sets, Llama-3.2-3B): pass@{PAPER_K}"
    rows = []
    for arm in index.arms:
        known = index.get(PASS, arm=arm, benchmark=MEAN, k=PAPER_K)
        shown = index.scores(index.ks, arm=arm, benchmark=MEAN)
        rows.append([arm, *shown, cells.number(known.paper if known else None)])
    header = ["arm", *(f"pass@{k}" for k in index.ks), paper]
    return Grid(caption="Mean over benchmarks", header=header, rows=rows)


def subset_mean(index: Index, name: str) -> Grid:
    """pass@k of each arm at every k, mean over the benchmarks that ``tables.means`` gives a name."""
    rows = [[arm, *index.scores(index.ks, arm=arm, benchmark=name)] for arm in index.arms]
    members = index.means[name]
    caption = f"Mean {name!r}, over {len(members)} of them: {', '.join(members)}"
    return Grid(caption=caption, header=["arm", *(f"pass@{k}" for k in index.ks)], rows=rows)


def benchmarks(index: Index) -> Grid:
    """pass@k of each arm on every benchmark, at the largest k."""

    def cell(row: Row | None) -> str:
        known = "" if row is None or row.paper is None else f" (paper {cells.number(row.paper)})"
        return cells.score(row, marked=True) + known

    k = index.ks[-1]
    rows = [
        [arm, *(cell(index.get(PASS, arm=arm, benchmark=name, k=k)) for name in index.benchmarks)] for arm in index.arms
    ]
    return Grid(caption=f"pass@{k} of each benchmark", header=["arm", *index.benchmarks], rows=rows)


def differences(index: Index, paper: Mapping[str, str] | None = None) -> list[Grid]:
    """Each arm less vanilla at both ends of k, mean over benchmarks; no grid where there is no other arm.

    ``paper``: what the paper says of an arm, in a column of its own.
    """
    header = ["arm", *(f"pass@{k}: {what}" for k in index.ends for what in ("difference", "p", "detectable"))]
    rows = []
    for arm in index.arms:
        if arm != REFERENCE:
            found = [index.get(PASS, arm=arm, benchmark=MEAN, k=k) for k in index.ends]
            shown = [show(row) for row in found for show in (cells.difference, cells.p_value, cells.detectable)]
            rows.append([arm, *shown, *([] if paper is None else [paper.get(arm, UNKNOWN)])])
    header += [] if paper is None else ["paper"]
    caption = f"Difference to {REFERENCE}, mean over benchmarks"
    return [Grid(caption=caption, header=header, rows=rows)] if rows else []


def changes(caption: str, rows: Sequence[Row], names: Mapping[Pair, str], paper: Mapping[Pair, str]) -> list[Grid]:
    """Rows whose value is a change, at both ends of k; no grid where there are none.

    ``names``: how the first column shows what is compared; ``paper``: what the paper says of it.
    """
    if not rows:
        return []
    ks = sorted({row.k for row in rows if row.k is not None})
    ends = sorted({ks[0], ks[-1]})
    shows = {"change": cells.change, "p": cells.p_value, "detectable": cells.detectable}
    if all(row.detectable is None for row in rows):
        del shows["detectable"]
    at = {((row.arm, row.reference), row.k): row for row in rows}
    lines = [
        [names[pair], *(show(at.get((pair, k))) for k in ends for show in shows.values()), paper.get(pair, UNKNOWN)]
        for pair in dict.fromkeys(pair for pair, _ in at)
    ]
    header = ["arm", *(f"pass@{k}: {what}" for k in ends for what in shows), "paper"]
    return [Grid(caption=caption, header=header, rows=lines)]


def seeds(index: Index) -> Grid:
    """Scores of each training seed beside the pooled ones, with truncated and unanswered samples."""
    header = ["arm", "seeds", "questions", "samples", *(f"pass@{k}" for k in index.ends), "truncated", "no answer"]
    rows = []
    for arm in index.arms:
        for name in index.seeds:
            where = {"arm": arm, "benchmark": MEAN, "seeds": name}
            first = index.find(PASS, **where)[0]
            rates = [cells.value(index.get(metric, **where)) for metric in RATES]
            sizes = [str(first.n_questions), str(first.n_samples)]
            rows.append([arm, name, *sizes, *index.scores(index.ends, **where), *rates])
    return Grid(caption="Training seeds apart and pooled, mean over benchmarks", header=header, rows=rows)


def notes(index: Index, study: Scores, profile: str) -> list[str]:
    """What every page of scores says: sizes and decoding, the intervals, the tests against vanilla."""
    return render.notes(
        "shared/scores.j2",
        profile=profile,
        study=study,
        decoding=cells.decoding(study.decoding),
        settings=study.settings,
        alpha=f"{study.alpha:.2g}",
        compared=len(index.arms) - 1,
        reference=REFERENCE,
    )


def paper_note(index: Index, params: Params) -> str:
    """The paper's pass@k with its sources."""
    shown = [
        f"{arm} {known.value:.4f} ({known.source})"
        for arm in index.arms
        if (known := paper_values.lookup(params, index.phase, arm, MEAN, PAPER_K))
    ]
    text = f"Paper ({paper_values.SETTING}): pass@{PAPER_K} {', '.join(shown)}. {SOURCES}"
    best = [
        f"{name} {known.value:.4f}"
        for name in index.benchmarks
        if index.phase == "after"
        and (known := paper_values.BEST_AFTER_RL.get((paper_values.source_of(params, name), PAPER_K)))
    ]
    return text + (f" Its best arm, which is not named, at pass@{PAPER_K} (R): {', '.join(best)}." if best else "")
