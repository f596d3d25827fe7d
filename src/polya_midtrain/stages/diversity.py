"""Stage diversity: the Vendi score of every arm's training set at one size, and against the teacher's (paper, 10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import Arm, Embedding, Machine, Params, studies
from polya_midtrain.records import TrainingRow, of_base, read_records
from polya_midtrain.results.diversity import DiversityFile, Entry, Pair
from polya_midtrain.runtime.stage import stage
from polya_midtrain.science import vendi
from polya_midtrain.science.vendi import Array
from polya_midtrain.seeding import derive

SUBSETS = 20  # of the larger of two sets, to its mean score at the smaller one's size
DIGITS = 5


def run(params: Params) -> None:
    """Write results/counts/diversity.json (`results.diversity`)."""
    settings = params.diversity
    arms = studies.taught(params.arms)
    pairs = opponents(params.arms)
    with stage(
        params,
        "diversity",
        outputs={"diversity.json": paths.DIVERSITY},
        unit="sets",
    ) as this:
        rows = {name: read_records(paths.TRAIN / f"{name}.parquet", TrainingRow) for name in arms}
        texts = sorted({row.response for held in rows.values() for row in held})
        if not texts:
            raise UserError(f"{paths.TRAIN}: no arm has a trace to score; raise generate.samples in params.yaml")
        place = {text: index for index, text in enumerate(texts)}
        due = len(arms) + len(pairs)
        kernels = embed(
            texts,
            settings.embedding,
            params.machine,
            this.work,
            lambda done, total: this.line.update(0, 0, due, f"{done}/{total} traces embedded"),
        )
        sets: list[Entry] = []
        compared: list[Pair] = []
        for kernel, vectors in kernels.items():
            for name in arms:
                rng = np.random.default_rng(derive(settings.seed, "diversity", name))  # the same rows for each kernel
                parts = [vectors[[place[row.response] for row in of_base(rows[name], b)]] for b in params.numbers]
                enough = all(len(part) >= settings.size for part in parts)
                # A draw is of one base's set; its score here is the mean over bases.
                of_bases = [vendi.draws(part, settings.size, settings.resamples, rng) for part in parts if enough]
                scores = np.mean(of_bases, axis=0) if enough else np.empty(0)
                sets.append(Entry(kernel=kernel, arm=name, rows=len(rows[name]), draws=rounded(scores)))
                this.line.update(0, len(sets) + len(compared), due * len(kernels))
            for ours, theirs in pairs:
                each = []
                for number in params.numbers:
                    mine = [of_base(rows[name], number) for name in (ours, theirs)]
                    groups = [by_question(held, vectors[[place[row.response] for row in held]]) for held in mine]
                    each.append(compare(groups[0], groups[1], settings.resamples, settings.seed))
                compared.append(Pair(kernel=kernel, arm=ours, other=theirs, **over_bases(each)))
                this.line.update(0, len(sets) + len(compared), due * len(kernels))
        DiversityFile(
            embedding=settings.embedding.kind,
            size=settings.size,
            resamples=settings.resamples,
            kernels=list(kernels),
            sets=sets,
            pairs=compared,
        ).write(this.work / "diversity.json")
        first = next(iter(kernels))
        this.numbers |= {
            f"{entry.arm}/vendi": float(np.mean(entry.draws)) for entry in sets if entry.draws and entry.kernel == first
        }


def opponents(arms: Mapping[str, Arm]) -> list[tuple[str, str]]:
    """(self-generated, distilled): each arm of the teacher with the arm it is matched to, else the one of largest n."""
    largest = studies.by_n(arms)[-1:]
    found = []
    for name in studies.distilled(arms):
        match = arms[name].match
        found += [(other, name) for other in ([match.arm] if match else largest)]
    return found


def embed(
    texts: Sequence[str],
    settings: Embedding,
    machine: Machine,
    work: Path,
    progress: Callable[[int, int], None],
) -> dict[str, Array]:
    """The vectors of ``texts`` under each kernel that the settings stand for."""
    if settings.kind == "hub":
        from polya_midtrain.kernels import hub

        policy.quiet()
        return hub.embed(texts, settings, policy.device_of(machine.device), work / "embedding", progress)
    if settings.kind == "world":
        from polya_midtrain.kernels import world

        return world.embed(texts)
    from polya_midtrain.kernels import words

    return words.embed(texts)


def by_question(rows: Sequence[TrainingRow], vectors: Array) -> dict[str, Array]:
    """The vectors of each question's traces."""
    places: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        places.setdefault(row.question_id, []).append(index)
    return {question: vectors[chosen] for question, chosen in places.items()}


def compare(ours: Mapping[str, Array], theirs: Mapping[str, Array], resamples: int, seed: int) -> dict[str, Any]:
    """The scores of two sets at equal size: as a whole, on halves of the questions, and question by question.

    Empty lists where the sets have nothing to compare.
    """
    shared = sorted(set(ours) & set(theirs))
    if len(shared) < 2:
        return {"whole": [], "halves": [], "questions": []}

    def rng(*names: str) -> np.random.Generator:
        return np.random.default_rng(derive(seed, "diversity", *names))

    everything = [np.concatenate(list(vectors.values())) for vectors in (ours, theirs)]
    questions: list[tuple[Any, ...]] = []
    for name in shared:
        size = min(len(ours[name]), len(theirs[name]))
        if size >= 2:
            scores = vendi.at_equal_size(ours[name], theirs[name], SUBSETS, rng("question", name))
            questions.append((name, size, *rounded(scores)))
    return {
        "whole": rounded(vendi.at_equal_size(everything[0], everything[1], SUBSETS, rng("whole"))),
        "halves": [tuple(rounded(scores)) for scores in vendi.halves(ours, theirs, resamples, rng("halves"))],
        "questions": questions,
    }


def over_bases(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean over bases of two sets' scores as a whole and on halves, and every question of every base.

    Nothing where a base has nothing to compare.
    """
    if not all(one["whole"] for one in each):
        return {"whole": [], "halves": [], "questions": []}
    return {
        "whole": rounded(np.mean([one["whole"] for one in each], axis=0)),
        "halves": [tuple(rounded(half)) for half in np.mean([one["halves"] for one in each], axis=0)],
        "questions": [row for one in each for row in one["questions"]],
    }


def rounded(scores: Sequence[float] | Array) -> list[float]:
    """What the file holds: enough digits for any table, and short lines."""
    return [round(float(score), DIGITS) for score in scores]
