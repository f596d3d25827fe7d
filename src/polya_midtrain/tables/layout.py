"""The readable page of a table: which of its rows stand where, and the notes that explain them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polya_midtrain.params import Tables
from polya_midtrain.tables import paper_values
from polya_midtrain.tables.counts import Counts
from polya_midtrain.tables.long import PASS, Row
from polya_midtrain.tables.paper_values import MEAN
from polya_midtrain.tables.render import Grid, Page
from polya_midtrain.tables.study import REFERENCE

PAPER_K = 64  # the k at which the paper's averages are known
UNKNOWN = "-"


class _Index:
    """Rows by what a grid asks for."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = {(row.arm, row.benchmark, row.metric, row.k, row.seeds): row for row in rows}
        self.arms = list(dict.fromkeys(row.arm for row in rows))
        self.benchmarks = list(dict.fromkeys(row.benchmark for row in rows if row.benchmark != MEAN))
        self.ks = sorted({row.k for row in rows if row.k is not None})
        self.seeds = list(dict.fromkeys(row.seeds for row in rows))  # the pooled one last

    def get(self, arm: str, benchmark: str, metric: str, k: int | None = None, seeds: str | None = None) -> Row:
        return self.rows[arm, benchmark, metric, k, self.seeds[-1] if seeds is None else seeds]


def page(title: str, rows: Sequence[Row], counts: Counts, settings: Tables, profile: str) -> Page:
    """The page of one phase's rows: means, benchmarks, differences to vanilla, seeds."""
    index = _Index(rows)
    grids = [_means(index), _benchmarks(index), _seeds(index)]
    if len(index.arms) > 1:
        grids.insert(2, _differences(index))
    return Page(title, grids, _notes(index, counts, settings, profile))


def number(value: float | None) -> str:
    """A share as every readable table prints it."""
    return UNKNOWN if value is None else f"{value:.3f}"


def score(row: Row) -> str:
    """Value, interval and the mark of significance."""
    return f"{number(row.value)} [{number(row.low)}, {number(row.high)}]" + ("*" if row.significant == "yes" else "")


def _means(index: _Index) -> Grid:
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


def _benchmarks(index: _Index) -> Grid:
    largest = index.ks[-1]

    def cell(row: Row) -> str:
        return score(row) + (f" (paper {number(row.paper)})" if row.paper is not None else "")

    rows = [[arm, *(cell(index.get(arm, name, PASS, largest)) for name in index.benchmarks)] for arm in index.arms]
    return Grid(f"pass@{largest} of each benchmark", ["arm", *index.benchmarks], rows)


def _differences(index: _Index) -> Grid:
    ends = sorted({index.ks[0], index.ks[-1]})
    header = ["arm", *(f"pass@{k}: {what}" for k in ends for what in ("difference", "p", "detectable"))]
    rows = []
    for arm in index.arms:
        if arm == REFERENCE:
            continue
        line = [arm]
        for k in ends:
            row = index.get(arm, MEAN, PASS, k)
            mark = "*" if row.significant == "yes" else ""
            line.append(f"{row.diff:+.3f} [{row.diff_low:+.3f}, {row.diff_high:+.3f}]{mark}")
            line.append(number(row.p_holm))
            line.append("> 1" if row.detectable is not None and row.detectable > 1.0 else number(row.detectable))
        rows.append(line)
    return Grid(f"Difference to {REFERENCE}, mean over benchmarks", header, rows)


def _seeds(index: _Index) -> Grid:
    ends = sorted({index.ks[0], index.ks[-1]})
    header = ["arm", "seeds", "questions", "samples", *(f"pass@{k}" for k in ends), "truncated", "no answer"]
    rows = []
    for arm in index.arms:
        for seeds in index.seeds:
            shown = [index.get(arm, MEAN, PASS, k, seeds) for k in ends]
            rates = [index.get(arm, MEAN, metric, None, seeds).value for metric in ("truncated", "no_answer")]
            sizes = [str(shown[0].n_questions), str(shown[0].n_samples)]
            rows.append([arm, seeds, *sizes, *(score(row) for row in shown), *(number(rate) for rate in rates)])
    return Grid("Training seeds apart and pooled, mean over benchmarks", header, rows)


def _notes(index: _Index, counts: Counts, settings: Tables, profile: str) -> list[str]:
    percent = f"{settings.confidence:.0%}"
    alpha = 1.0 - settings.confidence
    compared = len(index.arms) - 1
    notes = [
        f"Profile {profile}; {counts.samples} samples a question; decoding: {_settings(counts.decoding)}. "
        "Scores are shares of 1; pass@k is the unbiased estimator of Chen et al. (2021). Truncated: samples cut off by "
        "the token limit; no answer: samples in which the verifier found none.",
        f"Brackets: {percent} bootstrap interval ({settings.resamples} resamples, expanded for few units), not "
        "corrected for the number of arms. One seed: over questions. Pooled: over questions and training seeds, so it "
        "speaks of the method and not of these trained policies alone. Where nearly all questions score 0, or 1, the "
        "interval is too narrow; a width of zero means that all scored the same, not that the score is certain.",
    ]
    if compared and len(counts.seeds) > 1:
        notes.append(
            f"*: differs from {REFERENCE}, Holm-corrected p below {alpha:.2g} over the {compared} arms compared (each "
            "k and benchmark is a family of its own). Questions are paired, training seeds are not; p by min F' (Clark "
            f"1973). Detectable: the true difference found with probability 0.8 at level {alpha:.2g}/{compared}, "
            "Holm's first step."
        )
    elif compared:
        notes.append(
            "One training seed: intervals and differences describe these trained policies, not the method, and no test "
            "is made."
        )
    notes.append(_paper_note(index))
    return notes


def _settings(decoding: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in sorted(decoding.items()) if value != "")


def _paper_note(index: _Index) -> str:
    phase = next(iter(index.rows.values())).phase
    shown = [
        f"{arm} {known.value:.4f} ({known.source})"
        for arm in index.arms
        if (known := paper_values.lookup(phase, arm, MEAN, PAPER_K))
    ]
    text = f"Paper ({paper_values.SETTING}): pass@{PAPER_K} {', '.join(shown)}. A: authors' post; R: published review."
    best = [
        f"{name} {known.value:.4f}"
        for name in index.benchmarks
        if phase == "after" and (known := paper_values.BEST_AFTER_RL.get((name, PAPER_K)))
    ]
    return text + (f" Its best arm, which is not named, at pass@{PAPER_K} (R): {', '.join(best)}." if best else "")
