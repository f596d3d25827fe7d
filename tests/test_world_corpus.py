"""The embedded world: what its corpus shows, its mixture, and its catalogue."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import pytest

from polya_midtrain import params as settings
from polya_midtrain.params import Params, Prompts, WorldBase, WorldTeacher
from polya_midtrain.prompting import heuristics, prompts
from polya_midtrain.world import corpus, pretrain, problems, tokenizer, traces
from polya_midtrain.world.families import DEFAULT_PLAN, FAMILIES, PLANS
from polya_midtrain.world.problems import Problem
from polya_midtrain.world.tasks import TASKS

ROOT = Path(__file__).resolve().parents[1]
CATALOGUE = ROOT / "data/heuristics/world.yaml"
ENCODER = tokenizer.build()
SIGMAS = 4.5  # by which a simulated rate may miss; the seeds are fixed


def draw(count: int, lengths: tuple[int, ...] = (1, 2, 3, 4), pool: str = "seen") -> list[Problem]:
    rng = random.Random(8)
    return [problems.sample(rng, lengths[index % len(lengths)], pool) for index in range(count)]


def near(hits: int, of: int, chance: float) -> bool:
    """Whether ``hits`` of ``of`` is what a chance gives, by so many standard deviations."""
    assert of > 300
    return abs(hits - of * chance) <= SIGMAS * math.sqrt(of * chance * (1 - chance)) + 1e-9


HABITS = corpus.Habits(prompted=0.4, latent=0.45, latent_fit=0.6, switch=0.5, stray=0.3)


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


def test_habits_are_probabilities_and_leave_something_to_learn() -> None:
    habits = corpus.Habits()
    for name in ("prompted", "latent", "latent_fit", "switch", "stray"):
        assert 0 < getattr(habits, name) < 1
    # Unprompted, one style dominates; that is what mid-training is to widen.
    assert habits.latent < 0.2


def world_prompts() -> tuple[Prompts, heuristics.Catalogue]:
    params: Params = settings.load(ROOT / "profiles/tiny.yaml")
    return params.prompts, heuristics.load(CATALOGUE)


def test_the_corpus_reads_as_the_stages_prompt() -> None:
    config, catalogue = world_prompts()
    base = WorldBase(
        kind="world", hidden=8, layers=1, heads=1, drill_steps=20, steps=20, batch=4, learning_rate=0.1, seed=2
    )
    examples = pretrain.examples(base)
    assert len(examples) == 160
    leads: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    for index, example in enumerate(examples):
        text = ENCODER.decode(example.prompt)
        lead, _, question = text.removeprefix("<q>").removesuffix("<a>").strip().rpartition(": ")
        plan = lead.removeprefix("by ")
        leads[plan] += 1
        assert example.prompt == prompts.encode(ENCODER, prompts.messages(question, plan, config, catalogue))
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
    assert leads[""] > 10
    assert len(leads) > 12
    assert set(tasks) == set(TASKS)


def test_the_mixture_holds_each_task_at_its_share() -> None:
    base = WorldBase(
        kind="world", hidden=8, layers=1, heads=1, drill_steps=0, steps=1500, batch=1, learning_rate=0.1, seed=2
    )
    starts = [ENCODER.decode(example.prompt) for example in pretrain.examples(base)]
    assert sum(pretrain.SHARES.values()) == pytest.approx(1)
    for task, word in (("program", "code"), ("story", "who")):
        assert near(sum(f" {word} " in text for text in starts), len(starts), pretrain.SHARES[task])


def test_the_teacher_learns_from_writers_who_look_and_are_not_always_right() -> None:
    settings_ = WorldTeacher(kind="world", steps=60, batch=8, learning_rate=0.1, seed=2)
    chosen: Counter[bool] = Counter()
    for example in pretrain.careful_examples(settings_):
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
        base = WorldBase(
            kind="world", hidden=8, layers=1, heads=1, drill_steps=2, steps=2, batch=4, learning_rate=0.1, seed=seed
        )
        return [example.prompt + example.response for example in pretrain.examples(base)]

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_the_catalogue_lists_the_sixteen_plans_one_of_each_family_in_turn() -> None:
    catalogue = heuristics.load(CATALOGUE)
    ids = [heuristic.id for heuristic in catalogue.heuristics]
    assert len(ids) == 16
    assert set(ids) == set(PLANS)
    assert [heuristic.instruction for heuristic in catalogue.heuristics] == [f"by {name}:" for name in ids]
    for start in range(0, 16, 4):
        assert {PLANS[name].family for name in ids[start : start + 4]} == set(FAMILIES)
    assert ids[0] == DEFAULT_PLAN  # arm n1 learns the habit's own plan
