"""Stage compose: which heuristics each chain uses, before and after RL, and how well the judge judges (paper, 10)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from polya_midtrain import paths, studies
from polya_midtrain.common import heuristics
from polya_midtrain.common.records import Graded, Question, TrainingRow, by_id, read_records
from polya_midtrain.errors import UserError
from polya_midtrain.judges import results, tally, validate
from polya_midtrain.judges.build import open_judge
from polya_midtrain.judges.contract import Judge
from polya_midtrain.judges.results import ArmResult, Asked, Composition
from polya_midtrain.judges.tally import Group
from polya_midtrain.params import Params
from polya_midtrain.runtime import workers
from polya_midtrain.runtime.stage import stage
from polya_midtrain.tables.counts import CountFile, CountRow
from polya_midtrain.tables.row import PHASES
from polya_midtrain.world import problems

FEWEST = 2  # questions of a benchmark: one has no spread
REMEDY = "delete the file and run `dvc repro`"


def run(params: Params) -> None:
    """Write results/composition.json (its form: `judges.results`) of the arms of the main table."""
    settings = params.compose
    arms = studies.main(params.arms)
    with stage(
        params,
        "compose",
        outputs={"composition.json": paths.COMPOSITION},
        unit="chains",
        tasks=len(arms),
        seeds=params.seeds,
    ) as this:
        catalogue = heuristics.load(params.prompts.catalogue)
        judge = open_judge(settings, catalogue, params.prompts.catalogue)
        questions = {name: read_records(paths.BENCHMARKS / f"{name}.parquet", Question) for name in settings.benchmarks}
        asked = {name: eligible(name, rows, settings.judge) for name, rows in questions.items()}
        texts = {row.id: row.question for rows in questions.values() for row in rows}

        def examine(arm: str, report: workers.Report) -> tuple[CountFile, ArmResult]:
            file = read_counts(paths.COUNTS / f"{arm}.json")
            groups = list(grouped(arm, file, asked, params.seeds))
            trained = read_records(paths.TRAIN / f"{arm}.parquet", TrainingRow)
            found = tally.count(judge, groups, texts, trained, asked, len(params.seeds))
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
            seeds=params.seeds,
            benchmarks=asked,
            validation=validation(params, judge, catalogue.first(len(catalogue.heuristics)), asked),
            arms={arm: found for arm, (_, found) in examined.items()},
        )
        (this.work / "composition.json").write_text(results.to_json(document), encoding="utf-8")
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


def read_counts(path: Path) -> CountFile:
    """The counts beside an arm's completions, which say where each completion belongs."""
    try:
        return CountFile.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; run `dvc repro`") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not the counts of an arm; {REMEDY}") from error


def grouped(arm: str, file: CountFile, asked: Mapping[str, Asked], seeds: Sequence[int]) -> Iterator[Group]:
    """An arm's completions by place: stage evaluate writes them in the order of the counts' rows, which is checked.

    Raises `UserError` where they disagree, or where a phase, seed or question is missing.
    """
    path = paths.COMPLETIONS / f"{arm}.parquet"
    other = UserError(f"{path}: its rows are not those that {paths.COUNTS / arm}.json counts; run `dvc repro`")
    rows = read_records(path, Graded)
    columns = {name: {key: place for place, key in enumerate(known.questions)} for name, known in asked.items()}
    wanted = {(phase, seed, name, key) for phase in PHASES for seed in seeds for name in asked for key in columns[name]}
    end = 0
    for count in file.rows:
        group = rows[end : end + count.n]
        end += count.n
        if not _agree(group, count):
            raise other
        key = (count.phase, count.seed, count.benchmark, count.question)
        if key in wanted:
            wanted.remove(key)
            column = columns[count.benchmark][count.question]
            yield Group(count.phase, count.benchmark, seeds.index(count.seed), column, group)
    if wanted:
        phase, seed, _, question = min(wanted)
        raise UserError(f"{path}: no completions of {question} by seed {seed} {phase} RL; run `dvc repro`")
    if end != len(rows):
        raise other


def _agree(group: Sequence[Graded], count: CountRow) -> bool:
    same = len(group) == count.n and all(row.question_id == count.question for row in group)
    return same and sum(row.correct for row in group) == count.c


def validation(params: Params, judge: Judge, names: Sequence[str], asked: Mapping[str, Asked]) -> results.Validation:
    """The judge on chains whose heuristics are known (world), or are taken to be those that were asked for."""
    settings = params.compose
    if settings.judge == "world":
        lengths = sorted({parts for known in asked.values() for parts in known.parts or []})
        writers = validate.Habits()
        labelled = validate.world_chains(names, settings.labelled, lengths, settings.seed, writers)
        label, habits = "what the writer did", asdict(writers)
    else:
        verified = read_records(paths.VERIFIED, Graded)
        mid = by_id(read_records(paths.MID, Question))
        labelled = validate.intended(verified, mid, names, settings.labelled, settings.seed)
        label, habits = "the heuristic that was asked for", {}
    return results.Validation(label=label, habits=habits, **validate.measure(judge, labelled, names))


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
