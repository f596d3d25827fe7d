"""Sampling a checkpoint over many prompts with every core, or a GPU that is kept busy; resumable after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING

from polya_midtrain.checkpoints import policy
from polya_midtrain.engine import Engine, Output, SamplingParams
from polya_midtrain.params import Params, Sampling
from polya_midtrain.prompting import heuristics, prompts
from polya_midtrain.records import Completion, Question, read_records, write_records
from polya_midtrain.runtime import card, workers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FULL = 4  # batches of a call: only the last of them may be partly empty


@dataclass(frozen=True, slots=True)
class Job:
    """Questions to sample under one heuristic ("" for none): one file in the scratch folder."""

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
    from polya_midtrain.engine import opening

    policy.quiet()
    machine = params.machine
    catalogue = None if all(job.bare for job in jobs) else heuristics.load(params.prompts.catalogue)
    opened: dict[Path, Engine] = {}  # the last checkpoint that this process opened

    def ids(job: Job, question: Question, encoder: PreTrainedTokenizerBase) -> list[int]:
        if job.bare or catalogue is None:
            turns = prompts.bare(question.question, params.prompts, question.kind)
        else:
            turns = prompts.messages(question.question, job.heuristic, params.prompts, catalogue, question.kind)
        return prompts.encode(encoder, turns)

    def run(call: Sequence[Job], report: workers.Report) -> list[list[Completion]]:
        files = {job.name: work / f"{job.name}.parquet" for job in call}
        found = {name: read_records(file, Completion) for name, file in files.items() if file.exists()}
        if due := [job for job in call if job.name not in found]:
            first = due[0]
            if first.checkpoint not in opened:
                old = opened.popitem()[1] if opened else None
                opened[first.checkpoint] = opening.open_engine(first.checkpoint, machine, decoding.rows, old)
            engine = opened[first.checkpoint]
            asked = [(job, question) for job in due for question in job.questions]
            outputs = engine.generate(
                [ids(job, question, engine.tokenizer) for job, question in asked],
                SamplingParams(
                    first.samples,
                    decoding.max_tokens,
                    [job.seed for job, _ in asked],
                    decoding.temperature,
                    decoding.top_p,
                    logprobs=False,
                ),
                lambda done, total: report(done * first.samples, total * first.samples, first.name),
            )
            answered = iter(outputs)
            for job in due:
                found[job.name] = [
                    record(question, job.heuristic, index, output)
                    for question in job.questions
                    for index, output in enumerate(next(answered))
                ]
                draft = files[job.name].with_suffix(".part")
                write_records(draft, Completion, found[job.name])
                draft.rename(files[job.name])
        return [found[job.name] for job in call]

    def need() -> float:
        longest = {job.name: max(job.questions, key=lambda question: len(question.question)) for job in jobs}
        encoder, shape = policy.load_tokenizer(jobs[0].checkpoint), policy.shape(jobs[0].checkpoint)
        length = max(len(ids(job, longest[job.name], encoder)) for job in jobs) + decoding.max_tokens
        return shape.sampled(decoding.rows, length, shape.stored)

    calls = [[job] for job in jobs] if machine.device == "cpu" else joined(jobs, decoding.rows)

    def spread(index: int, done: float, total: float, note: str) -> None:
        before, share = sum(map(len, calls[:index])), len(calls[index])
        for place in range(before, before + share):
            on_progress(place, done / share, total / share, note)

    try:
        if machine.engine == "vllm":  # every process opens a model of its own, on GPUs of its own
            return list(chain.from_iterable(workers.run_tasks(run, calls, machine.data_parallel, spread)))
        processes = card.processes(machine, len(calls), need)
        one = len({job.checkpoint for job in jobs}) == 1
        if one and (processes == 1 or policy.device_of(machine.device) == "cpu"):  # loaded before the workers fork
            opened[jobs[0].checkpoint] = opening.open_engine(jobs[0].checkpoint, machine, decoding.rows)
        return list(chain.from_iterable(card.run_tasks(run, calls, machine, processes, spread)))
    finally:
        for engine in opened.values():
            engine.close()


def joined(jobs: Sequence[Job], rows: int) -> list[list[Job]]:
    """Neighbours that one call answers, whatever their heuristics, so that batches of ``rows`` sequences are full.

    Not on machine.device cpu, where it gains nothing: beside other prompts the last bit of a sum may differ.
    """
    calls: list[list[Job]] = []
    for (_, samples, _), alike in groupby(jobs, lambda job: (job.checkpoint, job.samples, job.bare)):
        held = FULL * rows  # no call is open yet
        for job in alike:
            if held >= FULL * rows:
                calls.append([])
                held = 0
            calls[-1].append(job)
            held += len(job.questions) * samples
    return calls


def record(question: Question, heuristic: str, index: int, output: Output) -> Completion:
    """An engine's output as a row."""
    return Completion(
        question.id, heuristic, index, output.text, len(output.token_ids), output.finish, round(output.logprob, 4)
    )


def split(questions: Sequence[Question], size: int) -> list[Sequence[Question]]:
    """Cut a question set into chunks of at most ``size``."""
    return [questions[start : start + size] for start in range(0, len(questions), size)]
