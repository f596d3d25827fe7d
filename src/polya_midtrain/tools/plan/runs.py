"""What a finished run says of another one: how long answers are, how many are right, and seconds a token."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import EasySet, Params, RewardTraining, WorldBase, WorldSet, WorldTeacher, yamlfile
from polya_midtrain.runtime import lock
from polya_midtrain.runtime.stage import read_seconds
from polya_midtrain.stages import questions
from polya_midtrain.tools.plan.work import Facts, most_rows, works

UNKNOWN = "no finished run of this base: times are not known (try --measure), and tokens and rows are at most these"


@dataclass(frozen=True)
class Run:
    """A finished run: settings, ``seconds`` of each STAGE[@ARM], ``counts`` as in `Facts`, tokens of mean ``answers``
    by stage, and what is ``selected``: ARM/rows and ARM/tokens of the training sets."""

    folder: Path
    params: Params
    seconds: Mapping[str, float]
    counts: Mapping[str, int]
    answers: Mapping[str, float]
    selected: Mapping[str, float]


def reference(source: Path | None, params: Params) -> Run | None:
    """The finished run in ``source``; else the first of this project's and the kept ones that has the same base."""
    folders = [source] if source else [Path(), *sorted(Path("reports").glob("*/"))]
    alike = (run for run in map(read, folders) if run and model(run.params, "base") == model(params, "base"))
    if (found := next(alike, None)) is None and source:
        raise UserError(f"{source}: no finished run of the same base and kind of machine; name one, or use --measure")
    return found


def read(folder: Path) -> Run | None:
    """The run in a project's folder, or in what `polya keep` made of one; None where there is none."""
    seconds = read_seconds(folder / paths.METRICS)
    if not seconds.keys() >= {"questions", "generate"}:
        return None
    params = _settings(folder)
    metrics = {file.stem: yamlfile.content(file) for file in (folder / paths.METRICS).glob("*.json")}  # JSON is YAML
    asked, drawn = metrics.get("questions", {}), {s: metrics[s] for s in ("generate", "distil") if s in metrics}
    answers: dict[str, float] = {stage: held["tokens"] / held["completions"] for stage, held in drawn.items()}
    counts = {name: int(asked.get(name.replace("/", "_"), 0)) for name in questions.sets_of(params.questions)}
    counts |= {name: counts[name] // len(params.numbers) for name in questions.TRAINING if name in counts}
    return Run(folder, params, seconds, counts, answers, metrics.get("select", {}))


def facts(params: Params, run: Run | None) -> tuple[Facts, list[str]]:
    """The facts of a run to come, as far as a finished one says them, else at their most; and in words, which."""
    counts, notes = _counts(params, run)
    limits = {stage: float(getattr(params, stage).max_tokens) for stage in ("generate", "distil", "rl", "evaluate")}
    known = {} if run is None else run.answers
    answers = {stage: min(known.get(stage, known.get("generate", most)), most) for stage, most in limits.items()}
    rows = {name: most_rows(params, arm, counts["mid"]) for name, arm in params.arms.items()}
    lengths: dict[str, float] = {}
    for name, arm in sorted(params.arms.items(), key=lambda item: item[1].match is not None):
        if run and run.params.arms.get(name) == arm and (chosen := run.selected.get(f"{name}/rows")):
            rows[name] *= chosen / len(run.params.numbers) / most_rows(run.params, arm, run.counts["mid"])
            lengths[name] = run.selected[f"{name}/tokens"] / chosen
        if arm.match is not None:
            target = rows[arm.match.arm]
            rows[name] = target if arm.match.steps else min(rows[name], target)
    note = f"lengths of answers, shares of right ones and times: those of the run in {run.folder}" if run else UNKNOWN
    return Facts(counts, answers, rows, lengths), [note, *notes]


def rates(run: Run, params: Params) -> dict[str, float]:
    """Seconds a unit of work (`work.Work.units`) of each stage whose model, if it has one, is the same."""
    seconds, units = defaultdict[str, float](float), defaultdict[str, float](float)
    alike = {block for block in ("base", "teacher", "reward") if model(run.params, block) == model(params, block)}
    for one in works(run.params, facts(run.params, run)[0]):
        if one.model in ("", *alike) and (name := f"{one.stage}@{one.arm}".rstrip("@")) in run.seconds:
            seconds[one.stage] += run.seconds[name]
            units[one.stage] += one.units
    return {stage: value / units[stage] for stage, value in seconds.items()}


def model(params: Params, block: str) -> tuple[object, ...]:
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
    faults, why = list[str](), ""
    for name, spec in questions.sets_of(params.questions).items():
        if run and theirs.get(name) == spec and run.counts[name]:
            found[name] = run.counts[name]
        elif (most := spec.count if isinstance(spec, WorldSet | EasySet) else spec.limit) is not None:
            found[name] = most
        elif why and questions.data_folder() is None:  # the hub cannot be reached, which takes half a minute to find
            found[name], faults = 0, [*faults, name]
        else:
            try:
                found[name] = len(questions.build({name: spec}, params.questions.seed)[0][name])
            except UserError as error:
                found[name], why, faults = 0, str(error), [*faults, name]
    return found, [f"not counted: questions of {', '.join(faults)} ({why})"] if faults else []


def _settings(folder: Path) -> Params:
    """The settings that were run: those of params.yaml, but for what the lock file has otherwise."""
    plain = _with_later_settings(yamlfile.content(folder / settings.PARAMS_FILE))
    content = dict(plain)
    for file in (folder / "dvc.lock", folder / "lock.yaml"):
        for entry in lock.stages(file).values() if file.is_file() else ():
            for name, value in lock.settings(entry).items():
                block, _, rest = name.partition(".")
                content[block] = content.get(block, {}) | {rest: value} if rest else value
    for held in (content, plain):  # the lock file may be of other code
        with suppress(ValidationError):
            return Params.model_validate(_with_later_settings(held))
    return settings.load(folder / settings.PARAMS_FILE)


def _with_later_settings(content: dict[str, Any]) -> dict[str, Any]:
    """A run of earlier code lacks settings that came later: those of the profile of its name, if there is one."""
    profile = Path("profiles") / f"{content.get('profile')}.yaml"
    found = dict(content)
    for block, held in yamlfile.content(profile).items() if profile.is_file() else ():
        if block not in found:
            found[block] = held
        elif isinstance(held, dict) and block not in ("arms", "questions"):
            found[block] = held | found[block]
    return found
