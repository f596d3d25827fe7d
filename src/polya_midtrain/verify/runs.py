"""Finished runs, each a project folder, and whether they differ in their seeds and in nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.runtime import lock, tracking, yamlfile
from polya_midtrain.tables import read
from polya_midtrain.tables.row import Row
from polya_midtrain.verify.expected import FEWEST, fingerprint
from polya_midtrain.verify.seeds import apart


@dataclass(frozen=True)
class Run:
    """One finished run: its settings, its seeds by setting, its tables by name, the code behind them."""

    folder: Path
    params: Params
    settings: dict[str, str]
    seeds: dict[str, list[int]]
    code: dict[str, str]
    tables: dict[str, list[Row]]

    @property
    def commit(self) -> str:
        """The commit that its folder is at, "unknown" outside of a git repository."""
        return tracking.head(self.folder) or "unknown"


def load(folder: Path) -> Run:
    """Read a run; raises `UserError` where its tables are missing or are not those that its dvc.lock names."""
    params = settings.load(folder / settings.PARAMS_FILE)
    content = yamlfile.content(folder / settings.PARAMS_FILE)
    rest, seeds = apart(content)
    stages = lock.stages(folder / lock.LOCK)
    changed = altered(folder)
    if changed:
        raise UserError(f"{changed[0]}: not what {folder / lock.LOCK} says was made; run `dvc repro` in {folder}")
    tables = {path.stem: read.read(path) for path in sorted((folder / paths.TABLES).glob("*.csv"))}
    if not tables:
        raise UserError(f"{folder / paths.TABLES}: no table; run `dvc repro` in {folder}")
    code = {
        dep["path"]: dep["md5"]
        for stage in stages.values()
        for dep in stage.get("deps", [])
        if dep["path"].startswith("src/")
    }
    return Run(folder, params, fingerprint(rest), seeds, code, tables)


def altered(folder: Path) -> list[Path]:
    """The tables of a run that are not those that its dvc.lock says were made: edited, or of another run."""
    stages = lock.stages(folder / lock.LOCK)
    found = []
    for path in sorted((folder / paths.TABLES).glob("*.csv")):
        made = {out["path"]: out["md5"] for out in stages.get(f"tables@{path.stem}", {}).get("outs", [])}
        if made.get((paths.TABLES / path.name).as_posix()) != tracking.dvc_hash(path)[0]:
            found.append(path)
    return found


def check(runs: Sequence[Run]) -> None:
    """Raise `UserError` unless there are enough runs, of one profile and one code, the same tables, no seed shared."""
    if len(runs) < FEWEST:
        raise UserError(f"{len(runs)} finished runs, and ranges need {FEWEST} or more with different seeds; run more")
    first = runs[0]
    for run in runs[1:]:
        for what, ours, theirs in (
            ("block {} of params.yaml", run.settings, first.settings),
            ("the code in {}", run.code, first.code),
            ("table {}", dict.fromkeys(run.tables, ""), dict.fromkeys(first.tables, "")),
        ):
            different = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
            if different:
                raise UserError(
                    f"{run.folder}: {what.format(different[0])} is not as in {first.folder}; give runs that differ "
                    "in their seeds alone"
                )
    for place, run in enumerate(runs):
        for other in runs[:place]:
            for name, seeds in run.seeds.items():
                shared = set(seeds) & set(other.seeds.get(name, []))
                if shared:
                    raise UserError(
                        f"{run.folder}: {name} has {min(shared)}, as in {other.folder}; run one of the two again with "
                        "other seeds (`polya profile NAME --seed-offset N`)"
                    )
