"""What to expect of the embedded world: the corpus's writers answer questions like the run's, and are counted.

The embedded base imitates its corpus, so the length of its answers is that of the writers. How far it gets in what they
do is taken from development runs on other seeds and problems (docs/world.md).
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from polya_midtrain.common import heuristics, prompts
from polya_midtrain.common.seeding import derive
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params, WorldSet
from polya_midtrain.plan.assume import Asked, Assumptions, Cell, judged, mean, scored, specs, training_sets
from polya_midtrain.world import corpus, pretrain, tokenizer
from polya_midtrain.world.families import DEFAULT_PLAN, PLANS
from polya_midtrain.world.problems import Part
from polya_midtrain.world.tasks import TASKS, Task

QUESTIONS = 48  # drawn of each set
DOCUMENTS = 400  # drawn of the corpus
# docs/world.md, development runs: 94% of parts are carried out as their plan says; asked by a plan, the base's plan
# fits 37% of parts, where 25% fit by chance and 48% of the writers' do: it changes plans half as often as they do.
CARRIED_OUT = 0.94
LEARNT = 0.5
TEACHER_FITS = 0.61
HABITS = corpus.Habits()
_TOKEN = re.compile("|".join(map(re.escape, sorted(tokenizer.vocabulary(), key=len, reverse=True))))


@dataclass(frozen=True)
class _Drawn:
    """Questions of a set with their task, their parts and the tokens of their bare prompts."""

    task: Task
    items: list[Any]
    parts: list[Sequence[Part]]
    prompts: list[int]


def assumptions(params: Params) -> Assumptions:
    """The writers' answers to questions like those of ``params``; they depend on nothing else."""
    drawn = {name: _draw(name, spec, params) for name, spec in specs(params).items()}
    mid = drawn["mid"]
    catalogue = heuristics.load(params.prompts.catalogue)
    names = _plans(catalogue.first(params.generate.heuristics), params)
    named = [_cells(_rng("right", name), mid, name) for name in names]
    fitting = {name: _lengths(one, _fitting(_rng("fitting", name), one)) for name, one in drawn.items()}
    bare = {name: _asked(drawn[name].prompts, fitting[name]) for name in drawn}
    rng = _rng("written")
    plain = _lengths(mid, [corpus.bare_chain(rng, parts, HABITS) for parts in mid.parts])
    led = mean([tokens(f" by {name}:\n") for name in names])  # which all prompts of a batch begin with
    written = [
        length
        for name in names
        for length in _lengths(mid, [corpus.named_chain(rng, parts, name, HABITS) for parts in mid.parts])
    ]
    generate, reward = (
        _asked([one + led for one in drawn[which].prompts], written)
        for which in ("mid", "reward" if "reward" in drawn else "mid")
    )
    counts = {name: spec.count for name, spec in specs(params).items() if isinstance(spec, WorldSet)}
    known = list(zip(mid.parts, mid.prompts, fitting["mid"], strict=True))
    chosen = [Cell(_bare_chance(parts), *lengths) for parts, *lengths in known]
    taught = [Cell((TEACHER_FITS * CARRIED_OUT) ** len(parts), *lengths) for parts, *lengths in known]
    return Assumptions(
        counts=counts,
        generate=replace(generate, shared=1 + led, instruction=1 + led),
        unprompted=_asked(mid.prompts, plain),
        distil=bare["mid"],
        reward=replace(reward, shared=1 + led, instruction=1 + led),
        bare=bare,
        document=_document(_rng("corpus")),
        sets=training_sets(params, counts["mid"], named, chosen, taught),
        scored=scored(params, counts["mid"], named),
        judged=judged(catalogue),
        sources=(
            f"lengths: {QUESTIONS} questions of each set, answered as the corpus's writers do (docs/world.md)",
            f"right answers: {CARRIED_OUT:.0%} of parts carried out, {LEARNT:.0%} of the writers' changes of plan "
            "learnt (development runs, docs/world.md)",
        ),
    )


