"""Sampling a checkpoint over many prompts with every core, resumable after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polya_midtrain.common import heuristics, policy, prompts
from polya_midtrain.common.records import Completion, Question, read_records, write_records
from polya_midtrain.engine import Engine, Output, SamplingParams
from polya_midtrain.params import Params, Sampling
from polya_midtrain.runtime import workers


@dataclass(frozen=True, slots=True)
class Job:
    """Questions to sample under one heuristic ("" for none).

    One worker's unit of work, and one file in the scratch folder.
    """

    name: str
    checkpoint: Path
    heuristic: str
    questions: Sequence[Question]
    samples: int
    seed: int
    bare: bool = False  # the conversation of evaluation: no worked examples at all


def sample(
    params: Params, jobs: Sequence[Job], decoding: Sampling, work: Path, on_progress: workers.OnProgress
) -> list[list[Completion]]:
    """The completions of every job. A job's finished file in ``work`` is taken as it is."""
    from polya_midtrain.engine import build

    policy.quiet()
    catalogue = None if all(job.bare for job in jobs) else heuristics.load(params.prompts.catalogue)
    opened: dict[Path, Engine] = {}  # the last checkpoint that this process opened

    def run(job: Job, report: workers.Report) -> list[Completion]:
        file = work / f"{job.name}.parquet"
        if file.exists():
            return read_records(file, Completion)
        if job.checkpoint not in opened:
            old = opened.popitem()[1] if opened else None
            opened[job.checkpoint] = build.open_engine(job.checkpoint, params.machine, decoding.rows, old)
        engine = opened[job.checkpoint]

        def ids(question: Question) -> list[int]:
            if job.bare or catalogue is None:
                turns = prompts.bare(question.question, params.prompts, question.kind)
            else:
                turns = prompts.messages(question.question, job.heuristic, params.prompts, catalogue, question.kind)
            return prompts.encode(engine.tokenizer, turns)

        outputs = engine.generate(
            [ids(question) for question in job.questions],
            SamplingParams(
                job.samples, decoding.max_tokens, job.seed, decoding.temperature, decoding.top_p, logprobs=False
            ),
            lambda done, total: report(done * job.samples, total * job.samples, job.name),
        )
        rows = [
            record(question, job.heuristic, index, output)
            for question, group in zip(job.questions, outputs, strict=True)
            for index, output in enumerate(group)
        ]
        write_records(file.with_suffix(".part"), Completion, rows)
        file.with_suffix(".part").rename(file)
        return rows

    try:
        if params.machine.engine == "vllm":  # every process opens a model of its own, on GPUs of its own
            processes = params.machine.data_parallel
        else:
            processes = workers.worker_count(params.machine.workers, policy.device_of(params.machine.device))
            if len({job.checkpoint for job in jobs}) == 1:  # loaded once, before the workers fork
                opened[jobs[0].checkpoint] = build.open_engine(jobs[0].checkpoint, params.machine, decoding.rows)
        return workers.run_tasks(run, jobs, processes, on_progress)
    finally:
        for engine in opened.values():
            engine.close()


def record(question: Question, heuristic: str, index: int, output: Output) -> Completion:
    """An engine's output as a row."""
    return Completion(
        question.id, heuristic, index, output.text, len(output.token_ids), output.finish, round(output.logprob, 4)
    )


def split(questions: Sequence[Question], size: int) -> list[Sequence[Question]]:
    """Cut a question set into chunks of at most ``size``."""
    return [questions[start : start + size] for start in range(0, len(questions), size)]
