"""What `polya compare` does: the run in this folder against itself, then against the committed run of its profile."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import PARAMS_FILE, studies
from polya_midtrain.results import counts
from polya_midtrain.results.small import PHASES, Phase
from polya_midtrain.runtime import lock
from polya_midtrain.science import compare as science
from polya_midtrain.science.bootstrap import Array
from polya_midtrain.science.passk import pass_at_k
from polya_midtrain.tools.compare import exact, record
from polya_midtrain.tools.compare.record import Record

ALPHA = 0.05  # of all numbers together


def compare(given: Path | None = None) -> int:
    """Print what contradicts itself, or the reference, in the run here; 1 if anything does, else 0.

    ``given``: the folder of a run to compare with, else the committed one of the same profile. Raises `UserError` where
    a file is missing or broken, or where the two are not runs of one study.
    """
    run = record.load(Path())
    faults = exact.faults(run)
    print(f"profile {run.params.profile}: {len(faults) or 'no'} contradictions within the run")
    with tempfile.TemporaryDirectory() as scratch:
        folder = given or record.committed(run.params.profile, Path(scratch))
        if folder is None:
            print("no run of this profile is committed; `polya compare FOLDER` holds it against one of yours")
        else:
            faults += _against(run, record.load(folder))
    print("\n".join([*faults, f"{len(faults)} differences" if faults else "no difference"]))
    return 1 if faults else 0


def _against(run: Record, known: Record) -> list[str]:
    """What neither another kind of machine nor other seeds explain."""
    ours, theirs = run.leaves, known.leaves
    changed = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    alone = sorted(run.params.arms.keys() ^ known.params.arms.keys())
    changed = [name for name in changed if not name.startswith(("machine.", *(f"arms.{arm}." for arm in alone)))]
    for name in changed:
        # Of the seeds those of the questions have to be the same: runs are compared question by question.
        if name == "questions.seed" or name.rpartition(".")[2] not in ("seed", "seeds"):
            raise UserError(
                f"{PARAMS_FILE}: {name} is {ours.get(name)}, and {theirs.get(name)} in the reference; restore "
                "it, or name the folder of a run with yours: `polya compare FOLDER`"
            )
    equal = len(run.small.items() & known.small.items())
    if alone:
        print(f"arms that one of the two runs lacks, not compared: {', '.join(alone)}")
    print(f"{equal} of {len(known.small)} small files have the reference's bytes; other seeds: {changed or 'none'}")
    if equal == len(known.small):
        return []
    alike = {name for name in run.stages if name in known.stages and run.read(name) == known.read(name)}
    other = [name for name in run.stages if name in alike and run.made(name) != known.made(name)]
    # A trained policy shows the kind of machine: where one came out alike, whatever else read the same has to.
    same_kind = any(name.startswith("rl@") for name in alike.difference(other))
    why = "made other bytes than the reference from the same code, settings and data, on the same kind of machine"
    return [*(f"{lock.LOCK}: stage {name} {why}" for name in other if same_kind), *_shifts(run, known)]


def _shifts(run: Record, known: Record) -> list[str]:
    """The arms whose pass@k moved further than training seeds and questions explain."""
    if len(run.params.runs) == len(known.params.runs) == 1:
        print("one training seed in each: how far seeds move pass@k is unknown, so that it was not compared")
        return []
    questions, ks = run.params.questions, sorted({min(run.params.tables.ks), max(run.params.tables.ks)})
    names, shifts = [], []
    for phase in PHASES:
        for sets, benchmarks in (("benchmarks", questions.benchmarks), ("transfer", questions.transfer)):
            whole = (phase, sets) == ("after", "benchmarks")  # the ablations' arms are sampled there alone
            arms = list(run.params.arms) if whole else studies.main(run.params.arms)
            arms = [arm for arm in arms if arm in known.params.arms]
            blocks = (_scores(one, arms, list(benchmarks), phase, ks) for one in (run, known))
            shifts += science.shifts(*blocks)
            names += [f"{arm} {phase} RL, {sets}" for arm in arms]
    value, error, df = (np.array([getattr(one, part) for one in shifts]) for part in ("value", "error", "df"))
    p = science.holm(np.reshape([science.p_values(one) for one in shifts], (-1, 1))).reshape(value.shape)
    seen = np.median(science.detectable(error, df, ALPHA / value.size), axis=0)
    size = ", ".join(f"{shift:.2f} at k = {k}" for shift, k in zip(seen, ks, strict=True))
    print(f"pass@k of {len(names)} means at k = {ks}; a shift of {size} would be seen 4 times in 5 (median)")
    why = "from the reference, more than training seeds and questions explain"
    return [
        f"{names[row]}, pass@{ks[column]}: {value[row, column]:+.3f} {why} (Holm p {p[row, column]:.4f})"
        for row, column in np.argwhere(p < ALPHA)
    ]


def _scores(one: Record, arms: list[str], benchmarks: list[str], phase: Phase, ks: list[int]) -> list[list[Array]]:
    """Per arm and benchmark pass@k, (seeds, questions, ks)."""
    found = counts.read(one.folder / paths.COUNTS, arms, benchmarks, one.params.runs, [phase])
    cells = [[found.cells[arm, phase, name].correct for name in benchmarks] for arm in arms]
    return [[np.stack([pass_at_k(cell, found.samples, k) for k in ks], axis=-1) for cell in arm] for arm in cells]