def _rng(*what: str) -> random.Random:
    """Draws that depend on what they are for, and on nothing that was drawn before."""
    return random.Random(derive("plan", *what))


def _plans(names: Sequence[str], params: Params) -> Sequence[str]:
    """The heuristics, which the embedded base knows as plans."""
    strange = [name for name in names if name not in PLANS]
    if strange:
        raise UserError(
            f"{params.prompts.catalogue}: {strange[0]!r} is no plan of the embedded world; name its catalogue"
        )
    return names


def tokens(text: str) -> int:
    """What `world.tokenizer` makes of a text, without the seconds that its library takes to load.

    Its vocabulary is closed, and no token begins another way of cutting the world's texts: the longest that fits is it.
    """
    return len(_TOKEN.findall(text.replace(":\n", ": ")))


def _prompt(question: str, params: Params) -> int:
    """Tokens of a bare prompt: the template sets a mark before every turn and one where the answer begins."""
    return 1 + sum(1 + tokens(f" {turn['content']}") for turn in prompts.bare(question, params.prompts))


def _draw(name: str, spec: Any, params: Params) -> _Drawn:
    if not isinstance(spec, WorldSet):
        raise UserError(
            f"params.yaml: questions.{name.replace('/', '.')}: the embedded base reads questions of its "
            "world alone; set source to world, or take another base"
        )
    task, rng = TASKS[spec.task], _rng("questions", name)
    items = [task.sample(rng, spec.parts[place % len(spec.parts)], spec.pool) for place in range(QUESTIONS)]
    return _Drawn(
        task, items, [task.parts(item) for item in items], [_prompt(task.text(item), params) for item in items]
    )


def _lengths(drawn: _Drawn, chains: Sequence[Sequence[str]]) -> list[int]:
    """Tokens of the answers that work each item by a chain of plans, the end token included."""
    return [1 + tokens(drawn.task.write(item, chain)) for item, chain in zip(drawn.items, chains, strict=True)]


def _asked(prompts: Sequence[float], answers: Sequence[int]) -> Asked:
    """Prompts of which only the first mark is shared."""
    return Asked(mean(prompts), 1.0, mean(answers), max(answers))


def _fitting(rng: random.Random, drawn: _Drawn) -> list[list[str]]:
    return [[corpus.fitting(rng, part) for part in parts] for parts in drawn.parts]


def _cells(rng: random.Random, drawn: _Drawn, plan: str) -> list[Cell]:
    """The questions under a plan: a right answer works by it where it fits, and by another elsewhere."""
    fits = [[PLANS[plan].family == part.family for part in parts] for parts in drawn.parts]
    chains = [
        [plan if fit else corpus.fitting(rng, part) for fit, part in zip(row, parts, strict=True)]
        for row, parts in zip(fits, drawn.parts, strict=True)
    ]
    chances = [math.prod(CARRIED_OUT * (1.0 if fit else LEARNT * HABITS.switch) for fit in row) for row in fits]
    return list(map(Cell, chances, drawn.prompts, _lengths(drawn, chains)))


def _bare_chance(parts: Sequence[Part]) -> float:
    """That the base answers a question rightly that names no plan."""
    default = PLANS[DEFAULT_PLAN].family
    other = HABITS.latent * HABITS.latent_fit
    return math.prod(CARRIED_OUT * (other + (1.0 - HABITS.latent) * (part.family == default)) for part in parts)


def _document(rng: random.Random) -> float:
    """Mean tokens of a document of the corpus's mixture, its question included."""
    texts = []
    for _ in range(DOCUMENTS):
        task = rng.choices(list(pretrain.SHARES), list(pretrain.SHARES.values()))[0]
        plan, item, response = corpus.document(rng, rng.choice(pretrain.LENGTHS[task]), HABITS, task)
        texts.append((f" by {plan}:\n" if plan else " ") + TASKS[task].text(item) + response)
    return mean([tokens(text) for text in texts]) + 3  # the marks of question, answer and end
