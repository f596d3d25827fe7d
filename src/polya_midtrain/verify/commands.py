"""What `polya verify` and `polya expect` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.ledger import schema
from polya_midtrain.runtime import lock, scratch, yamlfile
from polya_midtrain.tables import read
from polya_midtrain.verify import build, compare, expected, runs
from polya_midtrain.verify.seeds import apart


def verify(profile: str | None = None) -> int:
    """Compare reports/tables with expected/PROFILE.yaml and dvc.lock; print what differs; 1 if anything does, else 0.

    ``profile``: the profile that the run is expected to be of; params.yaml says of which it is. Raises `UserError`
    where there is nothing to compare: no expected file, other settings than the ranges were made with, a missing table
    or lock file.
    """
    params = settings.load()
    if profile is not None and profile != params.profile:
        raise UserError(
            f"{settings.PARAMS_FILE}: the run is of profile {params.profile}, not {profile}; "
            f"make it one with `make repro PROFILE={profile}`"
        )
    known = expected.load(params.profile)
    path = expected.path_of(params.profile)
    rest, _ = apart(yamlfile.content(settings.PARAMS_FILE))
    ours = expected.fingerprint(rest)
    different = sorted(
        name for name in ours.keys() | known.settings.keys() if ours.get(name) != known.settings.get(name)
    )
    if different:
        raise UserError(
            f"{settings.PARAMS_FILE}: block {different[0]} is not as in the runs behind {path}; restore it with "
            f"`polya profile {params.profile}`, or make new ranges with `polya expect`"
        )
    tables = {name: read.read(paths.TABLES / f"{name}.csv") for name in known.tables}
    faults = [
        f"{path.stem}: {path} is not what {lock.LOCK} says was made; `dvc repro` makes it again"
        for path in runs.altered(Path())
    ]
    faults += compare.faults(known, tables, params.seeds)
    for fault in faults:
        print(fault)
    numbers = sum(len(table.cells) for table in known.tables.values())
    result = f"{len(faults)} differences" if faults else "no difference"
    print(f"{path} ({len(known.runs)} runs, {known.made.date}): {numbers} numbers of {len(tables)} tables, {result}")
    return 1 if faults else 0


def expect(folders: Sequence[Path]) -> Path:
    """Write expected/PROFILE.yaml from the folders of finished runs; returns its path.

    The claims are those of the current folder. Raises `UserError` for fewer runs than `expected.FEWEST`, for runs that
    share a seed or differ in more than seeds, and for folders without a finished run.
    """
    claims = schema.load(paths.CLAIMS)
    found = [runs.load(folder) for folder in folders]
    runs.check(found)
    path = expected.path_of(found[0].params.profile)
    draft = scratch.ROOT / path.name
    draft.parent.mkdir(exist_ok=True)
    draft.write_text(expected.dump(build.expected(found, claims)), encoding="utf-8", newline="\n")
    scratch.publish(draft, path)
    return path
