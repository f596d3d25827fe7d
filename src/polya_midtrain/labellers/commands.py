"""What `polya judge` does: a judge measured on labelled chains of prose."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from polya_midtrain import params as settings
from polya_midtrain.errors import UserError
from polya_midtrain.labellers import agreement, labelled, validate
from polya_midtrain.labellers.agreement import Estimate
from polya_midtrain.labellers.opening import open_judge
from polya_midtrain.labellers.validate import Labelled
from polya_midtrain.prompting import heuristics

NOTES = """\
Intervals are of 95%: Wilson's, labels taken as independent; F1's by the share of hits among all labels given by either
side; kappa's that of Fleiss, Cohen and Everitt."""


def judge(source: Path, chains: Path, each: bool) -> None:
    """Measure the judge of ``source`` (params.yaml or a profile) on ``chains``, and print how well it agrees.

    ``each``: with a line for every heuristic that label or judge has given. Raises `UserError` for judge world, which
    reads no prose, and where the catalogue of ``source`` has none of the labels.
    """
    params = settings.load(source)
    known = labelled.load(chains)
    if params.compose.judge == "world":
        raise UserError(
            f"{source}: compose.judge: judge world reads the embedded world's operations and no prose; set it to cues "
            f"or endpoint, and prompts.catalogue to the one that {chains} names"
        )
    catalogue = heuristics.load(params.prompts.catalogue)
    names = [entry.id for entry in catalogue.heuristics]
    kept = [Labelled(item.chain, item.used & set(names)) for item in known]
    if not any(item.used for item in kept):
        raise UserError(
            f"{source}: prompts.catalogue: {params.prompts.catalogue} has none of the heuristics in {chains}; set it "
            "to the one that this file names, or label chains by yours (--labelled)"
        )
    with settings.named(source):
        reader = open_judge(params.compose, catalogue, params.prompts.catalogue)
        found = validate.measure(reader, kept, names)
    left_out = sum(len(item.used) for item in known) - sum(len(item.used) for item in kept)
    print(f"Judge {reader} on {len(kept)} chains of {chains}, {len(names)} heuristics of {params.prompts.catalogue}")
    if left_out:
        print(f"{left_out} labels are of heuristics that this catalogue lacks, and are left out")
    _summary(found["heuristics"], found["composed"])
    if each:
        _each(found["heuristics"])
    print(NOTES)


def _summary(counts: Mapping[str, Sequence[int]], composed: Sequence[int]) -> None:
    hits, false, missed = agreement.total(counts.values())
    both, judge_alone, label_alone, neither = composed
    agreed = both + neither
    rows = [
        (
            "precision",
            agreement.share(hits, hits + false),
            f"{hits} of {hits + false} found",
        ),
        (
            "recall",
            agreement.share(hits, hits + missed),
            f"{hits} of {hits + missed} used",
        ),
        ("F1", agreement.f1(hits, false, missed), f"{hits} hits, {false} false, {missed} missed"),
        (
            "two or more",
            agreement.share(agreed, sum(composed)),
            f"{agreed} of {sum(composed)} chains: {both} both, {neither} neither",
        ),
        ("kappa of that", agreement.kappa(composed), f"apart: {judge_alone} judge alone, {label_alone} label alone"),
    ]
    _table(
        ("", "value", "95%", "counts"),
        [(name, *(_written(estimate) if estimate else ("-", "-")), counted) for name, estimate, counted in rows],
    )


def _each(counts: Mapping[str, Sequence[int]]) -> None:
    """The heuristics in the catalogue's order; those that neither side has given say nothing."""
    lines = [(name, *map(str, three)) for name, three in counts.items() if any(three)]
    _table(("heuristic", "hits", "false", "missed"), lines)


def _written(estimate: Estimate) -> tuple[str, str]:
    return f"{estimate.value:.2f}", f"[{estimate.low:.2f}, {estimate.high:.2f}]"


def _table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=True)
    for line in lines:
        table.add_row(*map(Text, line))  # as text: in square brackets rich would look for its markup
    Console(file=sys.stdout).print(table)
