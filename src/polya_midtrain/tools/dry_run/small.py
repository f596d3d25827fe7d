"""A profile made small: the same arms, prompts, catalogue, sources and method, with tiny counts and stand-in models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polya_midtrain.errors import UserError
from polya_midtrain.params import EasySet, FileSet, Params, QuestionSet, RewardTraining, WorldSet
from polya_midtrain.question_sets.adapters import ADAPTERS

SEEDS = 2
TRAINED, EVALUATED = 4, 2  # questions of a training set, and of each set that is evaluated
SAMPLED = {"samples": 8, "max_tokens": 32}  # enough samples that every heuristic leads to right and to wrong answers
# In place of the profile's own. All of a teacher's samples are many, or an arm matched to another would lack rows.
SETTINGS: dict[str, dict[str, Any]] = {
    "generate": {**SAMPLED, "unprompted": 8},
    "distil": {"samples": 128, "max_tokens": 32},
    "select": {"adherence": "none"},
    "midtrain": {"epochs": 1, "batch": 16, "micro_batch": 8, "save_steps": 8},
    "rl": {"prompts": 2, "generations": 4, "epochs": 1, "max_tokens": 32, "micro_batch": 8, "save_steps": 1},
    "evaluate": {"samples": 5, "max_tokens": 32},
    "compose": {"judge": "cues", "endpoint": None, "labelled": 60},
    "diversity": {"embedding": {"kind": "words"}, "size": 3, "resamples": 20},
    "modes": {"questions": 2},
    "tables": {"ks": [1, 2, 4], "resamples": 200},
}
WIDER = 2  # the stand-ins' small vocabulary takes about twice the tokens for a text


def shrink(params: Params, path: Path, data: Path) -> tuple[Params, list[str]]:
    """The settings of the dry run of ``params``, but for its models, and the evaluated sets that ``data`` lacks.

    ``path`` is the profile's file. Raises `UserError` for a profile of the embedded world, which has its own small
    form, and for a set that cannot be spared.
    """
    if "world" in (params.base.kind, params.teacher.kind):
        raise UserError(
            f"{path}: base or teacher is of the embedded world, which needs no hub; for a first look at it run "
            "`make repro PROFILE=smoke`"
        )
    found: dict[str, Any] = params.model_dump(mode="json")
    for block, values in SETTINGS.items():
        found[block] |= values
    found |= {"profile": f"dry-run-{params.profile}", "seeds": params.seeds[:SEEDS]}
    found["machine"] = {"device": "cpu", "sandbox": params.machine.sandbox}
    found["midtrain"]["max_length"] *= WIDER
    found["rl"]["max_prompt_tokens"] *= WIDER
    if isinstance(params.reward, RewardTraining):
        found["reward"] |= {"pairs": 40, "epochs": 1, "batch": 8, "max_length": WIDER * params.reward.max_length}
        found["reward"]["sampling"] |= SAMPLED
    absent: list[str] = []
    asked = found["questions"]
    for name in ("mid", "reward", "rl"):
        if (spec := getattr(params.questions, name)) is not None:
            if lacking := _lacking(spec, data):
                raise UserError(f"{lacking}: no such file, and questions.{name} of {path} reads it; add it")
            _limit(asked[name], spec, TRAINED)
    for kind in ("benchmarks", "transfer"):
        for name, spec in getattr(params.questions, kind).items():
            _limit(asked[kind][name], spec, EVALUATED)
            if lacking := _lacking(spec, data):
                absent.append(name)
                del asked[kind][name]
        if not asked[kind]:
            raise UserError(f"{lacking}: no such file, and {path} needs one of its questions.{kind}; add it")
    kept = list(asked["benchmarks"])
    found["compose"]["benchmarks"] = [name for name in params.compose.benchmarks if name in kept] or kept[:1]
    means = {name: [one for one in over if one in kept] for name, over in params.tables.means.items()}
    found["tables"]["means"] = {name: over for name, over in means.items() if over}
    return Params.model_validate(found), absent


def _lacking(spec: QuestionSet, data: Path) -> Path | None:
    """The first file of a set that the folder lacks."""
    files = ADAPTERS[spec.source].splits[spec.split].files if isinstance(spec, FileSet) else ()
    return next((data / file.path for file in files if not (data / file.path).is_file()), None)


def _limit(held: dict[str, Any], spec: QuestionSet, most: int) -> None:
    held["count" if isinstance(spec, WorldSet | EasySet) else "limit"] = most
