"""A profile made small: the same arms, prompts, catalogue, sources and method, with tiny counts and stand-in models."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd
from pathlib import Path
from typing import Any

from polya_midtrain.errors import UserError
from polya_midtrain.params import (
    FileSet,
    FolderModel,
    HubBase,
    HubEmbedding,
    PackageBase,
    Params,
    RewardHub,
    RewardTraining,
    WorldBase,
    WorldTeacher,
)
from polya_midtrain.sources.adapters import ADAPTERS

# Most of each; a profile that has less keeps it.
SEEDS = 2
TRAINED, EVALUATED = 4, 2  # questions of a training set, and of each set that is evaluated
SAMPLES = 4  # per question and heuristic
TOKENS = 32  # of a completion
KS = 4  # the largest k of pass@k
STEP, PASS = 16, 8  # sequences of an optimiser step, and of one pass
PROMPTS, GENERATIONS = 2, 4  # of a step of RL
PAIRS, LABELLED, RESAMPLES, DRAWS, SET = 40, 60, 200, 20, 3
SAVES = {"midtrain": 8, "rl": 1}  # steps between two trainer checkpoints, so that some are written
WIDER = 2  # the stand-ins' small vocabulary takes about twice the tokens for a text
NOBODY = "0" * 40  # the revision of a stand-in for what has none


def absent_sets(params: Params, path: Path, data: Path) -> list[str]:
    """The benchmarks and transfer sets whose files the folder ``data`` lacks; `UserError` if one cannot be spared.

    ``path`` is the profile's file, for the message.
    """
    questions = params.questions
    for name in ("mid", "reward", "rl"):
        if lacking := _lacking(getattr(questions, name), data):
            raise UserError(f"{data / lacking}: no such file, and questions.{name} of {path} reads it; add it")
    absent: list[str] = []
    for kind in ("benchmarks", "transfer"):
        held = getattr(questions, kind)
        missing = {name: lacking for name, spec in held.items() if (lacking := _lacking(spec, data))}
        needed = missing.keys() if len(missing) == len(held) else missing.keys() & set(params.compose.benchmarks)
        if needed:
            name = min(needed)
            raise UserError(f"{data / missing[name]}: no such file, and {path} needs questions.{kind}.{name}; add it")
        absent += missing
    return absent


def _lacking(spec: Any, data: Path) -> str | None:
    """The first file of a set that the folder lacks."""
    files = ADAPTERS[spec.source].splits[spec.split].files if isinstance(spec, FileSet) else ()
    return next((file.path for file in files if not (data / file.path).is_file()), None)


def standin(model: HubBase | PackageBase | FolderModel | RewardHub | HubEmbedding) -> dict[str, str]:
    """The settings of a model of the hub that stands in for ``model``, under a name that says so."""
    if isinstance(model, PackageBase):
        return {"kind": "hub", "id": f"stand-in/{model.package}", "revision": NOBODY}
    if isinstance(model, FolderModel):
        return {"kind": "hub", "id": f"stand-in/{model.path.name}", "revision": NOBODY}
    return {"kind": "hub", "id": f"stand-in/{model.id.rpartition('/')[2]}", "revision": model.revision}


def shrink(params: Params, path: Path, absent: list[str], url: str) -> Params:
    """The settings of the dry run of ``params``, which came from ``path``.

    Without the sets of ``absent``; a judge behind an endpoint is asked at ``url``, where others answer in its place.
    Raises `UserError` for a profile of the embedded world, which has its own small form.
    """
    base, teacher, reward = params.base, params.teacher, params.reward
    if isinstance(base, WorldBase) or isinstance(teacher, WorldTeacher):
        raise UserError(
            f"{path}: base or teacher is of the embedded world, which needs no hub; for a first look at it run "
            "`make repro PROFILE=smoke`"
        )
    found: dict[str, Any] = params.model_dump(mode="json")
    found["profile"] = f"dry-run-{params.profile}"
    found["machine"] = {"device": "cpu", "sandbox": params.machine.sandbox}
    found["seeds"] = params.seeds[:SEEDS]
    _questions(found["questions"], absent)
    found["base"], found["teacher"] = standin(base), standin(teacher)
    if not isinstance(reward, RewardTraining):
        found["reward"] = standin(reward)
    else:
        _cap(found["reward"], pairs=PAIRS, epochs=1, batch=PASS)
        _sampling(found["reward"]["sampling"])
        found["reward"]["max_length"] *= WIDER
    _sampling(found["generate"])
    _cap(found["generate"], unprompted=SAMPLES)
    _cap(found["distil"], max_tokens=TOKENS)  # all of its samples, or an arm that is matched to another would lack rows
    _cap(found["midtrain"], epochs=1, batch=STEP, save_steps=SAVES["midtrain"])
    found["midtrain"]["micro_batch"] = gcd(found["midtrain"]["batch"], PASS)
    found["midtrain"]["max_length"] *= WIDER
    _cap(
        found["rl"],
        prompts=PROMPTS,
        generations=GENERATIONS,
        epochs=1,
        max_tokens=TOKENS,
        save_steps=SAVES["rl"],
    )
    found["rl"]["micro_batch"] = gcd(found["rl"]["prompts"] * found["rl"]["generations"], PASS)
    found["rl"]["max_prompt_tokens"] *= WIDER
    ks = [k for k in params.tables.ks if k <= KS] or [min(params.tables.ks)]
    _cap(found["evaluate"], samples=max(ks) + 1, max_tokens=TOKENS)
    found["compose"]["benchmarks"] = [name for name in params.compose.benchmarks if name not in absent]
    _cap(found["compose"], labelled=LABELLED)
    if params.compose.endpoint is not None:
        found["compose"]["endpoint"] |= {"url": f"{url}/v1", "model": f"cues for {params.compose.endpoint.model}"}
    _cap(found["diversity"], size=SET, resamples=DRAWS)
    if isinstance(params.diversity.embedding, HubEmbedding):
        found["diversity"]["embedding"] = standin(params.diversity.embedding)
    _cap(found["modes"], questions=EVALUATED)
    _cap(found["tables"], resamples=RESAMPLES)
    found["tables"]["ks"] = ks
    means = {
        name: [benchmark for benchmark in over if benchmark not in absent] for name, over in params.tables.means.items()
    }
    found["tables"]["means"] = {name: over for name, over in means.items() if over}
    return Params.model_validate(found)


def _questions(found: dict[str, Any], absent: list[str]) -> None:
    for name in ("mid", "reward", "rl"):
        if found[name] is not None:
            _limit(found[name], TRAINED)
    for kind in ("benchmarks", "transfer"):
        found[kind] = {name: spec for name, spec in found[kind].items() if name not in absent}
        for spec in found[kind].values():
            _limit(spec, EVALUATED)


def _limit(spec: dict[str, Any], most: int) -> None:
    name = "limit" if "limit" in spec else "count"  # of a public set, or of the embedded world
    spec[name] = min(spec[name] or most, most)


def _sampling(found: dict[str, Any]) -> None:
    _cap(found, samples=SAMPLES, max_tokens=TOKENS)


def _cap(found: dict[str, Any], **most: Any) -> None:
    """Each of these settings at most this."""
    held: Mapping[str, Any] = {name: min(found[name], value) for name, value in most.items()}
    found.update(held)
