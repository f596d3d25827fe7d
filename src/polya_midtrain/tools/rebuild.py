"""`polya rebuild`: a kept run's tables, figures, ledger and page made again from what was kept with them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.runtime import scratch
from polya_midtrain.stages import claims, figures, page, tables
from polya_midtrain.tables.registry import TABLES
from polya_midtrain.tools import keep


def rebuild(name: str) -> int:
    """Print which files of reports/NAME the code here makes otherwise from what was kept; 1 if there are any, else 0.

    What is made stays in .scratch/rebuild-NAME. Raises `UserError` where something that it is made from was not kept.
    """
    kept, folder = keep.place(name), scratch.ROOT / f"rebuild-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    for path in keep.READ:
        keep.copy(kept / path.name, folder / path, "restore it from git, or keep the run again: `polya keep NAME`")
    spent = (folder / paths.METRICS).rename(folder / "spent").resolve()
    steps: list[Callable[[settings.Params], None]] = [partial(tables.run, table=table) for table in TABLES]
    with contextlib.chdir(folder):
        params = settings.load()
        for step in (*steps, claims.run, figures.run, page.run):
            # Ledger and page name the seconds of the stages, which are those of the kept run.
            shutil.copytree(spent, paths.METRICS, dirs_exist_ok=True)
            step(params)
    made, known = _files(folder / paths.TABLES.parent), _files(kept)
    other = sorted(file for file in made.keys() | known.keys() if made.get(file) != known.get(file))
    for file in other:
        print(f"{kept / file}: not what is made from what was kept, {folder / paths.TABLES.parent / file}")
    print(f"{kept}: {len(known) - len(known.keys() & other)} of {len(known)} files have the same bytes")
    return 1 if other else 0


def _files(folder: Path) -> dict[str, bytes]:
    """The reports in a folder, by their paths in it."""
    names = {path.name for path in keep.REPORTS}
    found = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {str(inside): path.read_bytes() for inside, path in found.items() if inside.parts[0] in names}
