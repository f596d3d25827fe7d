"""Judges: what counts as the use of a heuristic, and whether their own figures can be trusted."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polya_midtrain.errors import UserError
from polya_midtrain.labellers import validate
from polya_midtrain.labellers.contract import Chain
from polya_midtrain.labellers.cues import CueJudge
from polya_midtrain.labellers.opening import open_judge
from polya_midtrain.labellers.validate import Habits, Labelled
from polya_midtrain.labellers.world import WorldJudge
from polya_midtrain.params import Compose
from polya_midtrain.prompting import heuristics
from polya_midtrain.prompting.heuristics import Catalogue
from polya_midtrain.records import Graded, Question
from polya_midtrain.world import problems, traces
from polya_midtrain.world.families import PLANS

ROOT = Path(__file__).resolve().parents[1]
NAMES = list(PLANS)
FAULTLESS = {field.name: 0.0 for field in fields(Habits)} | {"single": 0.5}
QUESTION = "jar 3 5 2; hat 1 4 6"  # all digits of a part differ: no two plans are written alike
FORWARD, COMBINE = " jar forward 3+5=8 8+2=0:80", " hat combine 1+4=5 5*6=0 1*6=6:60"

WORLD, CUES = (Compose(judge=kind, benchmarks=["pairs"], labelled=1, seed=1) for kind in ("world", "cues"))

seeds = st.integers(0, 10**6)
plans = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4)


def judged(response: str, question: str = QUESTION) -> set[str]:
    [labels] = WorldJudge(NAMES).labels([Chain(question, response)])
    return set(labels)


def written(seed: int, names: Sequence[str]) -> Chain:
    problem = problems.sample(random.Random(seed), len(names))
    return Chain(problems.text(problem), traces.write(problem, names))


@given(seeds, plans)
def test_what_was_written_without_a_fault_is_found(seed: int, names: list[str]) -> None:
    chain = written(seed, names)
    assert judged(chain.response, chain.question) == set(names)


@given(seeds, plans, st.data())
def test_operations_outweigh_names(seed: int, names: list[str], data: st.DataObject) -> None:
    chain = written(seed, names)
    nameless = re.sub("|".join(f" {name}" for name in NAMES), "", chain.response)
    found = judged(nameless, chain.question)
    assert found <= set(names)  # fewer where digits coincide, and nothing else
    others = [data.draw(st.sampled_from([other for other in NAMES if other != name])) for name in names]
    wrong = chain.response
    for name, other in zip(names, others, strict=True):
        wrong = wrong.replace(f" {name} ", f" <{other}> ", 1)
    assert found <= judged(re.sub("[<>]", "", wrong), chain.question)


@given(seeds, plans, st.floats(0, 1))
def test_a_chain_that_is_cut_off_counts_for_the_parts_it_finished(seed: int, names: list[str], where: float) -> None:
    chain = written(seed, names)
    cut = chain.response[: int(where * len(chain.response))]
    finished = len(re.findall(r":\d", cut))
    assert judged(cut, chain.question) == set(names[:finished])


def test_a_chain_is_judged_apart_from_the_others() -> None:
    chains = [item.chain for item in validate.world_chains(NAMES, 60, [1, 2, 3], 1, Habits())]
    alone = [frozenset(judged(chain.response, chain.question)) for chain in chains]
    assert WorldJudge(NAMES).labels(chains) == alone
    assert WorldJudge(NAMES).labels(chains[::-1]) == alone[::-1]
    assert WorldJudge(NAMES).labels([]) == []


@pytest.mark.parametrize(
    ("response", "used"),
    [
        (FORWARD + COMBINE + r" \boxed{8060}", {"forward", "combine"}),
        (" jar forward 3+5=9 9+2=1:91", {"forward"}),  # a slip that is taken up
        (" jar forward 3+5=9 8+2=0:80", {"forward"}),  # and one that is not
        (" jar 3+5=9 8+2=0:80", set()),  # without the name that would speak for it
        (" jar forward 3+5=8 8+7=5:85", {"forward"}),  # one operand miscopied
        (" jar backward 1+6=7 7+4=1 1-9=2:12", set()),  # the digits do not hang together
        (" jar backward 6+4=0 0+1=1 1-6=5:15", {"backward"}),  # the other part's digits, rightly carried on
        (" jar 6+4=0 0+1=1 1-6=5:15", set()),
        (" jar combine 3+5=8 8+2=0:80", {"forward"}),  # the operations decide
        (" jar forward:80", set()),  # a name is no use
        (" jar forward 3+5=8:80", set()),  # an operation is missing
        (" jar forward 3+5=8 8+2=0", set()),  # no result yet
        (" jar forward 3+5=8 8+2=0 3-2=1:80", set()),  # one too many
        (" jar forward 3+5=8 8+2=00:80", set()),  # not the form
        (COMBINE + FORWARD, {"combine", "forward"}),  # parts in another order: the word says which
        (" jar forward 3+5=8 8+2=0:80 combine 1+4=5 5*6=0 1*6=6:60", {"forward", "combine"}),  # a word left out
        (" map forward 3+5=8 8+2=0:80", {"forward"}),  # of no part: name and form agree
        (" map 3+5=8 8+2=0:80", set()),
        ("", set()),
        (r" \boxed{8060}", set()),
    ],
)
def test_what_counts(response: str, used: set[str]) -> None:
    assert judged(response) == used


def test_where_two_plans_are_written_alike_the_name_decides() -> None:
    both = "4*3=2 4*3=2 2+2=4:24"  # a = b: distribute and regroup
    assert judged(f" fan distribute {both}", "fan 4 4 3") == {"distribute"}
    assert judged(f" fan regroup {both}", "fan 4 4 3") == {"regroup"}
    assert judged(f" fan {both}", "fan 4 4 3") == set()
    assert judged(f" fan forward {both}", "fan 4 4 3") == set()


def test_only_heuristics_of_the_catalogue_are_found() -> None:
    assert WorldJudge(["combine"]).labels([Chain(QUESTION, FORWARD + COMBINE)]) == [{"combine"}]


def test_a_question_of_another_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a part of the embedded world"):
        judged(FORWARD, "What is 3 + 5?")


def cue_labels(response: str, **cues: list[str]) -> set[str]:
    [labels] = CueJudge(cues).labels([Chain("restate let x be", response)])
    return set(labels)


def test_cues_are_whole_words_in_any_case_and_spacing() -> None:
    assert cue_labels("Let  x\nbe 3.", equation=["let x be"]) == {"equation"}
    assert cue_labels("Say it: RESTATE!", restate=["in other words", "restate"]) == {"restate"}
    assert cue_labels("A restatement, outlet x be", restate=["restate"], equation=["let x be"]) == set()
    assert cue_labels("part 1. In other words", decompose=["part 1."], restate=["in other words"]) == {
        "decompose",
        "restate",
    }
    assert cue_labels("part 12", decompose=["part 1."]) == set()  # no pattern, a phrase


def test_the_prose_catalogue_has_cues_that_its_own_examples_show() -> None:
    path = ROOT / "data/heuristics/polya.yaml"
    catalogue = heuristics.load(path)
    judge = open_judge(CUES, catalogue, path)
    for entry in catalogue.heuristics:
        for example in entry.exemplars:
            assert judge.labels([Chain(example.question, example.response)]) == [{entry.id}]
    for example in catalogue.plain:
        assert judge.labels([Chain(example.question, example.response)]) == [frozenset()]


def test_a_catalogue_that_a_judge_cannot_use_is_one_line() -> None:
    path = ROOT / "data/heuristics/world.yaml"
    catalogue = heuristics.load(path)
    assert open_judge(WORLD, catalogue, path).labels([Chain(QUESTION, FORWARD)]) == [{"forward"}]
    with pytest.raises(UserError, match=r"world\.yaml: heuristic 'forward' lists no cues.*add `cues:`"):
        open_judge(CUES, catalogue, path)
    other = Catalogue.model_validate({"heuristics": [{"id": "draw", "name": "", "idea": "", "instruction": "Draw."}]})
    with pytest.raises(UserError, match=r"x\.yaml: heuristic 'draw' is no plan of the embedded world"):
        open_judge(WORLD, other, Path("x.yaml"))


class ByName:
    """The judge that the world's is not: it believes every name."""

    def labels(self, chains: Sequence[Chain]) -> list[frozenset[str]]:
        return [frozenset(traces.plans_used(chain.response)) for chain in chains]


