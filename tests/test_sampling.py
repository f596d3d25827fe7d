"""Sampling jobs: apart on machine.device cpu, and elsewhere together, whatever their heuristics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from polya_midtrain import params as settings
from polya_midtrain.engine.sampling import FULL, Job, joined, sample
from polya_midtrain.engine.transformers_engine import TransformersEngine
from polya_midtrain.params import Sampling
from polya_midtrain.records import Completion, Question

ROOT = Path(__file__).resolve().parents[1]
DECODING = Sampling(samples=3, temperature=1.0, top_p=1.0, max_tokens=12, rows=18)


def asked(count: int, first: int = 0) -> list[Question]:
    return [
        Question(str(i), f"Mia has {i + 2} jars and {i} rods.", "11", "maths", "world")
        for i in range(first, first + count)
    ]


def jobs(checkpoint: Path) -> list[Job]:
    """Three heuristics of two questions each, and four questions under none with other samples."""
    named = [Job(name, checkpoint, name, asked(2), 3, seed) for seed, name in enumerate(("lemma", "scale", "mirror"))]
    return [*named, Job("none", checkpoint, "", asked(4), 2, 9)]


class Run:
    """A run of `sample`: its rows, what it reported, and the sequences of each batch that it decoded."""

    def __init__(self, checkpoint: Path, work: Path, device: str, rows: int = DECODING.rows) -> None:
        params = settings.load(ROOT / "profiles/smoke.yaml")
        params = params.model_copy(
            update={"machine": params.machine.model_copy(update={"device": device, "workers": 1})}
        )
        self.batches: list[int] = []
        self.reports: dict[int, tuple[float, float]] = {}
        batch = TransformersEngine._batch

        def counted(engine: TransformersEngine, prompts: Any, sampling: Any, samples: range) -> Any:
            self.batches.append(len(prompts) * len(samples))
            return batch(engine, prompts, sampling, samples)

        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(ROOT)
            patch.setattr(TransformersEngine, "_batch", counted)
            work.mkdir(exist_ok=True)
            decoding = DECODING.model_copy(update={"rows": rows})
            self.rows = sample(params, jobs(checkpoint), decoding, work, self._report)

    def _report(self, task: int, done: float, total: float, note: str) -> None:
        self.reports[task] = (done, total)

    def drawn(self) -> list[list[Completion]]:
        return [[replace(row, logprob=0.0) for row in part] for part in self.rows]


def test_on_a_gpu_s_settings_batches_cross_heuristics_and_draw_the_same(tiny_policy: Path, tmp_path: Path) -> None:
    apart, together = (Run(tiny_policy, tmp_path / device, device) for device in ("cpu", "auto"))
    assert apart.batches == [6, 6, 6, 8]
    assert together.batches == [18, 8]
    assert together.drawn() == apart.drawn()
    for one, other in zip(apart.rows, together.rows, strict=True):
        assert [row.logprob for row in one] == pytest.approx([row.logprob for row in other], abs=2e-4)
    assert together.reports.keys() == apart.reports.keys() == {0, 1, 2, 3}
    for run in (apart, together):
        assert sum(done for done, _ in run.reports.values()) == sum(total for _, total in run.reports.values()) == 26


def test_a_run_goes_on_with_other_rows_and_asks_what_is_missing(tiny_policy: Path, tmp_path: Path) -> None:
    first = Run(tiny_policy, tmp_path / "work", "auto")
    (tmp_path / "work/scale.parquet").unlink()
    again = Run(tiny_policy, tmp_path / "work", "auto", rows=4)
    assert again.batches == [3, 3]
    assert again.drawn() == first.drawn()


def test_calls_are_of_like_jobs_and_end_when_they_fill_some_batches() -> None:
    many = [Job(f"{index}", Path("one"), "", asked(10), 4, 1) for index in range(9)]
    assert [len(call) for call in joined(many, 30)] == [3, 3, 3]
    assert all(sum(len(job.questions) * job.samples for job in call) >= FULL * 30 for call in joined(many, 30))
    assert [len(call) for call in joined(many, 1)] == [1] * 9
    other = [replace(job, checkpoint=Path("two")) for job in many[:2]]
    bare = [replace(job, bare=True) for job in many[:2]]
    assert [len(call) for call in joined([*many[:2], *other, *bare], 1000)] == [2, 2, 2]
    assert joined([], 5) == []
