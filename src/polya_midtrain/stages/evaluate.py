"""Stage evaluate: samples of every benchmark question, before and after RL, and their counts (paper, 9)."""

from __future__ import annotations

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.engine.sampling import Job, sample
from polya_midtrain.grading.rows import grade_rows
from polya_midtrain.params import Params, studies
from polya_midtrain.records import Answer, Question, by_id, extended, read_records, write_records
from polya_midtrain.results.counts import CountFile, counted
from polya_midtrain.runtime.stage import stage
from polya_midtrain.seeding import derive

PHASES = {"before": paths.MIDTRAIN, "after": paths.RL}


def run(params: Params, arm: str) -> None:
    """Write data/completions/ARM.parquet and results/counts/ARM.json (n, c, truncated, no answer per question).

    Arms of the ablations, which are compared on the benchmarks after RL, are sampled there alone.
    """
    settings = params.evaluate
    whole = studies.in_main(params.arm(arm))
    phases = list(PHASES) if whole else ["after"]
    folders = [paths.BENCHMARKS, *([paths.TRANSFER] if whole else [])]
    files = {file.stem: file for folder in folders for file in sorted(folder.glob("*.parquet"))}
    with stage(
        params,
        "evaluate",
        arm=arm,
        outputs={
            "completions.parquet": paths.COMPLETIONS / f"{arm}.parquet",
            "counts.json": paths.COUNTS / f"{arm}.json",
        },
        unit="completions",
        tasks=len(phases) * len(params.runs) * len(files),
        seeds=params.runs,
    ) as this:
        asked = {name: read_records(file, Question) for name, file in files.items()}
        cells = [(phase, seed, name) for phase in phases for seed in params.runs for name in files]
        jobs = [
            Job(
                f"{phase}-{seed}-{name}",
                policy.resolve(PHASES[phase] / arm / f"seed-{seed}"),
                "",
                asked[name],
                settings.samples,
                derive(settings.seed, "evaluate", seed, phase, name),
                bare=True,
            )
            for phase, seed, name in cells
        ]
        golds = by_id([question for rows in asked.values() for question in rows])
        found = sample(params, jobs, settings, this.work, this.line.update)
        graded = grade_rows([row for rows in found for row in rows], golds, params, this.work)
        places = [cell for cell, group in zip(cells, found, strict=True) for _ in group]
        answers = [
            extended(row, Answer, phase=phase, seed=seed, benchmark=name)
            for row, (phase, seed, name) in zip(graded, places, strict=True)
        ]
        write_records(this.work / "completions.parquet", Answer, answers)
        decoding = {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_tokens,
            "system": params.prompts.system,
            "suffix": params.prompts.suffix,
            **{f"suffix of {kind}": text for kind, text in params.prompts.suffixes.items()},
        }
        file = CountFile(arm=arm, samples=settings.samples, decoding=decoding, rows=counted(answers))
        file.write(this.work / "counts.json")
        for phase in phases:
            chosen = [row for row in file.rows if row.phase == phase]
            this.numbers[f"{phase}/correct"] = sum(row.c for row in chosen) / sum(row.n for row in chosen)
