"""params.yaml as typed settings: one block per stage, plus the arms, the seeds and the machine.

A profile (profiles/NAME.yaml) is a complete params.yaml. Nothing in the code knows a profile's name: profiles differ
in values only. `docs` of a field say its unit; a value's source stands beside it in the profile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import yamlfile
from polya_midtrain.params.analysis import (
    Compose,
    Diversity,
    Embedding,
    Endpoint,
    HubEmbedding,
    Modes,
    Tables,
    WordEmbedding,
    WorldEmbedding,
)
from polya_midtrain.params.arms import Arm, Match, Traces
from polya_midtrain.params.block import Block, Name
from polya_midtrain.params.method import Distil, Evaluate, Generate, Machine, Midtrain, Prompts, Rl, Score, Select
from polya_midtrain.params.models import (
    Base,
    FolderModel,
    Habits,
    HubBase,
    PackageBase,
    Reward,
    RewardHub,
    RewardTraining,
    Sampling,
    Teacher,
    WorldBase,
    WorldTeacher,
)
from polya_midtrain.params.questions import (
    EasySet,
    FileSet,
    HubSet,
    OwnFile,
    Questions,
    QuestionSet,
    ReadSet,
    WorldSet,
)

__all__ = [
    "PARAMS_FILE",
    "Arm",
    "Base",
    "Block",
    "Compose",
    "Distil",
    "Diversity",
    "EasySet",
    "Embedding",
    "Endpoint",
    "Evaluate",
    "FileSet",
    "FolderModel",
    "Generate",
    "Habits",
    "HubBase",
    "HubEmbedding",
    "HubSet",
    "Machine",
    "Match",
    "Midtrain",
    "Modes",
    "OwnFile",
    "PackageBase",
    "Params",
    "Prompts",
    "QuestionSet",
    "Questions",
    "ReadSet",
    "Reward",
    "RewardHub",
    "RewardTraining",
    "Rl",
    "Sampling",
    "Score",
    "Select",
    "Tables",
    "Teacher",
    "Traces",
    "WordEmbedding",
    "WorldBase",
    "WorldEmbedding",
    "WorldSet",
    "WorldTeacher",
    "flat",
    "load",
    "named",
]

PARAMS_FILE = Path("params.yaml")
RUNS = paths.RUNS


class Params(Block):
    """The whole of params.yaml."""

    profile: Name
    machine: Machine
    seeds: list[int] = Field(min_length=1)
    bases: list[dict[str, Any]] = Field(min_length=1)  # of each base: what of block base is other for it
    # Names of files and, for DVC, parts of a dotted one.
    arms: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]*$", max_length=60)], Arm] = Field(min_length=1)
    prompts: Prompts
    questions: Questions
    base: Base
    teacher: Teacher
    reward: Reward
    generate: Generate
    distil: Distil
    score: Score
    select: Select
    midtrain: Midtrain
    rl: Rl
    evaluate: Evaluate
    compose: Compose
    diversity: Diversity
    modes: Modes
    tables: Tables

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("training seeds must differ from each other; remove the repeated one")
        return seeds

    @field_validator("bases")
    @classmethod
    def _told_apart(cls, bases: list[dict[str, Any]], info: ValidationInfo) -> list[dict[str, Any]]:
        if len(bases) > 1 and any(not 0 <= seed < RUNS for seed in info.data.get("seeds", [])):
            raise ValueError(
                f"with several bases training seeds are 0 to {RUNS - 1}: a run is named by both; change seeds"
            )
        return bases

    @field_validator("base")
    @classmethod
    def _each_base(cls, base: Base, info: ValidationInfo) -> Base:
        for changes in info.data.get("bases", []):
            if strange := sorted(set(changes) - set(type(base).model_fields)):
                raise ValueError(f"bases changes {strange[0]!r}, which block base has not; remove it")
            type(base).model_validate(_merged(base.model_dump(mode="json"), changes))
        return base

    @field_validator("arms")
    @classmethod
    def _vanilla(cls, arms: dict[str, Arm]) -> dict[str, Arm]:
        lengths = {arm.rl_epochs for arm in arms.values() if arm.traces == "none"}
        if "vanilla" not in arms or arms["vanilla"].traces != "none" or arms["vanilla"].rl_epochs is not None:
            raise ValueError("an arm `vanilla: {traces: none}` is needed: every arm is compared with it; add it")
        for name, arm in arms.items():
            if arm.rl_epochs not in lengths:
                raise ValueError(
                    f"arm {name} has rl_epochs {arm.rl_epochs}, and no arm without traces has them, to which it would "
                    f"be compared; add one with {{traces: none, rl_epochs: {arm.rl_epochs}}}"
                )
        return arms

    @field_validator("arms")
    @classmethod
    def _unreserved(cls, arms: dict[str, Arm]) -> dict[str, Arm]:
        if "diversity" in arms:
            raise ValueError("an arm's results would lie in counts/diversity.json, which is not an arm's; rename it")
        return arms

    @field_validator("arms")
    @classmethod
    def _matches(cls, arms: dict[str, Arm]) -> dict[str, Arm]:
        for name, arm in arms.items():
            if arm.match is None:
                continue
            other = arms.get(arm.match.arm)
            if other is None or other.match is not None or other.traces == "none":
                raise ValueError(
                    f"arm {name} is matched to {arm.match.arm!r}, which is no arm with a training set of its own; "
                    "name an arm with traces and without match"
                )
        return arms

    @field_validator("compose")
    @classmethod
    def _judged(cls, compose: Compose, info: ValidationInfo) -> Compose:
        questions = info.data.get("questions")
        if len(set(compose.benchmarks)) < len(compose.benchmarks):
            raise ValueError("compose.benchmarks names a benchmark twice; remove the repeated one")
        for name in compose.benchmarks:
            if questions is not None and name not in questions.benchmarks:
                raise ValueError(
                    f"compose.benchmarks names {name!r}, which is not in questions.benchmarks; add it there"
                )
        return compose

    @field_validator("midtrain", "rl")
    @classmethod
    def _shared(cls, block: Midtrain | Rl, info: ValidationInfo) -> Midtrain | Rl:
        processes = info.data["machine"].processes if "machine" in info.data else 1
        if isinstance(block, Rl):  # the completions of a prompt stay together
            name, rows, units = "prompts", block.prompts, block.generations
        else:
            name, rows, units = "batch", block.batch, 1
        share = rows // processes * units
        if rows % processes or (block.micro_batch != "auto" and share % min(share, block.micro_batch)):
            raise ValueError(
                f"{info.field_name}.{name} {rows} cannot be shared by machine.processes {processes} in parts of "
                f"micro_batch {block.micro_batch}; change one of them"
            )
        return block

    @field_validator("rl")
    @classmethod
    def _whole_steps(cls, rl: Rl, info: ValidationInfo) -> Rl:
        """Of a set that is made here; of one that is read only the stage knows how many questions are left."""
        asked = info.data["questions"].rl if "questions" in info.data else None
        if isinstance(asked, WorldSet | EasySet) and (rest := asked.count % rl.prompts):
            raise ValueError(
                f"questions.rl.count {asked.count} is no multiple of rl.prompts {rl.prompts}: {rest} questions would "
                f"be left out of each epoch; set count to {asked.count - rest + rl.prompts}"
            )
        return rl

    @field_validator("reward")
    @classmethod
    def _asked(cls, reward: Reward, info: ValidationInfo) -> Reward:
        questions = info.data.get("questions")
        if questions is not None and reward.kind == "train" and questions.reward is None:
            raise ValueError("a reward model that is trained needs questions of its own; add questions.reward")
        return reward

    @field_validator("generate")
    @classmethod
    def _enough_heuristics(cls, generate: Generate, info: ValidationInfo) -> Generate:
        for name, arm in info.data.get("arms", {}).items():
            if arm.traces not in ("none", "unprompted", "teacher") and arm.n > generate.heuristics:
                raise ValueError(
                    f"generate.heuristics is {generate.heuristics} but arms.{name}.n is {arm.n}; raise it or lower n"
                )
        return generate

    @field_validator("select")
    @classmethod
    def _held_out(cls, select: Select, info: ValidationInfo) -> Select:
        reward = info.data.get("reward")
        if reward is not None and reward.kind != "train" and select.adherence != "none":
            raise ValueError(
                f"select.adherence {select.adherence} takes the held-out pairs of a reward model that is trained here, "
                f"and reward.kind is {reward.kind}; set it to none"
            )
        return select

    @field_validator("tables")
    @classmethod
    def _enough_samples(cls, tables: Tables, info: ValidationInfo) -> Tables:
        evaluate = info.data.get("evaluate")
        if len(set(tables.ks)) < len(tables.ks):
            raise ValueError("tables.ks names a k twice; remove the repeated one")
        if evaluate is not None and max(tables.ks) >= evaluate.samples:
            raise ValueError(
                f"tables.ks holds k={max(tables.ks)} but evaluate.samples is {evaluate.samples}; "
                "pass@k needs more samples than k: lower k or raise evaluate.samples"
            )
        return tables

    @field_validator("tables")
    @classmethod
    def _named_means(cls, tables: Tables, info: ValidationInfo) -> Tables:
        """A mean stands among the benchmarks in a table, under a name that must be no benchmark's."""
        if (questions := info.data.get("questions")) is None:
            return tables
        for name in ("mean", *tables.means):
            if name in questions.benchmarks or name in questions.transfer:
                raise ValueError(f"{name!r} is the name of a mean and of a question set; rename one")
        for name, members in tables.means.items():
            strange = [member for member in members if member not in questions.benchmarks]
            if strange or len(set(members)) < len(members):
                what = f"{strange[0]!r}, which is not in questions.benchmarks" if strange else "a benchmark twice"
                raise ValueError(f"means.{name} names {what}; correct it")
        return tables

    @property
    def numbers(self) -> range:
        """The numbers of the bases, from 1."""
        return range(1, len(self.bases) + 1)

    @property
    def runs(self) -> list[int]:
        """The training runs of an arm: every training seed on every base. Those of the first base are its seeds."""
        return [RUNS * (number - 1) + seed for number in self.numbers for seed in self.seeds]

    def base_settings(self, number: int) -> Base:
        """Block base as it is for one of the bases."""
        merged = _merged(self.base.model_dump(mode="json"), self.bases[number - 1])
        return type(self.base).model_validate(merged)

    def arm(self, name: str) -> Arm:
        """The settings of one arm; an unknown name is a one-line error that lists the known ones."""
        if name not in self.arms:
            raise UserError(f"{PARAMS_FILE}: no arm {name!r}; the arms are {', '.join(self.arms)}")
        return self.arms[name]


def _merged(block: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A block with some of its values changed, at any depth."""
    inner = {name: _merged(block[name], value) for name, value in changes.items() if isinstance(value, dict)}
    return {**block, **changes, **inner}


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml (or a profile)."""
    return yamlfile.load(path, Params)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Whatever an error in this block says of params.yaml is said of ``path``, from which its settings are."""
    try:
        yield
    except UserError as error:
        said = re.sub(rf"(?<![\w/.-]){re.escape(str(PARAMS_FILE))}", lambda _: str(path), str(error))
        raise UserError(said) from error


def flat(block: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    """A block's values under dotted names, for trackers and cards."""

    def walk(prefix: str, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return {k: v for key, item in value.items() for k, v in walk(f"{prefix}{key}.", item).items()}
        return {prefix.rstrip("."): value}

    return walk("", block.model_dump(mode="json") if isinstance(block, BaseModel) else block)
