"""The stand-ins of a run, made side by side: a folder for each model that its settings name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from polya_midtrain.common import heuristics, policy
from polya_midtrain.common.records import Question
from polya_midtrain.dryrun import lessons, standins, tokenizer
from polya_midtrain.dryrun.loopback import Snapshot
from polya_midtrain.params import HubBase, HubEmbedding, Params, RewardHub
from polya_midtrain.runtime import workers
from polya_midtrain.stages import questions

STEPS = {"base": 200, "teacher": 150}
RIGHT = {"base": 0.7, "teacher": 0.97}  # share of right answers in what they learn
SEED = 1


def asked(params: Params) -> dict[str, list[Question]]:
    """The question sets of the run, as stage questions will make them, from the folder that POLYA_DATA names."""
    sets, _ = questions.build(questions.sets_of(params.questions), params.questions.seed)
    questions.decontaminate(sets)
    return sets


def make(params: Params, folder: Path, on_progress: workers.OnProgress) -> dict[Snapshot, Path]:
    """Write every stand-in below ``folder``; (id, revision) -> its files. ``params`` are those of the dry run."""
    policy.quiet()
    sets = asked(params)
    catalogue = heuristics.load(params.prompts.catalogue)
    encoder = tokenizer.build(texts(sets, catalogue))
    names = catalogue.first(params.generate.heuristics)
    taught = {
        "base": lessons.of_base(sets, params.prompts, catalogue, names, encoder, RIGHT["base"]),
        "teacher": lessons.of_teacher(sets, params.prompts, catalogue, encoder, RIGHT["teacher"]),
    }

    def policy_of(name: str) -> Callable[[workers.Report], None]:
        return lambda report: standins.policy(taught[name], encoder, STEPS[name], SEED, folder / name, report)

    jobs: dict[str, tuple[Snapshot, Callable[[workers.Report], None]]] = {}
    assert isinstance(params.base, HubBase)
    assert isinstance(params.teacher, HubBase)
    jobs["base"] = (params.base.id, params.base.revision), policy_of("base")
    if params.teacher != params.base:
        jobs["teacher"] = (params.teacher.id, params.teacher.revision), policy_of("teacher")
    if isinstance(params.reward, RewardHub):
        jobs["reward"] = (
            (params.reward.id, params.reward.revision),
            lambda _: standins.scorer(encoder, SEED, folder / "reward"),
        )
    embedding = params.diversity.embedding
    if isinstance(embedding, HubEmbedding):
        jobs["embedding"] = (
            (embedding.id, embedding.revision),
            lambda _: standins.encoder(encoder, SEED, folder / "embedding"),
        )

    def run(name: str, report: workers.Report) -> None:
        jobs[name][1](report)

    workers.run_tasks(run, list(jobs), workers.worker_count(0), on_progress)
    return {snapshot: folder / name for name, (snapshot, _) in jobs.items()}


def texts(sets: Mapping[str, Sequence[Question]], catalogue: heuristics.Catalogue) -> list[str]:
    """What the stand-ins' tokenizer learns from: all questions of the run, and the catalogue."""
    shown = [row.question for rows in sets.values() for row in rows]
    for entry in catalogue.heuristics:
        shown += [entry.instruction, *entry.cues]
    for exemplar in (*catalogue.plain, *(one for entry in catalogue.heuristics for one in entry.exemplars)):
        shown += [exemplar.question, exemplar.response]
    return shown
