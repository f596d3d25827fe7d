"""The readable pages: which rows of a table stand where, and the notes that explain them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polya_midtrain.params import Params, Tables
from polya_midtrain.results.counts import Counts
from polya_midtrain.studies import REFERENCE
from polya_midtrain.tables.row import MEAN, PASS, Row
from polya_midtrain.tables.shared import paper_values
from polya_midtrain.tables.shared.long import Pair
from polya_midtrain.tables.shared.render import Grid, Page

PAPER_K = 64  # the k at which the paper's averages are known
UNKNOWN = "-"
SLOPES = "Slope of mean pass@k over log2 n: the change with each doubling of n"
SOURCES = "A: authors' post; R: published review."


class Index:
    """One phase's rows by what a grid asks for; ``means``: the benchmarks of each mean beside that over all."""

    def __init__(self, rows: Sequence[Row], means: Mapping[str, Sequence[str]] | None = None) -> None:
        self.means = means or {}
        scores = [row for row in rows if row.metric in (PASS, "truncated", "no_answer")]
        self.rows = {(row.arm, row.benchmark, row.metric, row.k, row.seeds): row for row in scores}
        self.arms = list(dict.fromkeys(row.arm for row in scores))
        averages = {MEAN, *self.means}
        self.benchmarks = list(dict.fromkeys(row.benchmark for row in scores if row.benchmark not in averages))
        self.ks = sorted({row.k for row in scores if row.k is not None})
        self.ends = sorted({self.ks[0], self.ks[-1]})
        self.seeds = list(dict.fromkeys(row.seeds for row in scores if row.benchmark == MEAN))  # the pooled one last
        self.phase = scores[0].phase

    def get(self, arm: str, benchmark: str, metric: str, k: int | None = None, seeds: str | None = None) -> Row:
        return self.rows[arm, benchmark, metric, k, self.seeds[-1] if seeds is None else seeds]


def page(title: str, rows: Sequence[Row], counts: Counts, params: Params) -> Page:
    """The page of one phase's rows: means, benchmarks, differences to vanilla, seeds."""
    index = Index(rows, params.tables.means)
    averages = [means(index), *(subset_mean(index, name) for name in index.means)]
    grids = [*averages, benchmarks(index), *differences(index), seeds(index)]
    return Page(title, grids, [*notes(index, counts, params.tables, params.profile), paper_note(index, params)])


def number(value: float | None) -> str:
    """A share as every readable table prints it."""
    return UNKNOWN if value is None else f"{value:.3f}"


def score(row: Row) -> str:
    """Value, interval and the mark of significance."""
    return f"{number(row.value)} [{number(row.low)}, {number(row.high)}]" + _mark(row)


def change(row: Row) -> str:
    """A difference, relative change or slope: signed, with its interval if it has one, and the mark."""
    return _signed(row.value, row.low, row.high) + _mark(row)


def means(index: Index) -> Grid:
    """pass@k of each arm at every k, mean over benchmarks."""
    rows = [
        [
            arm,
            *(score(index.get(arm, MEAN, PASS, k)) for k in index.ks),
            number(index.get(arm, MEAN, PASS, PAPER_K).paper if PAPER_K in index.ks else None),
        ]
        for arm in index.arms
    ]
    caption = f"Mean over {len(index.benchmarks)} benchmarks"
    paper = f"paper (mean of six sets, Llama-3.2-3B): pass@{PAPER_K}"
    return Grid(caption, ["arm", *(f"pass@{k}" for k in index.ks), paper], rows)


def subset_mean(index: Index, name: str) -> Grid:
    """pass@k of each arm at every k, mean over the benchmarks that ``tables.means`` gives a name."""
    rows = [[arm, *(score(index.get(arm, name, PASS, k)) for k in index.ks)] for arm in index.arms]
    members = index.means[name]
    caption = f"Mean {name!r}, over {len(members)} of them: {', '.join(members)}"
    return Grid(caption, ["arm", *(f"pass@{k}" for k in index.ks)], rows)


def benchmarks(index: Index) -> Grid:
    """pass@k of each arm on every benchmark, at the largest k."""
    largest = index.ks[-1]

    def cell(row: Row) -> str:
        return score(row) + (f" (paper {number(row.paper)})" if row.paper is not None else "")

    rows = [[arm, *(cell(index.get(arm, name, PASS, largest)) for name in index.benchmarks)] for arm in index.arms]
    return Grid(f"pass@{largest} of each benchmark", ["arm", *index.benchmarks], rows)


