"""Stage modes: what it measures on a model that is a table of logits is the closed form; on others, the model's own."""

from __future__ import annotations

import copy
import json
import random
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import Arm, Machine, Modes, Params, Prompts
from polya_midtrain.records import Question, write_records
from polya_midtrain.results.modes import COLUMNS, MOVED, STEPS
from polya_midtrain.science import softmax
from polya_midtrain.stages import modes
from polya_midtrain.stages.modes import Branch
from polya_midtrain.training.one_step import Network
from polya_midtrain.world import families, problems

SEEDS = [1, 2]
SETTINGS = Modes(branch="world", questions=5, threshold=0.05, learning_rate=1e-3, generations=8, seed=3)


def parameters(**changes: Any) -> Params:
    """The blocks that the stage reads; the others are absent, so that reading one would fail."""
    settings = {
        "profile": "synthetic",
        "machine": Machine(device="cpu", workers=1),
        "seeds": SEEDS,
        "bases": [{}],
        "arms": {"vanilla": Arm(traces="none"), "n4": Arm(traces="heuristics", n=4)},
        "prompts": Prompts(catalogue=Path("world.yaml"), system="", suffix="", suffixes={}, shots=0, plain_shots=0),
        "modes": SETTINGS,
    }
    return Params.model_construct(**settings | changes)


@pytest.fixture
def project(tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Question]:
    """Seven questions, the base, and pointers to it; seed 2 after RL is a checkpoint of its own."""
    monkeypatch.chdir(tmp_path)
    rng = random.Random(1)
    asked = [
        Question(f"rl/{number}", problems.text(problem), problems.answer(problem), "maths", "world")
        for number, problem in enumerate(problems.sample(rng, 1 + number % 3) for number in range(7))
    ]
    write_records(paths.RL_QUESTIONS, Question, asked)
    shutil.copytree(tiny_policy, paths.base(1))
    for arm, seed in product(("vanilla", "n4"), SEEDS):
        policy.point(paths.MIDTRAIN / arm / f"seed-{seed}", paths.base(1))
        policy.point(paths.RL / arm / f"seed-{seed}", paths.base(1))
    shutil.rmtree(paths.RL / "n4/seed-2")
    model, tokenizer = policy.load(paths.base(1), "cpu")
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 1.1
    policy.save(model, tokenizer, paths.RL / "n4/seed-2", torch.float32)
    return asked


class Table(torch.nn.Module):
    """A model that is a table: its only weights are the logits."""

    def __init__(self, p: list[float]) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(p, dtype=torch.float64).log())
        self.device = torch.device("cpu")

    def forward(self, input_ids: torch.Tensor, use_cache: bool, logits_to_keep: int) -> Any:
        class Output:
            logits = self.logits[None, None]

        return Output


def named(row: list[Any]) -> dict[str, Any]:
    return dict(zip(COLUMNS[3:], row, strict=True))


def test_on_a_table_of_logits_the_measurement_is_the_closed_form() -> None:
    settings = SETTINGS.model_copy(update={"learning_rate": 0.7})
    p = [0.3, 0.2, 0.02, 0.4, 0.06, 0.02]
    branch = Branch("q", [0], [0, 1, 2], [3, 4])
    found = named(modes.numbers(Table(p), branch, settings, random.Random(5)))
    assert (found["modes"], found["fitting_modes"]) == (4, 2)
    assert found["effective"] == pytest.approx(softmax.effective_number(np.array(p)), rel=1e-3)
    assert (found["fitting"], found["unfit"]) == (pytest.approx(0.52), pytest.approx(0.46))
    for step, what in product(STEPS, ("fitting", "unfit", "risen", "moved")):
        ours, table = found[f"{step}.{what}"], found[f"{step}.table_{what}"]
        assert ours == pytest.approx(table, rel=2e-3, abs=1e-9), (step, what)
    assert found["positive.moved"] > 0 > found["negative.moved"]
    assert found["negative_unfit.moved"] < 0 < found["expected.moved"]
    # Who is sampled is not known here, but the others' changes add up to its own.
    for step in ("positive", "negative", "negative_unfit", "expected"):
        rest = found[f"{step}.moved"] + found[f"{step}.fitting"] + found[f"{step}.unfit"]
        assert abs(rest) < 0.1 * abs(found[f"{step}.moved"])  # the last token, which begins no approach
    assert found["expected.fitting"] == 0.0
    assert found["expected.others"] == 2


def test_a_branch_without_known_fits_has_two_steps_only() -> None:
    settings = SETTINGS.model_copy(update={"branch": "start"})
    found = named(modes.numbers(Table([0.5, 0.3, 0.16, 0.04]), Branch("q", [0], None, []), settings, random.Random(5)))
    assert (found["modes"], found["fitting_modes"], found["unfit"]) == (3, 3, 0.0)
    assert found["fitting"] == pytest.approx(0.96)
    assert found["positive.others"] == found["negative.others"] == 2
    assert {found[f"{step}.{what}"] for step in ("negative_unfit", "expected") for what in MOVED} == {None}


