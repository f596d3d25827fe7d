"""The embedded world: what its corpus shows, its mixture, and its catalogue."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from polya_midtrain import params as settings
from polya_midtrain.params import Habits, Params, WorldBase, WorldTeacher
from polya_midtrain.prompting import heuristics, prompts
from polya_midtrain.prompting.heuristics import Catalogue, Exemplar
from polya_midtrain.world import corpus, pretrain, problems, tokenizer, traces
from polya_midtrain.world.families import DEFAULT_PLAN, FAMILIES, PLANS
from polya_midtrain.world.problems import Problem
from polya_midtrain.world.tasks import TASKS

ROOT = Path(__file__).resolve().parents[1]
CATALOGUE = ROOT / "data/heuristics/world.yaml"
ENCODER = tokenizer.build()
TINY: Params = settings.load(ROOT / "profiles/tiny.yaml")
SIGMAS = 4.5  # by which a simulated rate may miss; the seeds are fixed


def draw(count: int, lengths: tuple[int, ...] = (1, 2, 3, 4), pool: str = "seen") -> list[Problem]:
    rng = random.Random(8)
    return [problems.sample(rng, lengths[index % len(lengths)], pool) for index in range(count)]


def near(hits: int, of: int, chance: float) -> bool:
    """Whether ``hits`` of ``of`` is what a chance gives, by so many standard deviations."""
    assert of > 300
    return abs(hits - of * chance) <= SIGMAS * math.sqrt(of * chance * (1 - chance)) + 1e-9


HABITS = Habits(prompted=0.4, latent=0.45, latent_fit=0.6, switch=0.5, stray=0.3)


def base(**changes: Any) -> WorldBase:
    """A small base with the habits of profile tiny."""
    small = {"hidden": 8, "layers": 1, "heads": 1, "drill_steps": 20, "steps": 20, "batch": 4, "seed": 2}
    assert isinstance(TINY.base, WorldBase)
    return TINY.base.model_copy(update=small | changes)


def test_a_bare_question_is_answered_by_habit() -> None:
    rng = random.Random(2)
    default: dict[bool, Counter[bool]] = {True: Counter(), False: Counter()}
    other: dict[bool, Counter[bool]] = {True: Counter(), False: Counter()}
    for problem in draw(3000):
        for part, plan in zip(problem, corpus.bare_chain(rng, problem, HABITS), strict=True):
            suits = PLANS[DEFAULT_PLAN].family == part.family
            default[suits][plan == DEFAULT_PLAN] += 1
            if plan != DEFAULT_PLAN:
                other[suits][PLANS[plan].family == part.family] += 1
    latent, fit = HABITS.latent, HABITS.latent_fit
    for suits, counts in default.items():
        # A latent choice may fall on the default plan too: one of 4 that fit where it fits, one of all 16 otherwise.
        chance = 1 - latent + latent * (fit * (0.25 if suits else 0) + (1 - fit) / 16)
        assert near(counts[True], counts.total(), chance)
        fits = fit * (0.75 if suits else 1) + (1 - fit) * (3 if suits else 4) / 16
        assert near(other[suits][True], other[suits].total(), fits / ((1 - chance) / latent))


def test_a_named_plan_is_kept_where_it_fits_and_sometimes_left_where_not() -> None:
    rng = random.Random(3)
    kept: dict[bool, Counter[bool]] = {True: Counter(), False: Counter()}
    for problem in draw(2500):
        named = rng.choice(list(PLANS))
        for part, plan in zip(problem, corpus.named_chain(rng, problem, named, HABITS), strict=True):
            fits = PLANS[named].family == part.family
            kept[fits][plan == named] += 1
            assert plan == named or PLANS[plan].family == part.family
    assert near(kept[True][True], kept[True].total(), 1 - HABITS.stray * 0.75)
    assert near(kept[False][True], kept[False].total(), 1 - HABITS.switch)


def test_documents_name_every_plan_alike_and_never_show_the_unseen() -> None:
    rng = random.Random(5)
    named: Counter[str] = Counter()
    for index in range(2500):
        plan, problem, response = corpus.document(rng, 1 + index % 4, HABITS)
        named[plan] += 1
        assert len(problem) == 1 + index % 4
        assert not problems.is_unseen(problem)
        assert traces.write(problem, traces.plans_used(response)) == response
    assert near(2500 - named[""], 2500, HABITS.prompted)
    del named[""]
    assert set(named) == set(PLANS)
    for count in named.values():
        assert near(count, named.total(), 1 / 16)


@pytest.mark.parametrize("name", ["tiny", "discovers"])
def test_the_bare_answers_of_the_corpus_leave_the_default_as_often_as_the_profile_says(name: str) -> None:
    habits = settings.load(ROOT / f"profiles/{name}.yaml").base.habits
    used: Counter[bool] = Counter()
    for example in pretrain.examples(base(drill_steps=0, steps=300, batch=8, habits=habits), 1):
        text = ENCODER.decode(example.prompt)
        if "by " not in text and "code" not in text and "who" not in text:
            used.update(plan == DEFAULT_PLAN for plan in traces.plans_used(ENCODER.decode(example.response)))
    # A latent choice falls on the default, too: one of 4 where it fits (39% of the parts), one of all 16 otherwise.
    again = habits.latent_fit * 0.39 / 4 + (1 - habits.latent_fit) / 16
    assert used[False] / used.total() == pytest.approx(habits.latent * (1 - again), abs=0.03)


@pytest.mark.parametrize("plan", PLANS)
def test_a_worked_example_is_one_part_that_the_plan_fits(plan: str) -> None:
    rng = random.Random(1)
    for _ in range(20):
        problem, response = corpus.example(rng, plan)
        assert len(problem) == 1
        assert traces.plans_used(response) == [plan]
        assert response.endswith(f"\\boxed{{{problems.answer(problem)}}}")


def test_the_corpus_reads_as_the_stages_prompt() -> None:
    """Bare, under a heuristic, and under one with a worked example, which in the corpus is another each time."""
    catalogue = heuristics.load(CATALOGUE)
    examples = pretrain.examples(base(steps=60), 1)
    assert len(examples) == 320
    shown = 0
    leads: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    for index, example in enumerate(examples):
        text = ENCODER.decode(example.prompt)
        *worked, asked = text.removesuffix("<a>").split("<q>")[1:]
        lead, _, question = asked.strip().rpartition(": ")
        plan = lead.removeprefix("by ")
        leads[plan] += 1
        entries = [
            entry.model_copy(update={"exemplars": [_exemplar(turn) for turn in worked]})
            for entry in catalogue.heuristics
            if entry.id == plan
        ]
        shown += bool(worked)
        config = TINY.prompts.model_copy(update={"shots": len(worked)})
        known = Catalogue(heuristics=entries or catalogue.heuristics)
        assert example.prompt == prompts.encode(ENCODER, prompts.messages(question, plan, config, known))
        assert len(worked) <= TINY.prompts.shots
        response = ENCODER.decode(example.response, skip_special_tokens=True)
        assert example.response == prompts.encode_response(ENCODER, response)
        assert ENCODER.unk_token_id not in example.prompt + example.response
        task = {"code": "program", "who": "story"}.get(question.partition(" ")[0], "chain")
        tasks[task] += 1
        if task == "chain":
            problem = problems.parse(question)
            assert response == traces.write(problem, traces.plans_used(response))
        if index < 80:
            assert task == "chain"
            assert len(problem) == 1
    assert 10 < shown < 60
    assert leads[""] > 10
    assert len(leads) > 12
    assert set(tasks) == set(TASKS)


def _exemplar(turn: str) -> Exemplar:
    question, answer = turn.split("<a>")
    return Exemplar(question=question.rpartition(": ")[2], response=answer.removesuffix("<end>"), answer="-")


def test_the_mixture_holds_each_task_at_its_share() -> None:
    made = pretrain.examples(base(drill_steps=0, steps=1500, batch=1), 1)
    starts = [ENCODER.decode(example.prompt) for example in made]
    assert sum(pretrain.SHARES.values()) == pytest.approx(1)
    for task, word in (("program", "code"), ("story", "who")):
        assert near(sum(f" {word} " in text for text in starts), len(starts), pretrain.SHARES[task])


def test_the_teacher_learns_from_writers_who_look_and_are_not_always_right() -> None:
    assert isinstance(TINY.teacher, WorldTeacher)
    chosen: Counter[bool] = Counter()
    for example in pretrain.careful_examples(TINY.teacher.model_copy(update={"steps": 60, "batch": 8}), 1):
        question = ENCODER.decode(example.prompt).removeprefix("<q> ").removesuffix("<a>")
        assert "by " not in question
        if question[:4] in ("code", "who "):
            continue
        used = traces.plans_used(ENCODER.decode(example.response))
        for part, plan in zip(problems.parse(question), used, strict=True):
            chosen[PLANS[plan].family == part.family] += 1
    assert 0.8 < chosen[True] / chosen.total() < 0.97


def test_the_corpus_depends_on_its_seed_alone() -> None:
    def made(seed: int) -> list[list[int]]:
        small = base(drill_steps=2, steps=2, seed=seed)
        return [example.prompt + example.response for example in pretrain.examples(small, 1)]

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_the_catalogue_lists_the_sixteen_plans_one_of_each_family_in_turn() -> None:
    catalogue = heuristics.load(CATALOGUE)
    ids = [heuristic.id for heuristic in catalogue.heuristics]
    assert len(ids) == 16
    assert set(ids) == set(PLANS)
    assert [heuristic.instruction for heuristic in catalogue.heuristics] == [f"by {name}:" for name in ids]
    for heuristic in catalogue.heuristics:
        for example in heuristic.exemplars:
            assert example.response == traces.write(problems.parse(example.question), [heuristic.id])
        assert len(heuristic.exemplars) >= TINY.prompts.shots
    for start in range(0, 16, 4):
        assert {PLANS[name].family for name in ids[start : start + 4]} == set(FAMILIES)
    assert ids[0] == DEFAULT_PLAN  # arm n1 learns the habit's own plan
