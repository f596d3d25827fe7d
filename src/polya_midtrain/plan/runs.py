"""What a finished run says of another one: how long answers are, how many are right, and seconds a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import ValidationError

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import EasySet, Params, RewardTraining, WorldBase, WorldSet, WorldTeacher
from polya_midtrain.plan.work import Facts, most_rows, works
from polya_midtrain.runtime import lock, yamlfile
from polya_midtrain.runtime.stage import read_seconds
from polya_midtrain.stages import questions

KEPT = Path("reports")
UNKNOWN = (
    "no finished run of this base is at hand: times are not known (--from RUN, or --measure), and tokens and rows "
)
UNKNOWN += "are at most these, for answers are taken for max_tokens long and all for right"


@dataclass(frozen=True)
class Run:
    """A finished run: its settings, and what it recorded of its size.

    ``seconds``: inside of each STAGE[@ARM]; ``counts``: questions of each set; ``answers``: tokens of a mean completion,
    by stage; ``cards``: rows and tokens of each training set; ``scored``: how many samples were.
    """

    folder: Path
    params: Params
    seconds: Mapping[str, float]
    counts: Mapping[str, int]
    answers: Mapping[str, float]
    cards: Mapping[str, Any]
    scored: float | None


def reference(source: Path | None, params: Params) -> Run | None:
    """The finished run in ``source``; else the first of this project's and the kept ones that has the same base."""
    for folder in [source] if source else [Path(), *sorted(KEPT.glob("*/"))]:
        run = read(folder)
        if run is not None and model(run.params, "base") == model(params, "base"):
            return run
    if source:
        raise UserError(f"{source}: no finished run of the same base and kind of machine; name one, or use --measure")
    return None


def read(folder: Path) -> Run | None:
    """The run in a project's folder, or in what `polya keep` made of one; None where there is none."""
    seconds = read_seconds(folder / paths.METRICS)
    if "generate" not in seconds or (params := _settings(folder)) is None:
        return None
    asked, drawn, taught, scored = (
        _json(folder / paths.METRICS / f"{stage}.json") for stage in ("questions", "generate", "distil", "score")
    )
    parts = {"generate": drawn, "distil": taught}
    answers = {stage: part["tokens"] / part["completions"] for stage, part in parts.items() if "tokens" in part}
    curves = [_json(folder / paths.CURVES / f"{arm}.json").get("seeds", {}) for arm in params.arms]
    lengths = [step.get("length", 0) for seeds in curves for curve in seeds.values() for step in curve]
    answers |= dict.fromkeys(("rl", "evaluate"), fmean(lengths)) if any(lengths) else {}
    counts = {name: int(asked.get(name.replace("/", "_"), 0)) for name in questions.sets_of(params.questions)}
    return Run(folder, params, seconds, counts, answers, _json(folder / paths.TRAINING_SETS), scored.get("scored"))


def facts(params: Params, run: Run | None) -> tuple[Facts, list[str]]:
    """The facts of a run to come, as far as a finished one says them, else at their most; and in words, which."""
    counts, notes = _counts(params, run)
    limits = {stage: float(getattr(params, stage).max_tokens) for stage in ("generate", "distil", "rl", "evaluate")}
    answers = {stage: min(run.answers.get(stage, most), most) if run else most for stage, most in limits.items()}
    rows = {name: most_rows(params, arm, counts["mid"]) for name, arm in params.arms.items()}
    lengths = dict.fromkeys(rows, answers["generate"])
    for name, arm in params.arms.items():
        if run and run.params.arms.get(name) == arm and (card := run.cards.get(name)) and card["rows"]:
            rows[name] *= card["rows"] / most_rows(run.params, arm, run.counts["mid"])
            lengths[name] = card["tokens"] / card["rows"]
        if arm.match is not None:
            rows[name] = min(rows[name], rows[arm.match.arm])
    drawn = params.generate.heuristics * params.generate.samples * counts["mid"]
    theirs = run.params.generate.heuristics * run.params.generate.samples * run.counts["mid"] if run else 0
    scored = drawn * run.scored / theirs if run and run.scored and theirs else float(drawn)
    note = f"lengths of answers, shares of right ones and times: those of the run in {run.folder}" if run else UNKNOWN
    return Facts(counts, answers, rows, lengths, scored), [note, *notes]


def rates(run: Run, params: Params) -> dict[str, float]:
    """Seconds a unit of work (`work.Work.units`) of each stage whose model, if it has one, is the same."""
    seconds: dict[str, float] = {}
    units: dict[str, float] = {}
    alike = {block for block in ("base", "teacher", "reward") if model(run.params, block) == model(params, block)}
    for one in works(run.params, facts(run.params, run)[0]):
        if one.model in ("", *alike) and one.name in run.seconds:
            seconds[one.stage] = seconds.get(one.stage, 0.0) + run.seconds[one.name]
            units[one.stage] = units.get(one.stage, 0.0) + one.units
    return {stage: value / units[stage] for stage, value in seconds.items()}


def model(params: Params, block: str) -> tuple[Any, ...]:
    """What the speed of a model depends on."""
    held, machine = getattr(params, block), params.machine
    if isinstance(held, WorldTeacher | RewardTraining):
        return held.kind, *model(params, "base")
    shape = (held.hidden, held.layers, held.heads) if isinstance(held, WorldBase) else held
    return shape, machine.device, machine.engine, machine.processes


def _counts(params: Params, run: Run | None) -> tuple[dict[str, int], list[str]]:
    """Questions of each set, and which cannot be counted: a set of others is read, if no setting or run says it."""
    theirs = questions.sets_of(run.params.questions) if run else {}
    found: dict[str, int] = {}
    faults: dict[str, str] = {}
    for name, spec in questions.sets_of(params.questions).items():
        if run and theirs.get(name) == spec and run.counts[name]:
            found[name] = run.counts[name]
        elif (most := spec.count if isinstance(spec, WorldSet | EasySet) else spec.limit) is not None:
            found[name] = most
        else:
            try:
                found[name] = len(questions.build({name: spec}, params.questions.seed)[0][name])
            except UserError as error:
                found[name], faults[name] = 0, str(error)
    why = next(iter(faults.values()), "")
    return found, [f"not counted: questions of {', '.join(faults)} ({why})"] if faults else []


def _settings(folder: Path) -> Params | None:
    """The settings that were run: those of params.yaml, but for what the lock file has otherwise."""
    content = yamlfile.content(folder / settings.PARAMS_FILE)
    for file in (folder / "dvc.lock", folder / "lock.yaml"):
        for entry in lock.stages(file).values() if file.is_file() else ():
            for name, value in lock.settings(entry).items():
                block, _, rest = name.partition(".")
                content = _merged(content, {block: {rest: value} if rest else value})
    try:
        return Params.model_validate(content)
    except ValidationError:  # a run of other code
        return None


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return old | {name: _merged(old.get(name), value) for name, value in new.items()}


def _json(path: Path) -> dict[str, Any]:
    """A file's object; empty where there is none."""
    found = yamlfile.content(path) if path.is_file() else None  # JSON is YAML
    return found if isinstance(found, dict) else {}
