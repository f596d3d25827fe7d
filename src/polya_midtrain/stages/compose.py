"""Stage compose: which heuristics each chain uses, before and after RL, and how well the judge judges (paper, 10)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product

import numpy as np

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.labellers import tally, validate
from polya_midtrain.labellers.contract import Judge
from polya_midtrain.labellers.opening import open_judge
from polya_midtrain.labellers.tally import Group
from polya_midtrain.params import Params, studies
from polya_midtrain.prompting import heuristics
from polya_midtrain.records import Answer, Graded, Question, TrainingRow, by_id, read_records
from polya_midtrain.results.composition import ArmResult, Asked, Composition, Validation
from polya_midtrain.results.counts import CountFile, counted
from polya_midtrain.results.small import PHASES, REMEDY
from polya_midtrain.runtime import workers
from polya_midtrain.runtime.stage import stage
from polya_midtrain.world import problems

FEWEST = 2  # questions of a benchmark: one has no spread


def run(params: Params) -> None:
    """Write results/composition.json (`results.composition`) of the arms of the main table."""
    settings = params.compose
    arms = studies.main(params.arms)
    with stage(
        params,
        "compose",
        outputs={"composition.json": paths.COMPOSITION},
        unit="chains",
        tasks=len(arms),
        seeds=params.runs,
    ) as this:
        catalogue = heuristics.load(params.prompts.catalogue)
        judge = open_judge(settings, catalogue, params.prompts.catalogue)
        questions = {name: read_records(paths.BENCHMARKS / f"{name}.parquet", Question) for name in settings.benchmarks}
        asked = {name: eligible(name, rows, settings.judge) for name, rows in questions.items()}
        texts = {row.id: row.question for rows in questions.values() for row in rows}

        def examine(arm: str, report: workers.Report) -> tuple[CountFile, ArmResult]:
            file = CountFile.of(paths.COUNTS, arm)
            groups = list(grouped(arm, file, asked, params.runs))
            trained = read_records(paths.TRAIN / f"{arm}.parquet", TrainingRow)
            found = tally.count(judge, groups, texts, trained, asked, params.runs)
            chains = sum(len(group.rows) for group in groups)
            report(chains, chains, arm)
            return file, found

        cores = workers.worker_count(params.machine.workers)
        examined = dict(zip(arms, workers.run_tasks(examine, arms, cores, this.line.update), strict=True))
        first, _ = examined[arms[0]]
        for arm, (file, _) in examined.items():
            if (file.samples, file.decoding) != (first.samples, first.decoding):
                raise UserError(f"{paths.COUNTS / arm}.json: samples or decoding differ from {arms[0]}'s; {REMEDY}")
        document = Composition(
            judge=str(judge),
            samples=first.samples,
            decoding=first.decoding,
            seeds=params.runs,
            benchmarks=asked,
            validation=validation(params, judge, catalogue.first(len(catalogue.heuristics)), asked),
            arms={arm: found for arm, (_, found) in examined.items()},
        )
        document.write(this.work / "composition.json")
        this.numbers |= numbers(document)


def eligible(name: str, rows: Sequence[Question], judge: str) -> Asked:
    """The questions in which heuristics can be combined: those of one part are left out, where parts are known."""
    if judge != "world":
        asked = Asked(questions=[row.id for row in rows], parts=None, needs=None, single=0)
    else:
        try:
            parsed = {row.id: problems.parse(row.question) for row in rows}
        except ValueError as error:
            raise UserError(
                f"params.yaml: compose.benchmarks: judge world cannot read {name!r} ({error}); choose judge cues, or "
                "benchmarks of the embedded world's chains"
            ) from error
        kept = {key: problem for key, problem in parsed.items() if len(problem) > 1}
        asked = Asked(
            questions=list(kept),
            parts=[len(problem) for problem in kept.values()],
            needs=[len({part.family for part in problem}) for problem in kept.values()],
            single=len(parsed) - len(kept),
        )
    if len(asked.questions) < FEWEST:
        raise UserError(
            f"params.yaml: compose.benchmarks: {name!r} has {len(asked.questions)} questions in which heuristics could "
            f"be combined (two parts or more), and {FEWEST} are needed; raise its count or choose another benchmark"
        )
    return asked


def grouped(arm: str, file: CountFile, asked: Mapping[str, Asked], seeds: Sequence[int]) -> Iterator[Group]:
    """An arm's completions by place.

    Raises `UserError` where they are not those that ``file`` counts, or where a phase, seed or question is missing.
    """
    path = paths.COMPLETIONS / f"{arm}.parquet"
    rows = read_records(path, Answer)
    if set(counted(rows)) != set(file.rows):
        raise UserError(f"{path}: its rows are not those that {paths.COUNTS / arm}.json counts; {REMEDY}")
    found: dict[tuple[str, int, str, str], list[Answer]] = {}
    for row in rows:
        found.setdefault((row.phase, row.seed, row.benchmark, row.question_id), []).append(row)
    for phase, (place, seed), (name, known) in product(PHASES, enumerate(seeds), asked.items()):
        for column, question in enumerate(known.questions):
            if (phase, seed, name, question) not in found:
                raise UserError(f"{path}: no completions of {question} by seed {seed} {phase} RL; {REMEDY}")
            yield Group(phase, name, place, column, found[phase, seed, name, question])


def validation(params: Params, judge: Judge, names: Sequence[str], asked: Mapping[str, Asked]) -> Validation:
    """The judge on chains whose heuristics are known (world), or are taken to be those that were asked for."""
    settings = params.compose
    if settings.judge == "world":
        lengths = sorted({parts for known in asked.values() for parts in known.parts or []})
        writers = validate.Habits()
        labelled = validate.world_chains(names, settings.labelled, lengths, settings.seed, writers)
        label, habits = "what the writer did", asdict(writers)
    else:
        graded = read_records(paths.GRADED, Graded)
        mid = by_id(read_records(paths.MID, Question))
        labelled = validate.intended(graded, mid, names, settings.labelled, settings.seed)
        label, habits = "the heuristic that was asked for", {}
    return Validation(label=label, habits=habits, **validate.measure(judge, labelled, names))


def numbers(document: Composition) -> dict[str, float]:
    """For `dvc metrics show`: the judge over all heuristics together, and each arm's composition rates."""
    hits, invented, missed = (sum(counts) for counts in zip(*document.validation.heuristics.values(), strict=True))
    found = {
        "judge/precision": hits / (hits + invented) if hits + invented else 0.0,
        "judge/recall": hits / (hits + missed) if hits + missed else 0.0,
    }
    for arm, result in document.arms.items():
        for phase in PHASES:
            matrices = getattr(result, phase).composed.values()
            found[f"{arm}/{phase}"] = float(np.mean([np.mean(matrix) for matrix in matrices])) / document.samples
    return found