def differences(index: Index, paper: Mapping[str, str] | None = None) -> list[Grid]:
    """Each arm less vanilla at both ends of k, mean over benchmarks; no grid where there is no other arm.

    ``paper``: what the paper says of an arm, in a column of its own.
    """
    header = ["arm", *(f"pass@{k}: {what}" for k in index.ends for what in ("difference", "p", "detectable"))]
    rows: list[list[str]] = []
    for arm in index.arms:
        if arm == REFERENCE:
            continue
        line = [arm]
        for k in index.ends:
            row = index.get(arm, MEAN, PASS, k)
            assert row.diff is not None
            line.append(_signed(row.diff, row.diff_low, row.diff_high) + _mark(row))
            line += [p_value(row.p_holm), _detectable(row)]
        rows.append(line if paper is None else [*line, paper.get(arm, UNKNOWN)])
    if paper is not None:
        header.append("paper")
    return [Grid(f"Difference to {REFERENCE}, mean over benchmarks", header, rows)] if rows else []


def changes(caption: str, rows: Sequence[Row], names: Mapping[Pair, str], paper: Mapping[Pair, str]) -> list[Grid]:
    """Rows whose value is a change, at both ends of k; no grid where there are none.

    ``names``: how the first column shows what is compared; ``paper``: what the paper says of it.
    """
    if not rows:
        return []
    ks = sorted({row.k for row in rows if row.k is not None})
    ends = sorted({ks[0], ks[-1]})
    detects = any(row.detectable is not None for row in rows)
    whats = ["change", "p", *(["detectable"] if detects else [])]
    lines = []
    by_place = {((row.arm, row.reference), row.k): row for row in rows}
    for pair in dict.fromkeys(pair for pair, _ in by_place):
        line = [names[pair]]
        for k in ends:
            row = by_place.get((pair, k))
            cells = [change(row), p_value(row.p_holm), _detectable(row)] if row else [UNKNOWN] * 3
            line += cells[: len(whats)]
        lines.append([*line, paper.get(pair, UNKNOWN)])
    return [Grid(caption, ["arm", *(f"pass@{k}: {what}" for k in ends for what in whats), "paper"], lines)]


def seeds(index: Index) -> Grid:
    """Scores of each training seed beside the pooled ones, with truncated and unanswered samples."""
    header = ["arm", "seeds", "questions", "samples", *(f"pass@{k}" for k in index.ends), "truncated", "no answer"]
    rows = []
    for arm in index.arms:
        for name in index.seeds:
            shown = [index.get(arm, MEAN, PASS, k, name) for k in index.ends]
            rates = [index.get(arm, MEAN, metric, None, name).value for metric in ("truncated", "no_answer")]
            sizes = [str(shown[0].n_questions), str(shown[0].n_samples)]
            rows.append([arm, name, *sizes, *(score(row) for row in shown), *(number(rate) for rate in rates)])
    return Grid("Training seeds apart and pooled, mean over benchmarks", header, rows)


def notes(index: Index, counts: Counts, settings: Tables, profile: str) -> list[str]:
    """What every page of scores says: sizes and decoding, the intervals, the tests against vanilla."""
    percent = f"{settings.confidence:.0%}"
    alpha = 1.0 - settings.confidence
    compared = len(index.arms) - 1
    found = [
        f"Profile {profile}; {counts.samples} samples a question; decoding: {_settings(counts.decoding)}. "
        "Scores are shares of 1; pass@k is the unbiased estimator of Chen et al. (2021). Truncated: samples cut off by "
        "the token limit; no answer: samples in which the verifier found none.",
        f"Brackets: {percent} bootstrap interval ({settings.resamples} resamples, expanded for few units), not "
        "corrected for the number of arms. One seed: over questions. Pooled: over questions and training seeds, so it "
        "speaks of the method and not of these trained policies alone. Where nearly all questions score 0, or 1, the "
        "interval is too narrow; a width of zero means that all scored the same, not that the score is certain.",
    ]
    if compared and len(counts.seeds) > 1:
        found.append(
            f"*: differs from {REFERENCE}, Holm-corrected p below {alpha:.2g} over the {compared} arms compared (each "
            "k and benchmark is a family of its own). Questions are paired, training seeds are not; p by min F' (Clark "
            f"1973). Detectable: the true difference found with probability 0.8 at level {alpha:.2g}/{compared}, "
            "Holm's first step."
        )
    elif compared:
        found.append(
            "One training seed: intervals and differences describe these trained policies, not the method, and no test "
            "is made."
        )
    return found


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


def _signed(value: float, low: float | None, high: float | None) -> str:
    return f"{value:+.3f}" + ("" if low is None or high is None else f" [{low:+.3f}, {high:+.3f}]")


def _mark(row: Row) -> str:
    return "*" if row.significant == "yes" else ""


def p_value(p: float | None) -> str:
    """A p as every readable table prints it."""
    return "< 0.001" if p is not None and p < 0.001 else number(p)


def _detectable(row: Row) -> str:
    return "> 1" if row.detectable is not None and row.detectable > 1.0 else number(row.detectable)


def _settings(decoding: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in sorted(decoding.items()) if value != "")
