"""Counting what a judge found in an arm's chains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polya_midtrain.labellers.contract import Chain, Judge
from polya_midtrain.paths import base_of
from polya_midtrain.records import Graded, TrainingRow, of_base
from polya_midtrain.results.composition import FIELDS, ArmResult, Asked, Frequency, Frequent, PhaseCounts, Trained
from polya_midtrain.results.small import PHASES
from polya_midtrain.science.composition import combination, together

FREQUENT = 12  # combinations of a phase that keep their counts
Counts = dict[str, NDArray[np.int64]]  # benchmark -> (seeds, questions)


class Group(NamedTuple):
    """The samples of one question by one trained policy, and their place: row and column of a matrix."""

    phase: str
    benchmark: str
    seed: int
    question: int
    rows: Sequence[Graded]


class Found(NamedTuple):
    """One chain as the judge saw it: how many heuristics, and their combination, "" where there are not two."""

    group: Group
    correct: bool
    used: int
    name: str


def count(
    judge: Judge,
    groups: Sequence[Group],
    questions: Mapping[str, str],
    trained: Sequence[TrainingRow],
    asked: Mapping[str, Asked],
    runs: Sequence[int],
) -> ArmResult:
    """An arm's counts. ``questions``: texts by id; ``trained``: its mid-training sets; ``runs``: their numbers."""
    shapes = {name: (len(runs), len(known.questions)) for name, known in asked.items()}
    bases = [base_of(run) for run in runs]
    learnt = {number: midtraining(judge, of_base(trained, number)) for number in dict.fromkeys(bases)}
    found = list(_judged(judge, groups, questions))
    names = {chain.name for chain in found if chain.name}
    # Of each base's own mid-training, for that is what its policies were shown.
    seen = {(run, name): together(name, learnt[base].combinations) for run, base in enumerate(bases) for name in names}
    before = Trained(
        rows=sum(one.rows for one in learnt.values()),
        questions=sum(one.questions for one in learnt.values()),
        composed=sum(one.composed for one in learnt.values()),
        combinations=dict(sorted(sum((Counter(one.combinations) for one in learnt.values()), Counter()).items())),
    )
    phases = {phase: [chain for chain in found if chain.group.phase == phase] for phase in PHASES}
    # "after" first: its combinations are the ones in question
    chosen = dict.fromkeys(name for phase in reversed(PHASES) for name in _most_frequent(phases[phase]))
    frequencies = {phase: _frequencies(chains, chosen, shapes) for phase, chains in phases.items()}
    return ArmResult(
        midtraining=before,
        before=_phase(phases["before"], seen, asked, shapes),
        after=_phase(phases["after"], seen, asked, shapes),
        frequent={
            name: Frequent(
                midtraining=together(name, before.combinations),
                before=frequencies["before"][name],
                after=frequencies["after"][name],
            )
            for name in chosen
        },
    )


def midtraining(judge: Judge, rows: Sequence[TrainingRow]) -> Trained:
    """The combinations of mid-training chains."""
    labels = judge.labels([Chain(row.question, row.response) for row in rows])
    combinations = Counter(combination(used) for used in labels if len(used) > 1)
    return Trained(
        rows=len(rows),
        questions=len({row.question_id for row in rows}),
        composed=combinations.total(),
        combinations=dict(sorted(combinations.items())),
    )


def _judged(judge: Judge, groups: Sequence[Group], questions: Mapping[str, str]) -> Iterator[Found]:
    """Every chain; equal answers to a question are judged once."""
    distinct = list(dict.fromkeys((row.question_id, row.text) for group in groups for row in group.rows))
    labels = judge.labels([Chain(questions[question], text) for question, text in distinct])
    used = dict(zip(distinct, labels, strict=True))
    for group in groups:
        for row in group.rows:
            names = used[row.question_id, row.text]
            yield Found(group, row.correct, len(names), combination(names) if len(names) > 1 else "")


def _phase(
    chains: Sequence[Found],
    seen: Mapping[tuple[int, str], int],
    asked: Mapping[str, Asked],
    shapes: Mapping[str, tuple[int, int]],
) -> PhaseCounts:
    def spare(chain: Found) -> bool:
        needs = asked[chain.group.benchmark].needs
        return needs is not None and chain.correct and chain.used > needs[chain.group.question]

    tests: dict[str, Callable[[Found], bool]] = {
        "correct": lambda chain: chain.correct,
        "composed": lambda chain: chain.name != "",
        "composed_correct": lambda chain: chain.name != "" and chain.correct,
        "spare": spare,
        "new": lambda chain: chain.name != "" and not seen[chain.group.seed, chain.name],
        "new_correct": lambda chain: chain.name != "" and not seen[chain.group.seed, chain.name] and chain.correct,
        "silent": lambda chain: chain.used == 0,
    }
    counts = {field: _matrices(filter(tests[field], chains), shapes) for field in FIELDS}
    return PhaseCounts(
        **{field: {name: matrix.tolist() for name, matrix in counts[field].items()} for field in FIELDS},
        distinct=len({chain.name for chain in chains} - {""}),
    )


def _matrices(chains: Iterator[Found], shapes: Mapping[str, tuple[int, int]]) -> Counts:
    found = {name: np.zeros(shape, np.int64) for name, shape in shapes.items()}
    for chain in chains:
        found[chain.group.benchmark][chain.group.seed, chain.group.question] += 1
    return found


def _most_frequent(chains: Sequence[Found]) -> list[str]:
    """By falling frequency, equals by name."""
    totals = Counter(chain.name for chain in chains if chain.name)
    return sorted(totals, key=lambda name: (-totals[name], name))[:FREQUENT]


def _frequencies(
    chains: Sequence[Found], names: Mapping[str, None], shapes: Mapping[str, tuple[int, int]]
) -> dict[str, Frequency]:
    by_name: dict[str, list[Found]] = {name: [] for name in names}
    for chain in chains:
        if chain.name in by_name:
            by_name[chain.name].append(chain)
    found = {}
    for name, holding in by_name.items():
        counts = _matrices(iter(holding), shapes)
        found[name] = Frequency(
            chains=len(holding),
            correct=sum(chain.correct for chain in holding),
            by_seed={benchmark: matrix.sum(axis=1).tolist() for benchmark, matrix in counts.items()},
            by_question={benchmark: matrix.sum(axis=0).tolist() for benchmark, matrix in counts.items()},
        )
    return found
