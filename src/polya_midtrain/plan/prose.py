"""What to assume of published models and real questions before any is downloaded: rough values, stated here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from polya_midtrain.common import heuristics, prompts
from polya_midtrain.common.heuristics import Catalogue
from polya_midtrain.common.shapes import Model
from polya_midtrain.errors import UserError
from polya_midtrain.params import EasySet, HubSet, OwnFile, Params, QuestionSet, WorldSet
from polya_midtrain.plan.assume import (
    CHARACTERS,
    Asked,
    Assumptions,
    Cell,
    judged,
    mean,
    scored,
    specs,
    training_sets,
)
from polya_midtrain.plan.sizes import models
from polya_midtrain.sources import own


@dataclass(frozen=True, slots=True)
class Set:
    """A public set: its usable rows, the mean characters of a question, and tokens of an instruction-tuned answer."""

    rows: int
    question: float
    answer: float


# Rows and characters: counted in the published files, by the project's own readers and filters (`sources`); those of
# minerva and hmmt25 are the publishers' and ours. Answers are ours: of a few steps, of a competition, of a story.
SETS: Mapping[tuple[str, str], Set] = MappingProxyType(
    {
        ("gsm8k", "train"): Set(7473, 235, 180),
        ("gsm8k", "test"): Set(1319, 240, 180),
        ("math500", "test"): Set(500, 196, 400),
        ("aime24", "test"): Set(30, 334, 900),
        ("aime25", "test"): Set(30, 457, 900),
        ("amc23", "test"): Set(40, 269, 600),
        ("olympiadbench", "test"): Set(675, 313, 700),
        ("minerva", "test"): Set(272, 400, 600),
        ("hmmt25", "test"): Set(30, 350, 900),
        ("dapo", "train"): Set(14031, 281, 700),
        ("humaneval", "test"): Set(164, 451, 200),
        ("musr_murder", "test"): Set(250, 5526, 300),
        ("musr_object", "test"): Set(256, 5073, 300),
        ("musr_team", "test"): Set(250, 3409, 300),
    }
)
OTHERS = Set(0, 300, 500)  # sets that only params.yaml knows, as far as a file does not say it
EASY = Set(0, 90, 70)  # the project's own easy word problems
WORLD = Set(0, 25, 60)  # questions of the embedded world, which a model of prose may be asked, too
TURN = 5.0  # tokens that a chat template adds to a turn
HEADER = 25.0  # ... and to a conversation
CUT = 0.75  # of max_tokens: the mean completion where the limit, not the model, ends most of them
NEAR = 0.85  # of max_chars: the mean question where that leaves the short ones
# a + b of the Beta distribution of questions' chances: most are nearly always right, or nearly never.
SPREAD = 1.0
CELLS = 20  # quantiles that stand for it


def assumptions(params: Params) -> Assumptions:
    """Rough values for each set, model and limit of ``params``."""
    sizes = models(params)
    found = specs(params)
    counts = {name: _count(spec) for name, spec in found.items()}
    catalogue = heuristics.load(params.prompts.catalogue)
    names = catalogue.first(params.generate.heuristics)
    limits = dict.fromkeys(found, params.evaluate.max_tokens) | {"rl": params.rl.max_tokens}
    bare = {name: _asked(_bare(params, spec), 0.0, spec, sizes["base"], limits[name]) for name, spec in found.items()}
    reward = params.reward.sampling.max_tokens if params.reward.kind == "train" else 1
    mid = bare["mid"].prompt
    generated = _conditions(params, catalogue, names, "mid", sizes["base"], params.generate.max_tokens)
    plain = _conditions(params, catalogue, [""], "mid", sizes["base"], params.generate.max_tokens)
    taught = _conditions(params, catalogue, [""], "mid", sizes["teacher"], params.distil.max_tokens)
    cells = _cells(_solves(params, sizes["base"]), mid, generated.answer)
    named = [cells] * len(names)
    return Assumptions(
        counts=counts,
        generate=generated,
        unprompted=plain,
        distil=taught,
        reward=_conditions(
            params, catalogue, names, "reward" if params.questions.reward else "mid", sizes["base"], reward
        ),
        bare=bare,
        document=0.0,
        sets=training_sets(
            params, counts["mid"], named, cells, _cells(_solves(params, sizes["teacher"]), mid, taught.answer)
        ),
        scored=scored(params, counts["mid"], named),
        judged=judged(catalogue),
        sources=(
            f"rough values of ours: {CHARACTERS} characters a token, answers of each public set's usual length or "
            f"{CUT:.0%} of max_tokens (plan/prose.py)",
            "right answers: as many as the model's card gives for GSM8K, or we measured on easy ones (plan/sizes.py)",
            *(
                f"{model.name}: its weights from its config.json; its speed is not known and taken for that of a Llama "
                f"of this shape, its right answers for {model.solves:.0%}"
                for model in dict.fromkeys(sizes.values())
                if model.counted
            ),
        ),
    )


def _solves(params: Params, model: Model) -> float:
    """The share of the mid-training questions that a model answers rightly."""
    measured = model.easy if isinstance(params.questions.mid, EasySet) else None
    return model.solves if measured is None else measured


def _set(spec: QuestionSet) -> Set:
    if isinstance(spec, WorldSet):
        return WORLD
    if isinstance(spec, EasySet):
        return EASY
    if isinstance(spec, OwnFile):
        asked = own.load("questions", spec)
        return Set(len(asked), mean([len(question.question) for question in asked]), OTHERS.answer)
    if isinstance(spec, HubSet):
        if spec.limit is None:
            raise UserError(f"params.yaml: questions: the plan does not know the size of {spec.id}; give it a limit")
        return replace(OTHERS, rows=(spec.start or 0) + spec.limit)
    if (spec.source, spec.split) not in SETS:
        raise UserError(
            f"params.yaml: questions: the plan does not know the size of {spec.source}/{spec.split}; correct it or add "
            "its line to SETS in src/polya_midtrain/plan/prose.py"
        )
    return SETS[spec.source, spec.split]


def _count(spec: QuestionSet) -> int:
    """Questions of a set; ``max_chars`` leaves fewer than there are rows, how many is not known."""
    if isinstance(spec, WorldSet | EasySet):
        return spec.count
    left = max(0, _set(spec).rows - (spec.start or 0))
    return left if spec.limit is None else min(left, spec.limit)


def _characters(spec: QuestionSet) -> float:
    most = None if isinstance(spec, WorldSet | EasySet) else spec.max_chars
    usual = _set(spec).question
    return usual if most is None else min(usual, NEAR * most)


def _tokens(turns: Sequence[prompts.Message]) -> float:
    return HEADER + sum(TURN + len(turn["content"]) / CHARACTERS for turn in turns)


def _bare(params: Params, spec: QuestionSet) -> float:
    return _tokens(prompts.bare("x" * round(_characters(spec)), params.prompts))


def _asked(prompt: float, shared: float, spec: QuestionSet, model: Model, most: int) -> Asked:
    return Asked(prompt, shared, min(_set(spec).answer * model.wordy, CUT * most), most)


def _conditions(
    params: Params, catalogue: Catalogue, names: Sequence[str], which: str, model: Model, most: int
) -> Asked:
    """A set as some heuristics ask it, with their worked examples ("" for none): the mean over them."""
    spec = specs(params)[which]
    question = "x" * round(_characters(spec))
    whole = mean([_tokens(prompts.messages(question, name, params.prompts, catalogue)) for name in names])
    asked = _asked(whole, max(0.0, whole - len(question) / CHARACTERS), spec, model, most)
    instruction = mean([len(catalogue.get(name).instruction) if name else 0 for name in names]) / CHARACTERS
    return replace(asked, instruction=HEADER + instruction)


def _cells(solves: float, prompt: float, answer: float) -> list[Cell]:
    """Questions whose chances are spread as a Beta distribution of mean ``solves`` is."""
    from scipy.stats import beta

    quantiles = beta.ppf([(place + 0.5) / CELLS for place in range(CELLS)], SPREAD * solves, SPREAD * (1.0 - solves))
    return [Cell(float(chance), prompt, answer) for chance in quantiles]
