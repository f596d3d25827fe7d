"""The embedded world: its mathematics, its problems, how answers are written, and its tasks out of domain."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polya_midtrain import grading
from polya_midtrain import params as settings
from polya_midtrain.errors import UserError
from polya_midtrain.params import WorldSet
from polya_midtrain.prompting import prompts
from polya_midtrain.stages import questions
from polya_midtrain.world import families, pretrain, problems, programs, stories, tokenizer, traces
from polya_midtrain.world.families import DEFAULT_PLAN, FAMILIES, PLANS, TYPES
from polya_midtrain.world.problems import Part, Problem
from polya_midtrain.world.tasks import TASKS

ROOT = Path(__file__).resolve().parents[1]
CATALOGUE = ROOT / "data/heuristics/world.yaml"
POOLS = ["seen", "unseen", "pure", "composite", "exception"]

parts_ = st.builds(
    Part, st.sampled_from(sorted(TYPES)), st.tuples(*[st.integers(min_value=0, max_value=9) for _ in range(3)])
)
problems_ = st.lists(parts_, min_size=1, max_size=4).map(tuple)


def draw(count: int, lengths: tuple[int, ...] = (1, 2, 3, 4), pool: str = "seen") -> list[Problem]:
    rng = random.Random(8)
    return [problems.sample(rng, lengths[index % len(lengths)], pool) for index in range(count)]


# Mathematics


def test_sixteen_plans_are_four_routes_to_each_of_four_functions() -> None:
    assert len(PLANS) == 16
    assert [len(plans) for plans in FAMILIES.values()] == [4, 4, 4, 4]
    for digits in itertools.product(range(10), repeat=3):
        for plans in FAMILIES.values():
            assert len({plan.run(digits)[1] for plan in plans}) == 1
    for plans in FAMILIES.values():  # four ways of working, not one under four names
        assert len({plan.steps for plan in plans}) == 4


def test_the_functions_are_those_of_the_documentation() -> None:
    functions: dict[str, Callable[[int, int, int], tuple[int, int]]] = {
        "A": lambda a, b, c: (a + b, a + b + c),
        "B": lambda a, b, c: (a - b, a - b + c),
        "C": lambda a, b, c: (a * c, (a + b) * c),
        "D": lambda a, b, c: ((a - b) * c, a * c),
    }
    for digits in itertools.product(range(10), repeat=3):
        for family, function in functions.items():
            expected = "".join(str(value % 10) for value in function(*digits))
            assert {plan.run(digits)[1] for plan in FAMILIES[family]} == {expected}


def test_plans_of_another_family_are_wrong_on_every_sampled_part() -> None:
    for problem in draw(400):
        for part in problem:
            right = families.answer(part.word, part.digits)
            for plan in PLANS.values():
                assert (plan.run(part.digits)[1] == right) is (plan.family == part.family)


def test_a_type_has_a_family_and_another_one_for_its_exceptions() -> None:
    assert {kind.family for kind in TYPES.values()} == set(FAMILIES)
    for kind in TYPES.values():
        assert kind.exception in set(FAMILIES) - {kind.family}
    # No single plan is right for most problems: the largest family holds under half of the types.
    assert max(Counter(kind.family for kind in TYPES.values()).values()) < len(TYPES) / 2
    for problem in draw(200):
        for part in problem:
            kind = TYPES[part.word]
            assert part.family == (kind.exception if sum(part.digits) % 5 == 0 else kind.family)


# Problems


@given(problems_)
def test_a_question_reads_back_as_its_problem(problem: Problem) -> None:
    assert problems.parse(problems.text(problem)) == problem


@pytest.mark.parametrize(
    "text", ["", "jar 3 5", "jar 3 5 2;rod 1 4 6", "jug 3 5 2", "jar 3 5 12", "jar 3 5 x", "jar ² 1 1", "jar ٣ 1 1"]
)
def test_other_text_is_no_problem(text: str) -> None:
    with pytest.raises(ValueError, match="not a part of the embedded world"):
        problems.parse(text)


@given(problems_)
def test_the_answer_is_two_digits_a_part(problem: Problem) -> None:
    answer = problems.answer(problem)
    assert answer == "".join(families.answer(part.word, part.digits) for part in problem)
    assert len(answer) == 2 * len(problem)


@pytest.mark.parametrize("pool", POOLS)
def test_a_pool_holds_what_its_name_says(pool: str) -> None:
    for problem in draw(150, (2, 3), pool):
        pairs = {frozenset(pair) for pair in itertools.combinations([part.word for part in problem], 2)}
        assert bool(pairs & problems.UNSEEN_PAIRS) is (pool == "unseen")
        if pool == "pure":
            assert len({part.family for part in problem}) == 1
        if pool == "composite":
            assert all(left.family != right.family for left, right in itertools.pairwise(problem))
        if pool == "exception":
            assert sum(sum(part.digits) % 5 == 0 for part in problem) >= len(problem) / 2


def test_unseen_pairs_are_a_fifth_of_the_mixed_ones_and_touch_most_types() -> None:
    mixed = [pair for pair in itertools.combinations(TYPES, 2) if TYPES[pair[0]].family != TYPES[pair[1]].family]
    assert len(problems.UNSEEN_PAIRS) == len(mixed) // 5
    assert {frozenset(pair) for pair in mixed} > problems.UNSEEN_PAIRS
    assert len({word for pair in problems.UNSEEN_PAIRS for word in pair}) >= len(TYPES) - 2


@pytest.mark.parametrize("name", ["smoke", "tiny"])
def test_the_sets_of_a_profile_are_disjoint_and_training_never_shows_the_unseen(name: str) -> None:
    asked = settings.load(ROOT / f"profiles/{name}.yaml").questions
    specs = {part: getattr(asked, part) for part in questions.TRAINING}
    for kind in questions.EVALUATED:
        specs |= {f"{kind}/{part}": spec for part, spec in getattr(asked, kind).items()}
    sets, _ = questions.build(specs, asked.seed)
    rows = [row for found in sets.values() for row in found]
    assert len({row.question for row in rows}) == len({row.id for row in rows}) == len(rows)
    for part, spec in specs.items():
        assert len(sets[part]) == spec.count
        if spec.task != "chain":
            assert part.startswith("transfer/")
            continue
        found = [problems.parse(row.question) for row in sets[part]]
        assert [problems.answer(problem) for problem in found] == [row.answer for row in sets[part]]
        assert all(problems.in_pool(problem, spec.pool) for problem in found)
        assert [len(problem) for problem in found[: len(spec.parts)]] == spec.parts
        if part in questions.TRAINING:
            assert not any(problems.is_unseen(problem) for problem in found)


def test_more_problems_than_there_are_is_an_error_and_not_a_search_without_end() -> None:
    taken: set[Problem] = set()
    with pytest.raises(UserError, match=r"^params.yaml: questions: .*1 parts in pool 'exception'; lower count"):
        list(problems.distinct(random.Random(1), [1], "exception", 5000, taken, problems.sample))
    assert len(taken) > 500  # so nearly all that there are were found before


# Answers as text


def chain_for(problem: Problem, rng: random.Random) -> list[str]:
    return [rng.choice(FAMILIES[part.family]).name for part in problem]


def test_an_answer_by_fitting_plans_is_right_and_by_any_other_chain_wrong() -> None:
    rng = random.Random(4)
    items, expected = [], []
    for problem in draw(120):
        gold = problems.answer(problem)
        fitting = chain_for(problem, rng)
        other = [rng.choice(list(PLANS)) for _ in problem]
        items += [(traces.write(problem, chain), gold, "maths") for chain in (fitting, other)]
        fits = all(PLANS[plan].family == part.family for plan, part in zip(other, problem, strict=True))
        expected += [True, fits]
    assert [verdict.correct for verdict in grading.grade_many(items, 1)] == expected
    assert False in expected


def test_an_answer_shows_its_operations_and_they_are_right() -> None:
    rng = random.Random(4)
    for problem in draw(60):
        text = traces.write(problem, [rng.choice(list(PLANS)) for _ in problem])
        operations = [token for token in text.split() if "=" in token]
        assert len(operations) >= 2 * len(problem)
        for operation in operations:
            left, op, right, _, result = operation.split(":")[0]
            assert families.apply(int(left), op, int(right)) == int(result)


@given(problems_, st.randoms(use_true_random=False))
def test_the_plans_of_an_answer_can_be_read_off(problem: Problem, rng: random.Random) -> None:
    chain = [rng.choice(list(PLANS)) for _ in problem]
    assert traces.plans_used(traces.write(problem, chain)) == chain


def test_words_of_parts_are_no_plans() -> None:
    assert not set(TYPES) & set(PLANS)
    assert traces.plans_used(" jar rod nonsense 3+5=8") == []


# Tasks out of domain


def test_a_program_passes_its_hidden_tests_exactly_if_every_plan_fits_its_type() -> None:
    rng = random.Random(6)
    items, expected = [], []
    for index in range(24):
        program = programs.sample(rng, 1 + index % 3)
        fitting = [rng.choice(FAMILIES[TYPES[word].family]).name for word in program.words]
        other = [rng.choice(list(PLANS)) for _ in program.words]
        for chain in (fitting, other):
            items.append((programs.write(program, chain), programs.gold(program), TASKS["program"].kind))
            expected.append(
                all(PLANS[plan].family == TYPES[word].family for plan, word in zip(chain, program.words, strict=True))
            )
            assert traces.plans_used(items[-1][0]) == chain
    assert [verdict.correct for verdict in grading.grade_many(items, 1)] == expected
    assert False in expected


def test_a_programs_tests_show_no_exception_and_are_always_the_same() -> None:
    program = programs.Program(("jar", "hat"))
    assert programs.gold(program) == programs.gold(program) != programs.gold(programs.Program(("hat", "jar")))
    called = re.findall(r"candidate\((\d), (\d), (\d)\) == \((\d), (\d), (\d), (\d)\)", programs.gold(program))
    assert len(called) == len(set(called)) == programs.TESTS
    for *digits, u, v, p, q in called:
        a, b, c = (int(digit) for digit in digits)
        assert (a + b + c) % 5
        assert (int(u), int(v)) == ((a + b) % 10, (a + b + c) % 10)  # jar: family A
        assert (int(p), int(q)) == (a * c % 10, (a + b) * c % 10)  # hat: family C


@pytest.mark.parametrize("pool", ["seen", "unseen", "composite"])
def test_programs_and_stories_keep_to_their_pool(pool: str) -> None:
    rng = random.Random(7)
    for task in ("program", "story"):
        for _ in range(60):
            item = TASKS[task].sample(rng, 3, pool)
            assert problems.in_pool(TASKS[task].parts(item), pool)
            if pool != "unseen":
                assert not problems.is_unseen(TASKS[task].parts(item))


def test_a_program_has_no_exceptions() -> None:
    with pytest.raises(UserError, match="a program shows no digits"):
        programs.sample(random.Random(1), 2, "exception")


def test_a_story_has_one_right_choice_and_it_needs_the_parts_worked_out() -> None:
    rng = random.Random(8)
    by_default, letters = Counter[str](), Counter[str]()
    items, expected = [], []
    for index in range(1500):
        story = stories.sample(rng, 1 + index % 2)
        gold = json.loads(stories.gold(story))
        letters[gold["answer"]] += 1
        right = gold["choices"]["ABC".index(gold["answer"])]
        assert right == problems.answer(story.parts)
        assert len(set(story.said)) == len(set(story.people)) == 3
        assert list(story.said) == gold["choices"]
        for chain in (chain_for(story.parts, rng), [rng.choice(list(PLANS)) for _ in story.parts]):
            items.append((stories.write(story, chain), stories.gold(story), TASKS["story"].kind))
            expected.append(
                all(PLANS[plan].family == part.family for plan, part in zip(chain, story.parts, strict=True))
            )
        said = stories.write(story, [DEFAULT_PLAN] * len(story.parts)).split("boxed{")[1].rstrip("}")
        by_default["right" if said == right else "wrong" if said in story.said else "nobody"] += 1
    assert [verdict.correct for verdict in grading.grade_many(items, 1)] == expected
    for letter in "ABC":
        assert letters[letter] / letters.total() == pytest.approx(1 / 3, abs=0.05)
    # The default plan's answer is always among the choices, and mostly wrong.
    assert by_default["nobody"] == 0
    assert 200 < by_default["right"] < 750


ENCODER = tokenizer.build()


@given(problems_, st.integers(0, 10**6))
def test_text_survives_the_tokenizer(problem: Problem, seed: int) -> None:
    rng = random.Random(seed)
    answer = traces.write(problem, [rng.choice(list(PLANS)) for _ in problem])
    plan = rng.choice(list(PLANS))
    question = f"<q> by {plan}: {problems.text(problem)}<a>"
    others = []
    for task in ("program", "story"):
        item = TASKS[task].sample(rng, rng.randint(2, 3), "seen")
        others += [f"<q> {TASKS[task].text(item)}<a>", TASKS[task].write(item, [plan] * len(TASKS[task].parts(item)))]
    for text in (answer, question, question + answer + tokenizer.END, *others):
        ids = ENCODER(text)["input_ids"]
        assert ENCODER.unk_token_id not in ids
        assert ENCODER.decode(ids) == text
    assert ENCODER.decode(ENCODER(question + answer + tokenizer.END)["input_ids"], skip_special_tokens=True) == (
        question.removeprefix("<q>").removesuffix("<a>") + answer
    )


def test_the_saved_tokenizer_is_the_same(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    ENCODER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    turns = [{"role": "user", "content": "by reduce:\njar 3 5 2"}]
    assert loaded.get_vocab() == ENCODER.get_vocab() == {token: i for i, token in enumerate(tokenizer.vocabulary())}
    assert (loaded.eos_token, loaded.pad_token) == (tokenizer.END, tokenizer.PAD)
    assert prompts.encode(loaded, turns) == prompts.encode(ENCODER, turns)


@pytest.mark.parametrize("name", ["smoke", "tiny"])
def test_the_longest_answer_fits_every_limit(name: str) -> None:
    """A right answer is never cut off: not in pretraining, training or sampling."""
    params = settings.load(ROOT / f"profiles/{name}.yaml")
    longest = max(PLANS, key=lambda plan: len(PLANS[plan].steps))
    part = Part("bell", (9, 9, 9))

    def turns(parts: int, lead: str) -> tuple[dict[str, str], dict[str, str]]:
        answer = traces.write((part,) * parts, [longest] * parts)
        question = lead + problems.text((part,) * parts)
        return {"role": "user", "content": question}, {"role": "assistant", "content": answer}

    def sizes(parts: int, lead: str, shots: int = 0) -> tuple[int, int]:
        asked, answer = turns(parts, lead)
        prompt = prompts.encode(ENCODER, [*turns(1, lead) * shots, asked])
        return len(prompt), len(prompts.encode_response(ENCODER, answer["content"]))

    def parts_of(*specs: object) -> int:
        return max(count for spec in specs if isinstance(spec, WorldSet) for count in spec.parts)

    shots = params.prompts.shots
    prompt, answer = sizes(max(pretrain.LENGTHS["chain"]), f"by {longest}:\n", max(1, shots))
    assert prompt + answer <= pretrain.POSITIONS
    asked = params.questions
    prompt, answer = sizes(parts_of(asked.mid), f"by {longest}:\n", shots)
    assert answer <= params.generate.max_tokens
    assert prompt + params.generate.max_tokens <= pretrain.POSITIONS
    prompt, answer = sizes(parts_of(asked.mid), "")
    assert prompt + answer <= params.midtrain.max_length
    prompt, answer = sizes(parts_of(asked.rl), "")
    assert prompt <= params.rl.max_prompt_tokens
    assert answer <= params.rl.max_tokens
    assert sizes(parts_of(*asked.benchmarks.values()), "")[1] <= params.evaluate.max_tokens
    assert sizes(parts_of(asked.mid), "")[1] <= params.distil.max_tokens
    for task in ("program", "story"):
        specs = [spec for spec in asked.transfer.values() if isinstance(spec, WorldSet) and spec.task == task]
        item = TASKS[task].sample(random.Random(1), parts_of(*specs), "seen")
        answer = len(prompts.encode_response(ENCODER, TASKS[task].write(item, [longest] * parts_of(*specs))))
        prompt = len(prompts.encode(ENCODER, [{"role": "user", "content": TASKS[task].text(item)}]))
        assert answer <= params.evaluate.max_tokens
        assert prompt + answer <= pretrain.POSITIONS
    assert isinstance(params.reward, settings.RewardTraining)
    prompt, answer = sizes(parts_of(asked.reward), f"by {longest}:\n")
    assert answer <= params.reward.sampling.max_tokens
    assert prompt + answer <= params.reward.max_length


def test_a_pool_with_next_to_nothing_in_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve parts of which no two neighbours are of one family, nor any two of an unseen pair: one in thousands."""
    monkeypatch.setattr(problems, "REJECTED", 5)
    for task in ("chain", "program"):
        with pytest.raises(UserError, match="a pool has next to no problems of 12 parts; give fewer parts"):
            TASKS[task].sample(random.Random(1), 12, "composite")
