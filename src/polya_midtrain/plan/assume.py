"""What a plan has to assume of a run that has not been: how long prompts and answers are, and how many are right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb

from polya_midtrain.common.heuristics import Catalogue
from polya_midtrain.params import Arm, Params, QuestionSet

CHARACTERS = 3.6  # a token, of English with numbers
INSTRUCTIONS = 120.0  # tokens of an endpoint's task beside its list of heuristics


@dataclass(frozen=True, slots=True)
class Asked:
    """Prompts of one kind and their answers, in tokens.

    ``prompt``: of one prompt; ``shared``: how many of these all prompts of a batch have in common, worked examples say;
    ``answer``: the mean completion; ``longest``: of a batch's completions, for so long is the batch decoded;
    ``instruction``: the heuristic's, with which a reward model reads question and answer.
    """

    prompt: float
    shared: float
    answer: float
    longest: float
    instruction: float = 0.0

    @property
    def judged(self) -> float:
        """Tokens of one answer as a reward model reads it: no worked examples are with it."""
        return self.prompt - self.shared + self.instruction + self.answer


@dataclass(frozen=True, slots=True)
class Cell:
    """A question as one condition asks it: the chance that a sample is right, and tokens of question and answer."""

    chance: float
    question: float
    answer: float


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What an arm learns from: rows, and the mean tokens of a row's bare prompt and of its response."""

    rows: float
    prompt: float
    response: float


@dataclass(frozen=True)
class Assumptions:
    """Everything that `work.works` takes beside the settings.

    - ``counts``: questions of each set (mid, reward, rl, benchmarks/NAME, transfer/NAME);
    - ``generate``, ``unprompted``, ``distil``: the mid-training questions as the base and the teacher answer them;
      ``reward``: those of the reward model; ``bare``: every set as trained policies answer it;
    - ``document``: tokens of a text that the embedded base is trained on;
    - ``sets``: the training set of each arm; ``scored``: responses that the reward model reads;
    - ``judged``: tokens of an endpoint's instructions, with every chain that it judges;
    - ``sources``: in words, where all this comes from.
    """

    counts: Mapping[str, int]
    generate: Asked
    unprompted: Asked
    distil: Asked
    reward: Asked
    bare: Mapping[str, Asked]
    document: float
    sets: Mapping[str, TrainingSet]
    scored: float
    judged: float
    sources: tuple[str, ...]


def specs(params: Params) -> dict[str, QuestionSet]:
    """The question sets by name."""
    questions = params.questions
    return {
        "mid": questions.mid,
        **({"reward": questions.reward} if questions.reward else {}),
        "rl": questions.rl,
        **{f"benchmarks/{name}": spec for name, spec in questions.benchmarks.items()},
        **{f"transfer/{name}": spec for name, spec in questions.transfer.items()},
    }


def assumptions(params: Params) -> Assumptions:
    """By rehearsal where the base is the embedded one (`rehearsal`), by rough values elsewhere (`prose`)."""
    if params.base.kind == "world":
        from polya_midtrain.plan import rehearsal

        return rehearsal.assumptions(params)
    from polya_midtrain.plan import prose

    return prose.assumptions(params)


def training_sets(
    params: Params, count: int, named: Sequence[Sequence[Cell]], plain: Sequence[Cell], taught: Sequence[Cell]
) -> dict[str, TrainingSet]:
    """The training set that stage select would make for each arm, from what a sample of questions leads one to expect.

    ``named``: per heuristic in the catalogue's order the cells of the questions; ``plain``: without a heuristic;
    ``taught``: the teacher's. ``count``: the questions that there are.
    """
    samples = params.generate.samples
    found: dict[str, TrainingSet] = {}
    for name, arm in sorted(params.arms.items(), key=lambda item: item[1].match is not None):
        found[name] = _matched(arm, found, _own(arm, params, count, samples, named, plain, taught))
    return {name: found[name] for name in params.arms}


def scored(params: Params, count: int, named: Sequence[Sequence[Cell]]) -> float:
    """Responses worth scoring: all samples of a question under a heuristic that led to a right one."""
    samples = params.generate.samples
    return samples * sum(mean([some_right(cell.chance, samples) for cell in cells]) for cells in named) * count


def judged(catalogue: Catalogue) -> float:
    """Tokens in front of every chain that an endpoint judges: what it has to do, and the heuristics."""
    characters = sum(len(f"- {entry.id}: {entry.name}. {entry.idea}\n") for entry in catalogue.heuristics)
    return INSTRUCTIONS + characters / CHARACTERS


def _own(
    arm: Arm,
    params: Params,
    count: int,
    samples: int,
    named: Sequence[Sequence[Cell]],
    plain: Sequence[Cell],
    taught: Sequence[Cell],
) -> TrainingSet:
    if arm.traces == "none":
        return TrainingSet(0.0, 0.0, 0.0)
    if arm.traces in ("unprompted", "teacher"):
        own = arm.traces == "unprompted"
        cells, of = (plain, params.generate.unprompted) if own else (taught, params.distil.samples)
        return _weighed(cells, count, lambda chance: most_right(chance, of, arm.n))
    chosen = [cell for cells in named[: arm.n] for cell in cells]
    share = some_right if arm.traces == "heuristics" else some_of_both
    return _weighed(chosen, count * len(named[: arm.n]), lambda chance: share(chance, samples))


def _weighed(cells: Sequence[Cell], count: float, rows: Callable[[float], float]) -> TrainingSet:
    """``rows`` of each cell, and the mean lengths of those rows."""
    weights = [rows(cell.chance) for cell in cells]
    total = sum(weights)
    if not total:
        return TrainingSet(0.0, 0.0, 0.0)
    prompt = sum(weight * cell.question for weight, cell in zip(weights, cells, strict=True)) / total
    response = sum(weight * cell.answer for weight, cell in zip(weights, cells, strict=True)) / total
    return TrainingSet(count * total / len(cells), prompt, response)


def _matched(arm: Arm, sets: Mapping[str, TrainingSet], own: TrainingSet) -> TrainingSet:
    if arm.match is None:
        return own
    target = sets[arm.match.arm]
    if arm.match.rows:
        rows = target.rows
    else:
        rows = min(own.rows, target.rows * target.response / own.response if own.response else 0.0)
    return TrainingSet(rows, own.prompt, own.response)


def some_right(chance: float, samples: int) -> float:
    """The probability that one of ``samples`` or more is right."""
    return 1.0 - (1.0 - chance) ** samples


def some_of_both(chance: float, samples: int) -> float:
    """The probability that some samples are right and some are wrong."""
    return max(0.0, 1.0 - (1.0 - chance) ** samples - chance**samples)


def most_right(chance: float, samples: int, most: int) -> float:
    """The expected number of right samples, of which at most ``most`` count."""
    return sum(
        min(right, most) * comb(samples, right) * chance**right * (1.0 - chance) ** (samples - right)
        for right in range(1, samples + 1)
    )


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; 0 of none."""
    return sum(values) / len(values) if values else 0.0
