"""Stage modes: the next-token distribution where an approach is chosen, and what one policy-gradient step does to it.

The paper's theory (11): training on n correct approaches makes that distribution n-modal; a positive advantage can
raise all modes; a negative one moves mass from the sampled approach to the other modes.

Of each question one branch point is taken. Branch world: the prompt and the answer up to the word of a part drawn at
random, the parts before it worked by plans that fit; a plan's name comes next, and fits the part or not. Branch start:
the prompt alone; the approaches are the tokens above the threshold, and which of them fit is not known: they all count
as fitting, none as unfit.

A step moves all of the model's weights once along the gradient of ``direction . logits`` at that context, times the
learning rate: plain ascent, no optimiser, always from the same checkpoint. The directions are those of
`science.softmax`, so that a table of free logits, with the identity for the weights' Jacobian, is the closed form.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import Modes, Params
from polya_midtrain.prompting import prompts
from polya_midtrain.records import Question, of_base, read_records
from polya_midtrain.results.modes import COLUMNS, MOVED, ModesFile
from polya_midtrain.runtime import card, workers
from polya_midtrain.runtime.stage import stage
from polya_midtrain.science import softmax
from polya_midtrain.science.softmax import Array
from polya_midtrain.seeding import derive

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PHASES = {"before": paths.MIDTRAIN, "after": paths.RL}
DIGITS = 4  # significant ones, of what the file holds

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Branch:
    """A point of choice: token ids up to it, and the tokens that begin a fitting and an unfit approach, if known."""

    question: str
    context: list[int]
    fitting: list[int] | None
    unfit: list[int]


def run(params: Params, arm: str) -> None:
    """Write results/modes/ARM.json (`results.modes`)."""
    settings = params.modes
    params.arm(arm)
    source = paths.RL_QUESTIONS
    with stage(
        params,
        "modes",
        arm=arm,
        outputs={"modes.json": paths.MODES / f"{arm}.json"},
        unit="branch points",
        tasks=len(PHASES) * len(params.runs),
        seeds=params.runs,
    ) as this:
        policy.quiet()
        device = policy.device_of(params.machine.device)
        questions = draw(of_base(read_records(source, Question), 1), settings)  # the same ones for every base
        tasks = [(phase, seed) for phase in PHASES for seed in params.runs]

        def measure(task: tuple[str, int], report: workers.Report) -> list[list[Any]]:
            phase, seed = task
            model, tokenizer = policy.load(policy.resolve(PHASES[phase] / arm / f"seed-{seed}"), device)
            rows = []
            for done, question in enumerate(questions, 1):
                rng = random.Random(derive(settings.seed, "modes", question.id))  # alike for every policy
                branch = branch_at(question, params, tokenizer, rng)
                rows.append([phase, seed, question.id, *numbers(model, branch, settings, rng)])
                report(done, len(questions))
            return rows

        def need() -> float:
            encoder, rng = policy.load_tokenizer(paths.base(1)), random.Random(settings.seed)
            contexts = [branch_at(question, params, encoder, rng).context for question in questions]
            return policy.shape(paths.base(1)).stepped(max(map(len, contexts)))

        count = card.processes(params.machine, len(tasks), need)
        found = card.run_tasks(measure, tasks, params.machine, count, this.line.update)
        rows = [row for group in found for row in group]
        ModesFile(arm=arm, **settings.model_dump(), columns=list(COLUMNS), rows=rows).write(this.work / "modes.json")
        for phase in PHASES:
            for name in ("modes", "effective"):
                values = [row[COLUMNS.index(name)] for row in rows if row[0] == phase]
                this.numbers[f"{phase}/{name}"] = sum(values) / len(values)


def draw(questions: Sequence[Question], settings: Modes) -> list[Question]:
    """The questions to look at, in their order; the same for every arm and seed."""
    count = min(settings.questions, len(questions))
    chosen = random.Random(derive(settings.seed, "modes")).sample(range(len(questions)), count)
    return [questions[index] for index in sorted(chosen)]


def branch_at(question: Question, params: Params, tokenizer: PreTrainedTokenizerBase, rng: random.Random) -> Branch:
    """The branch point of a question; `UserError` where the settings ask for the embedded world and it is not of it."""
    context = prompts.encode(tokenizer, prompts.bare(question.question, params.prompts, question.kind))
    if params.modes.branch == "start":
        return Branch(question.id, context, None, [])
    from polya_midtrain.world import families, problems, traces

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    try:
        problem = problems.parse(question.question)
    except ValueError as error:
        raise UserError(f"{paths.RL_QUESTIONS}: {question.id}: {error}; set modes.branch to start") from error
    part = rng.randrange(len(problem))
    before = [traces.line(done, rng.choice(families.FAMILIES[done.family]).name) for done in problem[:part]]
    context += ids("".join(before) + f" {problem[part].word}")
    fits = {plan.name for plan in families.FAMILIES[problem[part].family]}
    names = {name: ids(f" {name}")[0] for name in families.PLANS}
    return Branch(
        question.id,
        context,
        [token for name, token in names.items() if name in fits],
        [token for name, token in names.items() if name not in fits],
    )


def numbers(model: Any, branch: Branch, settings: Modes, rng: random.Random) -> list[float | None]:
    """The columns after phase, seed and question, of one branch point of one model, which is left as it was."""
    from polya_midtrain.training.one_step import Network

    network = Network(model, branch.context)
    p = network.probabilities()
    above = p > settings.threshold
    fitting = above if branch.fitting is None else mask(len(p), branch.fitting)
    unfit = mask(len(p), branch.unfit)
    row: list[float | None] = [
        int(above.sum()),
        int((above & fitting).sum()),
        softmax.effective_number(p),
        float(p[fitting].sum()),
        float(p[unfit].sum()),
    ]
    rate = settings.learning_rate
    sampled = {True: pick(p, fitting, rng.random()), False: pick(p, unfit, rng.random())}
    for fits, signs in ((True, (1.0, -1.0)), (False, (-1.0,))):
        token = sampled[fits]
        if token is None:
            row += [None] * len(MOVED) * len(signs)
            continue
        direction = softmax.sampled_direction(p, token)
        for sign, after in zip(signs, network.steps(direction, [sign * rate for sign in signs]), strict=True):
            one = mask(len(p), [token])
            row += moves(p, after, one, fitting, unfit, above & fitting & ~one, sign * rate, direction)
    if branch.fitting is None:
        row += [None] * len(MOVED)
    else:
        factor = softmax.group_factor(float(p[fitting].sum()), settings.generations)
        direction = factor * softmax.expected_direction(p, fitting.astype(float))
        after = network.steps(direction, [rate])[0]
        row += moves(p, after, fitting, fitting, unfit, above & fitting, rate, direction)
    return [value if value is None or isinstance(value, int) else float(f"{value:.{DIGITS}g}") for value in row]


def moves(
    p: Array, after: Array, moved: Mask, fitting: Mask, unfit: Mask, modes: Mask, size: float, direction: Array
) -> list[float]:
    """The columns of one step from ``p`` to ``after``, in the model and in a table of free logits that moved as far."""
    try:
        table = softmax.step_until(p, direction, moved, float(after[moved].sum()))
    except ValueError:  # all the probability, or none, lies on what is to move: there is nothing to redistribute
        table = p

    def went(one: Array) -> list[float]:
        return [float((one - p)[group & ~moved].sum()) for group in (fitting, unfit)]

    return [
        float((after - p)[moved].sum()),
        *went(after),
        int((after > p)[modes].sum()),
        int(modes.sum()),
        float((softmax.step(p, direction, size) - p)[moved].sum()),
        *went(table),
        int((table > p)[modes].sum()),
    ]


def mask(size: int, tokens: Sequence[int]) -> Mask:
    """True at ``tokens``."""
    found = np.zeros(size, dtype=bool)
    found[list(tokens)] = True
    return found


def pick(p: Array, among: Mask, uniform: float) -> int | None:
    """A token of ``among`` drawn by its probability, from a uniform number; None where there is none to draw."""
    places = np.flatnonzero(among)
    if not len(places):
        return None
    cumulative = p[places].cumsum()
    return int(places[min(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"), len(places) - 1)])