def figures(judge: WorldJudge | ByName, habits: Habits, count: int = 600) -> tuple[float, float]:
    """Precision and recall of all labels together."""
    found = validate.measure(judge, validate.world_chains(NAMES, count, [2, 3], 1, habits), NAMES)
    hits, invented, missed = (sum(column) for column in zip(*found["heuristics"].values(), strict=True))
    return hits / (hits + invented), hits / (hits + missed)


def test_faultless_writers_are_judged_without_fault() -> None:
    assert figures(WorldJudge(NAMES), Habits(**FAULTLESS)) == (1.0, 1.0)


def test_the_label_is_what_the_writer_did_and_not_what_can_be_read() -> None:
    judge = WorldJudge(NAMES)
    assert figures(judge, Habits(**FAULTLESS | {"left_out": 0.5}))[1] < 0.8
    assert figures(judge, Habits(**FAULTLESS | {"cut": 0.5}))[1] < 0.95
    assert figures(judge, Habits(**FAULTLESS | {"feigned": 0.5}))[0] < 1.0
    assert figures(judge, Habits(**FAULTLESS | {"misnamed": 0.5, "strayed": 0.5}))[1] < 0.95
    precision, recall = figures(judge, Habits(), 1500)
    assert 0.97 < precision < 1.0
    assert 0.9 < recall < 1.0


