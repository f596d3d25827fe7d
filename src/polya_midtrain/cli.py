"""The command line: what dvc.yaml's stages and the Makefile call, and what a person may."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from polya_midtrain import __version__
from polya_midtrain.errors import UserError, of_disk

ARM_STAGES = {"midtrain", "rl", "evaluate", "modes"}
TABLE_STAGES = {"tables"}
LAST_STAGE = "page"
KEPT = Path("reports/study")  # the run that README.md shows
PROFILES = Path("profiles")
LABELLED = Path("data/judges/labelled.yaml")  # chains on which a judge of prose is measured

app = typer.Typer(
    help="The polya-midtrain study: mid-training on self-generated, heuristic-diverse traces, then GRPO, then pass@k. "
    "`make repro` runs all of it; these are its parts. Run them from the project's root.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"polya-midtrain {__version__}")
        raise typer.Exit


@app.command()
def stage(
    name: Annotated[str, typer.Argument(help="A stage of dvc.yaml without its @ARM, such as generate or rl.")],
    arm: Annotated[
        str | None, typer.Option(help=f"The arm of params.yaml, for {', '.join(sorted(ARM_STAGES))}.")
    ] = None,
    table: Annotated[str | None, typer.Option(help="The table to make, for tables.")] = None,
) -> None:
    """Run one stage of the pipeline.

    It works on what the stages before it left, as dvc.yaml calls it. `dvc repro STAGE` runs those first where needed.
    """
    from polya_midtrain import params as settings
    from polya_midtrain import stages
    from polya_midtrain.runtime import finished, mlflow_store
    from polya_midtrain.runtime.guard import Guard

    known = sorted(module.name for module in pkgutil.iter_modules(stages.__path__))
    if name not in known:
        raise UserError(f"no stage {name!r}; the stages are {', '.join(known)}")
    given = {"--arm": (arm, name in ARM_STAGES), "--table": (table, name in TABLE_STAGES)}
    for option, (value, wanted) in given.items():
        if wanted and value is None:
            raise UserError(f"stage {name} needs {option}; such as `polya stage {name} {option} NAME`")
        if value is not None and not wanted:
            raise UserError(f"stage {name} takes no {option}; leave it out")
    params = settings.load()
    if arm is not None:
        params.arm(arm)  # an unknown one is said before anything heavy is loaded
    if finished.wanted():
        finished.sweep()
    guard = Guard(name, arm or table)
    module = importlib.import_module(f"polya_midtrain.stages.{name}")
    try:
        module.run(params, *[value for value in (arm, table) if value is not None])
    except finished.Again as again:
        typer.echo(again, err=True)
    guard.check()
    if name == LAST_STAGE:
        mlflow_store.post_pending()  # no stage comes after it that would post what waits


@app.command()
def repro(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Stages of dvc.yaml, such as evaluate@n4; else all.")
    ] = None,
) -> None:
    """Run the study, or what has changed in it.

    What `make repro` runs: `dvc repro` on records that a killed run may have left half written, then `polya sync` and
    `polya share`. One at a time in a folder. At its end it says what the claims came to and where to look.
    """
    from polya_midtrain.runtime import repro as runs
    from polya_midtrain.tools import told

    heard = told.Told(typer.echo, told.expected())  # at once: DVC removes a stage's last seconds before it runs
    status = runs.repro(targets or [], typer.echo, heard.hear)
    if not targets:
        heard.end(status)
    raise typer.Exit(status)


@app.command()
def status() -> None:
    """Say which stages would run, and how long they would take.

    By the seconds of the run here, or as `polya plan` counts them. Nothing is changed.
    """
    from polya_midtrain.tools import status as asked

    for line in asked.status():
        typer.echo(line)


@app.command()
def profile(
    name: Annotated[str, typer.Argument(help="The name of a file in profiles/, without .yaml.")],
) -> None:
    """Make params.yaml that of a profile.

    `dvc repro` then runs the study with it. Settings of your own in params.yaml are kept in params.yaml.bak.
    """
    from polya_midtrain import params as settings
    from polya_midtrain.runtime import repro, scratch

    source = _profile(name)
    settings.load(source)
    with scratch.locked(repro.RUN, wait=False) as ours:
        if not ours:
            raise UserError(repro.BUSY)
    wanted = source.read_bytes()
    target = settings.PARAMS_FILE
    current = target.read_bytes() if target.exists() else b""
    if current == wanted:
        typer.echo(f"{target} is profile {name} already")
        return
    if current and current not in {path.read_bytes() for path in PROFILES.glob("*.yaml")}:
        backup = Path(f"{target}.bak")
        backup.write_bytes(current)
        typer.echo(f"{target} had settings of its own: kept as {backup}")
    draft = scratch.ROOT / target.name
    draft.parent.mkdir(exist_ok=True)
    draft.write_bytes(wanted)
    scratch.publish(draft, target)
    typer.echo(f"{target} is now profile {name}")


@app.command()
def judge(
    labelled: Annotated[Path, typer.Option(help="The labelled chains.")] = LABELLED,
    profile: Annotated[str | None, typer.Option(help="Take the judge of this profile, not of params.yaml.")] = None,
    each: Annotated[bool, typer.Option("--each", help="With a line for every heuristic.")] = False,
) -> None:
    """Measure the judge of heuristics on labelled chains.

    It is the judge of prose that block compose names, cues or endpoint. Nothing is written but an endpoint's replies.
    """
    from polya_midtrain import params as settings
    from polya_midtrain.labellers import commands

    commands.judge(_profile(profile) if profile else settings.PARAMS_FILE, labelled, each)


@app.command()
def plan(
    profile: Annotated[str | None, typer.Argument(help="A file in profiles/, without .yaml; else params.yaml.")] = None,
    source: Annotated[Path | None, typer.Option("--from", help="The folder of a finished run to learn from.")] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Measure speed and lengths of the base here.")] = False,
    gpu_memory: Annotated[
        float | None, typer.Option(min=1, help="Gigabytes of a GPU that the run will have; else of the one here.")
    ] = None,
) -> None:
    """Say what a run would take, before it is started.

    Per stage samples, tokens, rows, time, disk and memory, and the smallest difference that the run would find. Times
    are those of a finished run of the same models (this project's, a kept one's, or that of --from), or measured; a
    time that neither says is not guessed. Exit code 2 if disk or memory cannot suffice.
    """
    from polya_midtrain import params as settings
    from polya_midtrain.tools.plan import command

    command.show(_profile(profile) if profile else settings.PARAMS_FILE, source, measure, gpu_memory)


@app.command("dry-run")
def dry_run(
    profile: Annotated[str, typer.Argument(help="The name of a file in profiles/, without .yaml.")],
) -> None:
    """Walk a profile of the hub's models without the hub.

    Every arm and every stage, on questions from the folder POLYA_DATA, with tiny counts and small folder models in
    place of the profile's, on the CPU, in a copy of the project below .scratch. Exit code 2 if a stage fails.
    """
    from polya_midtrain.tools.dry_run import command

    command.dry_run(_profile(profile))


@app.command()
def readme(
    folder: Annotated[Path, typer.Argument(help="The reports of a run: tables/, claims.md, params.yaml.")] = KEPT,
) -> None:
    """Put a kept run's ledger and main table into README.md, and the claims of the committed run into REPRODUCE.md.

    Also their primary parts into docs/preregistration.md. The committed run is the one that git has in its root,
    committed or staged to be.
    """
    from polya_midtrain import params as settings
    from polya_midtrain import paths
    from polya_midtrain.params import yamlfile
    from polya_midtrain.tables import readme_table
    from polya_midtrain.tools import claims_table

    profile = yamlfile.content(folder / settings.PARAMS_FILE)["profile"]  # the rest may be settings of earlier code
    changed = {"README.md": readme_table.inject(Path("README.md"), folder, profile)}
    changed["REPRODUCE.md"] = claims_table.inject(Path("REPRODUCE.md"))
    changed[str(paths.RULES)] = claims_table.inject_rules(paths.RULES)
    for name, renewed in changed.items():
        typer.echo(f"{name}: tables renewed" if renewed else f"{name}: tables are up to date")


@app.command()
def keep(
    name: Annotated[str, typer.Argument(help="The folder of reports/ to keep it in.")],
) -> None:
    """Keep the finished run's reports in reports/NAME.

    With all that they are made from, the lock file, the machine (this one) and the time that it took.
    """
    from polya_midtrain.tools import keep as kept

    typer.echo(f"{kept.keep(name)}: kept")


@app.command()
def rebuild(
    name: Annotated[str, typer.Argument(help="The folder of reports/ that a run was kept in.")],
) -> None:
    """Make a kept run's tables, figures, ledger and page again.

    From what was kept with them, below .scratch. Exit code 1 where a byte is not as in reports/NAME.
    """
    from polya_midtrain.tools import rebuild as again

    raise typer.Exit(again.rebuild(name))


@app.command()
def check(
    hub: Annotated[bool, typer.Option("--hub", help="Also ask the hub for the models of params.yaml.")] = False,
) -> None:
    """Check params.yaml, the profiles and catalogues.

    Every profile and the catalogue of heuristics that it names are read as a stage would read them, the catalogue's
    examples are graded, and question files and models of one's own are read. Nothing is run.
    With --hub, configuration and tokenizer of every hub model of params.yaml are fetched, so that a wrong revision or
    a licence that nobody accepted is known before the run; then the questions are read, and the prompts of all sets
    are held against the context of a base or teacher of the hub and against the limits of both trainings.
    """
    from polya_midtrain import params as settings
    from polya_midtrain.tools import check

    check.files([settings.PARAMS_FILE, *sorted(PROFILES.glob("*.yaml"))])
    if hub:
        check.hub(settings.load())


@app.command()
def compare(
    folder: Annotated[
        Path | None, typer.Argument(help="A finished run of the same profile; else the committed one.")
    ] = None,
) -> None:
    """Compare the run here with itself and with the committed one.

    On the same kind of machine every byte has to be the same; elsewhere pass@k may move as far as training seeds and
    questions explain. Exit code 1 if there is a difference.
    """
    from polya_midtrain.tools.compare import command

    raise typer.Exit(command.compare(folder))


@app.command()
def sync() -> None:
    """Bring the MLflow store to what the pipeline has made.

    Tracked runs that wait in .scratch/outbox are posted. Then each stage of dvc.lock, and each policy that was
    evaluated, gets the run that it lacks, from the small files of results/ and reports/: a store that was lost is made
    again, and a second call adds nothing. Exit code 1 where the store cannot be used.
    """
    from polya_midtrain.runtime import mlflow_store
    from polya_midtrain.tools.mlflow_export import command

    for line in command.sync():
        typer.echo(line)
    raise typer.Exit(int(mlflow_store.faulty()))


@app.command()
def join(
    rank: Annotated[int, typer.Argument(min=1, help="Which host this one is; the one that runs the stages is 0.")],
) -> None:
    """Take part in the trainings of another host.

    Both have the same project folder, on a shared file system, and machine.accelerate in params.yaml names a file with
    several hosts. This host runs no stages and ends with Ctrl-C.
    """
    from polya_midtrain.training import join as joined

    joined.join(rank, typer.echo)


@app.command()
def share() -> None:
    """Put finished stages into DVC's run cache, and on its remote.

    Their small results too, which `dvc push` leaves out. `dvc repro --pull` on another host runs none of them again.
    """
    from polya_midtrain.runtime import share as shared

    finished, pushed = shared.share()
    where = "" if pushed is None else f", {pushed} new files on the remote"
    typer.echo(f"{finished} finished stages in the run cache{where}")


def _profile(name: str) -> Path:
    """The file of a profile."""
    known = {path.stem: path for path in sorted(PROFILES.glob("*.yaml"))}
    if name not in known:
        raise UserError(f"no profile {name!r} in {PROFILES}/; the profiles are {', '.join(known) or 'missing'}")
    return known[name]


def execute(arguments: list[str]) -> int:
    """Run a command line in this process; its exit code."""
    from polya_midtrain.runtime import memory

    memory.keep_freed()
    try:
        app(arguments, prog_name="polya")
    except Exception as error:
        fault = error if isinstance(error, UserError) else of_disk(error)
        if fault is None:
            raise
        print(f"polya: {fault}", file=sys.stderr)
        return 2
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 0
        if code == 130:
            print("polya: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return code
    return 0
