"""Stage generate: the base answers the mid-training questions, under every heuristic and without (paper, 3 and 8)."""

from __future__ import annotations

from polya_midtrain import paths
from polya_midtrain.engine.sampling import Job, sample, split
from polya_midtrain.params import Params
from polya_midtrain.prompting import heuristics
from polya_midtrain.records import Completion, Question, of_base, read_records, write_records
from polya_midtrain.runtime.stage import stage
from polya_midtrain.seeding import derive

CHUNK = 64  # questions of one job


def run(params: Params) -> None:
    """Write data/traces/generated.parquet (records.Completion), in the order heuristic, base, question, sample."""
    settings = params.generate
    source = paths.MID
    asked = read_records(source, Question)
    # "" is the unprompted condition.
    names = [*heuristics.load(params.prompts.catalogue).first(settings.heuristics), ""]
    jobs = [
        Job(
            f"{name or 'unprompted'}-{number}-{index}",
            paths.base(number),
            name,
            chunk,
            settings.samples if name else settings.unprompted,
            derive(settings.seed, "generate", name, number),
        )
        for name in names
        for number in params.numbers
        for index, chunk in enumerate(split(of_base(asked, number), CHUNK))
    ]
    with stage(
        params,
        "generate",
        outputs={"generated.parquet": paths.GENERATED},
        unit="completions",
        tasks=len(jobs),
    ) as this:
        rows = [row for part in sample(params, jobs, settings, this.work, this.line.update) for row in part]
        this.numbers["completions"] = write_records(this.work / "generated.parquet", Completion, rows)
        this.numbers["tokens"] = sum(row.tokens for row in rows)
        this.numbers["truncated"] = sum(row.finish == "length" for row in rows) / len(rows)
