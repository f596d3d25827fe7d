"""Stage evaluate: samples of every benchmark question, before and after RL, and their counts (paper, 9)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from polya_midtrain import paths, studies
from polya_midtrain.common import policy
from polya_midtrain.common.records import Graded, Question, by_id, read_records, write_records
from polya_midtrain.common.seeding import derive
from polya_midtrain.engine.sampling import Job, sample
from polya_midtrain.grading.rows import grade_rows
from polya_midtrain.params import Params
from polya_midtrain.runtime.stage import stage

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
        tasks=len(phases) * len(params.seeds) * len(files),
        seeds=params.seeds,
    ) as this:
        asked = {name: read_records(file, Question) for name, file in files.items()}
        cells = [(phase, seed, name) for phase in phases for seed in params.seeds for name in files]
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
        rows: list[dict[str, Any]] = []
        position = 0
        for (phase, seed, name), group in zip(cells, found, strict=True):
            part = graded[position : position + len(group)]
            position += len(group)
            rows += [{"phase": phase, "seed": seed, "benchmark": name} | row for row in counts(part)]
        write_records(this.work / "completions.parquet", Graded, graded)
        document = {
            "arm": arm,
            "samples": settings.samples,
            "decoding": {
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "max_tokens": settings.max_tokens,
                "system": params.prompts.system,
                "suffix": params.prompts.suffix,
                **{f"suffix of {kind}": text for kind, text in params.prompts.suffixes.items()},
            },
            "rows": rows,
        }
        (this.work / "counts.json").write_text(to_json(document))
        for phase in phases:
            chosen = [row for row in rows if row["phase"] == phase]
            this.numbers[f"{phase}/correct"] = sum(row["c"] for row in chosen) / sum(row["n"] for row in chosen)


def counts(graded: Sequence[Graded]) -> list[dict[str, Any]]:
    """Per question: samples, correct ones, truncated ones, ones without an answer."""
    groups: dict[str, list[Graded]] = {}
    for row in graded:
        groups.setdefault(row.question_id, []).append(row)
    return [
        {
            "question": question_id,
            "n": len(rows),
            "c": sum(row.correct for row in rows),
            "truncated": sum(row.finish == "length" for row in rows),
            "no_answer": sum(row.extracted == "" for row in rows),
        }
        for question_id, rows in groups.items()
    ]


def to_json(document: dict[str, Any]) -> str:
    """One line a question, so that two runs can be compared by eye and by diff."""
    head = {key: value for key, value in document.items() if key != "rows"}
    lines = ",\n  ".join(json.dumps(row) for row in document["rows"])
    return json.dumps(head)[:-1] + f', "rows": [\n  {lines}\n]}}\n'
