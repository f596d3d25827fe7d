"""What a run has to do, counted from its settings by the stages' own rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polya_midtrain.params import Arm, Params, RewardTraining, studies
from polya_midtrain.tables.registry import TABLES


@dataclass(frozen=True)
class Facts:
    """What no setting says: ``counts`` of each set's questions, of the training sets those of one base, tokens of mean
    ``answers`` by stage, ``rows`` that a base learns in each arm, and response tokens of one (``lengths``) if known."""

    counts: Mapping[str, int]
    answers: Mapping[str, float]
    rows: Mapping[str, float]
    lengths: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Work:
    """A stage's work for one arm (or table), all seeds together, on one model (base, teacher, reward; "" for none):
    ``samples`` drawn or read, and their ``tokens``; ``rows`` learned, and ``trained`` tokens of their responses."""

    stage: str
    arm: str = ""
    model: str = ""
    samples: float = 0.0
    tokens: float = 0.0
    rows: float = 0.0
    trained: float = 0.0
    checkpoints: int = 0

    @property
    def units(self) -> float:
        """What its seconds grow with: tokens, else rows or samples, else nothing."""
        return self.tokens + self.trained or self.rows or self.samples or 1.0


def works(params: Params, facts: Facts) -> list[Work]:
    """The whole run, stage by stage; those of an arm together."""
    bases, generate, answer = len(params.numbers), params.generate, facts.answers["generate"]
    mid = facts.counts["mid"] * bases
    drawn = float(mid * (generate.heuristics * generate.samples + generate.unprompted))
    taught = float(mid * params.distil.samples)
    judged = sum(facts.counts[f"benchmarks/{name}"] for name in params.compose.benchmarks) * params.evaluate.samples
    chains = judged * 2 * len(params.runs) * len(studies.main(params.arms)) + params.compose.labelled
    return [
        Work("code"),
        Work("questions"),
        Work("base", model="base", rows=_documents(params.base) * bases, checkpoints=bases),
        Work("prompts"),
        Work("teacher", model="teacher", rows=_documents(params.teacher) * bases, checkpoints=bases),
        _reward(params, facts),
        Work("generate", "", "base", drawn, drawn * answer),
        Work("distil", "", "teacher", taught, taught * facts.answers["distil"]),
        Work("grade", "", "", drawn, drawn * answer),
        Work("score", "", "reward", drawn, drawn * answer),
        Work("select"),
        *(work for arm in params.arms for work in _arm(params, facts, arm)),
        Work("compose", samples=float(chains)),
        Work("diversity"),
        *(Work("tables", table) for table in TABLES),
        *(Work(stage) for stage in ("claims", "figures", "page")),
    ]


def most_rows(params: Params, arm: Arm, mid: int) -> float:
    """The rows of an arm's training set if every trace were right, before they are matched to another arm's."""
    most = {"none": 0, "unprompted": params.generate.unprompted, "teacher": params.distil.samples}
    return float(mid * min(arm.n, most.get(arm.traces, arm.n)))


def _documents(model: object) -> float:
    """Of the world's corpus, that a model is trained on."""
    return float((getattr(model, "drill_steps", 0) + getattr(model, "steps", 0)) * getattr(model, "batch", 0))


def _reward(params: Params, facts: Facts) -> Work:
    settings, answer, bases = params.reward, facts.answers["generate"], len(params.numbers)
    if not isinstance(settings, RewardTraining):
        return Work("reward", model="reward", checkpoints=bases)
    drawn = float(facts.counts["reward"] * bases * params.generate.heuristics * settings.sampling.samples)
    rows = 2.0 * min(settings.pairs * bases, drawn) * settings.epochs
    return Work("reward", "", "reward", drawn, drawn * answer, rows, rows * answer, checkpoints=bases)


def _arm(params: Params, facts: Facts, arm: str) -> list[Work]:
    """Arms of the ablations answer the benchmarks after RL alone, others also the transfer sets, and before RL."""
    seeds, rl, asked = len(params.runs), params.rl, facts.counts["rl"]
    rows, length = facts.rows[arm] * params.midtrain.epochs * seeds, facts.lengths.get(arm, facts.answers["generate"])
    rolled = float(round(asked * params.arms[arm].epochs(rl.epochs) / rl.prompts) * rl.prompts * rl.generations * seeds)
    kinds = ("benchmarks/", "transfer/") if studies.in_main(params.arms[arm]) else ("benchmarks/",)
    sets = sum(count for name, count in facts.counts.items() if name.startswith(kinds))
    drawn, tokens = float(sets * params.evaluate.samples * seeds * len(kinds)), rolled * facts.answers["rl"]
    return [
        Work("midtrain", arm, "base", 0.0, 0.0, rows, rows * length, checkpoints=seeds * bool(rows)),
        Work("rl", arm, "base", rolled, tokens, rolled, tokens, checkpoints=seeds),
        Work("evaluate", arm, "base", drawn, drawn * facts.answers["evaluate"]),
        Work("modes", arm, "base", float(min(params.modes.questions, asked) * 2 * seeds)),
    ]
