"""Stage distil: the teacher answers the mid-training questions, unprompted, and every answer is checked."""

from __future__ import annotations

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.engine.sampling import Job, sample, split
from polya_midtrain.grading.rows import grade_rows
from polya_midtrain.params import Params
from polya_midtrain.prompting import heuristics, lengths
from polya_midtrain.records import Graded, Question, by_id, of_base, read_records, write_records
from polya_midtrain.runtime.stage import stage
from polya_midtrain.seeding import derive

CHUNK = 64  # questions of one job


def run(params: Params) -> None:
    """Write data/traces/distilled.parquet (records.Graded, right and wrong), in the order question, sample."""
    settings = params.distil
    source = paths.MID
    asked = read_records(source, Question)
    catalogue = heuristics.load(params.prompts.catalogue)
    teachers = {number: policy.resolve(paths.teacher(number)) for number in params.numbers}
    for place in dict.fromkeys(teachers.values()):
        encoder, limit = policy.load_tokenizer(place), lengths.context(place)
        lengths.check_teacher(asked, encoder, limit, settings.max_tokens, params.prompts, catalogue)
    jobs = [
        Job(f"teacher-{number}-{index}", place, "", chunk, settings.samples, derive(settings.seed, "distil", number))
        for number, place in teachers.items()
        for index, chunk in enumerate(split(of_base(asked, number), CHUNK))
    ]
    with stage(
        params,
        "distil",
        outputs={"distilled.parquet": paths.DISTILLED},
        unit="completions",
        tasks=len(jobs),
    ) as this:
        rows = [row for part in sample(params, jobs, settings, this.work, this.line.update) for row in part]
        graded = grade_rows(rows, by_id(asked), params, this.work)
        this.numbers["completions"] = write_records(this.work / "distilled.parquet", Graded, graded)
        this.numbers["tokens"] = sum(row.tokens for row in graded)
        this.numbers["correct"] = sum(row.correct for row in graded)
        this.numbers["truncated"] = sum(row.finish == "length" for row in graded) / len(graded)