def test_a_step_of_the_network_is_one_of_plain_gradient_ascent(tiny_policy: Path) -> None:
    model, tokenizer = policy.load(tiny_policy, "cpu")
    context = tokenizer("<q> jar 3 5 2<a> jar", add_special_tokens=False)["input_ids"]
    token = tokenizer(" forward", add_special_tokens=False)["input_ids"][0]
    before = copy.deepcopy(model.state_dict())
    network = Network(model, context)
    p = network.probabilities()
    found = network.steps(softmax.sampled_direction(p, token), [0.01, -0.01])
    for advantage, after in zip((1.0, -1.0), found, strict=True):
        twin = copy.deepcopy(model)
        ascent = torch.optim.SGD(twin.parameters(), lr=0.01, maximize=True)
        ids = torch.tensor([context])
        (advantage * twin(input_ids=ids).logits[0, -1].log_softmax(-1)[token]).backward()
        ascent.step()
        expected = twin(input_ids=ids).logits[0, -1].softmax(-1).detach().numpy()
        np.testing.assert_allclose(after, expected, atol=2e-6)
        assert np.sign(after[token] - p[token]) == advantage
    assert all(torch.equal(model.state_dict()[name], weight) for name, weight in before.items())
    np.testing.assert_array_equal(network.probabilities(), p)


def test_a_branch_point_lies_where_the_plan_is_named(project: list[Question]) -> None:
    _, tokenizer = policy.load(paths.base(1), "cpu")
    parts = set()
    for question, seed in product(project, range(6)):
        branch = modes.branch_at(question, parameters(), tokenizer, random.Random(seed))
        text = tokenizer.decode(branch.context)
        asked, answer = text.split("<a>")
        assert asked == f"<q> {question.question}"
        problem = problems.parse(question.question)
        done = answer.count(":")
        part = problem[done]
        parts.add(done)
        assert answer.endswith(f" {part.word}")
        # What is answered so far is right, so that only this choice is open.
        assert "".join(piece[:2] for piece in answer.split(":")[1:]) == problems.answer(problem)[: 2 * done]
        names = {tokenizer.decode([token]).strip() for token in branch.fitting or []}
        assert names == {plan.name for plan in families.FAMILIES[part.family]}
        assert {tokenizer.decode([token]).strip() for token in branch.unfit} == set(families.PLANS) - names
    assert parts == {0, 1, 2}


def test_every_phase_seed_and_question_is_measured_alike(project: list[Question]) -> None:
    modes.run(parameters(), "n4")
    document = json.loads((paths.MODES / "n4.json").read_text())
    assert document["arm"] == "n4"
    assert {name: document[name] for name in SETTINGS.model_dump()} == SETTINGS.model_dump()
    assert document["columns"] == list(COLUMNS)
    rows = {tuple(row[:3]): row[3:] for row in document["rows"]}
    questions = {key[2] for key in rows}
    assert len(questions) == 5
    assert list(rows) == [
        (phase, seed, question.id)
        for phase, seed in product(("before", "after"), SEEDS)
        for question in project
        if question.id in questions
    ]
    for question in questions:
        same = [rows["before", 1, question], rows["before", 2, question], rows["after", 1, question]]
        assert same[0] == same[1] == same[2]  # three pointers to the base
        assert rows["after", 2, question] != same[0]
        found = named(same[0])
        assert 1 <= found["effective"] <= 200
        assert found["fitting_modes"] <= min(4, found["modes"])
        assert None not in same[0]
    metrics = json.loads(Path("results/metrics/modes@n4.json").read_text())
    assert metrics["before/modes"] == pytest.approx(np.mean([rows["before", 1, q][0] for q in questions]))
    text = (paths.MODES / "n4.json").read_bytes()
    modes.run(parameters(machine=Machine(device="cpu", workers=2)), "n4")
    assert (paths.MODES / "n4.json").read_bytes() == text
    modes.run(parameters(), "vanilla")
    vanilla = json.loads((paths.MODES / "vanilla.json").read_text())["rows"]
    assert vanilla[:5] == document["rows"][:5]  # the same points, and the same samples from the same probabilities


def test_all_questions_are_taken_where_there_are_fewer_and_foreign_ones_refused(project: list[Question]) -> None:
    many = SETTINGS.model_copy(update={"questions": 50})
    assert modes.draw(project, many) == project
    write_records(paths.RL_QUESTIONS, Question, [Question("rl/0", "What is 2 + 2?", "4", "maths", "gsm8k")])
    with pytest.raises(UserError, match=r"rl.parquet: rl/0: .*; set modes.branch to start"):
        modes.run(parameters(), "n4")
    modes.run(parameters(modes=SETTINGS.model_copy(update={"branch": "start"})), "n4")


def test_sampling_follows_the_probabilities_among_the_chosen() -> None:
    p, among = np.array([0.1, 0.6, 0.2, 0.1]), np.array([True, False, True, True])
    drawn = [modes.pick(p, among, (number + 0.5) / 400) for number in range(400)]
    assert [drawn.count(token) for token in range(4)] == [100, 0, 200, 100]
    assert modes.pick(p, among, 0.999999999) == 3
    assert modes.pick(p, np.zeros(4, dtype=bool), 0.5) is None