@pytest.mark.parametrize("fault", ["misnamed", "unworked", "feigned"])
def test_names_alone_mislead_where_operations_do_not(fault: str) -> None:
    habits = Habits(**FAULTLESS | {fault: 0.3})
    ours, names = figures(WorldJudge(NAMES), habits)[0], figures(ByName(), habits)[0]
    assert names < 0.85
    assert ours > 0.97


def test_labelled_chains_are_drawn_from_the_seed() -> None:
    draws = [validate.world_chains(NAMES[:4], 30, [2, 3, 4], seed, Habits()) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert {len(problems.parse(item.chain.question)) for item in draws[0]} == {2, 3, 4}
    assert set().union(*(item.used for item in draws[0])) == set(NAMES[:4])


def test_the_measure_counts_chains() -> None:
    class Fixed:
        def labels(self, chains: Sequence[Chain]) -> list[frozenset[str]]:
            return [frozenset(chain.response.split()) for chain in chains]

    pairs = [("a", "a"), ("a b", "a c"), ("b", ""), ("", "c"), ("a", "a b"), ("a b", "a b")]
    labelled = [Labelled(Chain("", found), frozenset(used.split())) for used, found in pairs]
    assert validate.measure(Fixed(), labelled, ["a", "b", "c"]) == {
        "chains": 6,
        "heuristics": {"a": [4, 0, 0], "b": [1, 1, 2], "c": [0, 2, 0]},
        "confused": {"b": {"c": 1, "": 1}, "": {"c": 1, "b": 1}},
        "composed": [2, 1, 0, 3],
    }


def test_prose_is_labelled_by_what_was_asked_for() -> None:
    rows = [
        Graded("q", name, sample, f"text {sample}", 5, "stop", -1.0, sample > 1, "", "")
        for sample, name in enumerate(["backward", "", "restate", "backward", "other", "restate"])
    ]
    asked = {"q": Question("q", "How many?", "4", "maths", "")}
    found = validate.intended(rows, asked, ["backward", "restate"], 10, 1)
    assert sorted((item.chain.response, *item.used) for item in found) == [
        ("text 0", "backward"),
        ("text 2", "restate"),
        ("text 3", "backward"),
        ("text 5", "restate"),
    ]
    assert {item.chain.question for item in found} == {"How many?"}
    few = [validate.intended(rows, asked, ["backward", "restate"], 2, seed) for seed in (1, 1, 5)]
    assert few[0] == few[1]
    assert all(len(chosen) == 2 for chosen in few)
