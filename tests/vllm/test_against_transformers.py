"""The two engines on one checkpoint: the same greedy text, and pass@k that differs by no more than chance."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from devices import alike, has_vllm
from polya_midtrain import grading
from polya_midtrain.checkpoints import policy
from polya_midtrain.engine import Engine, SamplingParams, heads
from polya_midtrain.engine.opening import open_engine
from polya_midtrain.params import Machine, Prompts
from polya_midtrain.prompting import prompts
from polya_midtrain.records import Question
from polya_midtrain.science.passk import pass_at_k
from polya_midtrain.world import problems

TRAINED = Path(__file__).resolve().parents[2] / "models/base/base-1"  # of a finished run, where there is one
PROMPTS = Prompts(
    catalogue=Path("data/heuristics/world.yaml"), system="", suffix="", suffixes={}, shots=0, plain_shots=0
)
SAMPLES, KS = 48, (1, 8, 32)


def questions(answers: bool) -> list[Question]:
    """Questions of the embedded world; with their answers, or with one of the two that an untrained policy boxes."""
    rng = random.Random(8)
    found = []
    for index in range(40):
        problem = problems.sample(rng, 2 if answers else 1)
        gold = problems.answer(problem) if answers else rng.choice(["11", "22"])
        found.append(Question(f"q{index}", problems.text(problem), gold, "maths", "world"))
    return found


@pytest.fixture(scope="module", params=["form", "trained"])
def pair(
    request: pytest.FixtureRequest, tiny_policy: Path, device: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Engine, Engine, list[Question]]]:
    """vLLM and transformers on a policy that knows the form of an answer, and on a trained base if a run left one; on
    a GPU in bfloat16, with heads of a size that vLLM has kernels for."""
    if request.param == "trained" and not (TRAINED / "config.json").exists():
        pytest.skip("no models/base/base-1 of a finished run")
    if not has_vllm(device):
        pytest.skip(f"this vLLM is not for {device}")
    folder = TRAINED if request.param == "trained" else tiny_policy
    if device == "cuda":
        wide = tmp_path_factory.mktemp("wide")
        policy.save(*policy.load(heads.fit(folder, [64], wide / "float32"), "cpu"), wide / "half", torch.bfloat16)
        folder = wide / "half"
    policy.quiet()
    machines = [Machine(device=device), Machine(device=device, engine="vllm", gpu_memory=0.4)]
    engines = [open_engine(folder, machine, 128) for machine in machines[::-1]]
    yield engines[0], engines[1], questions(request.param == "trained")
    for engine in engines:
        engine.close()


def encoded(engine: Engine, asked: list[Question]) -> list[list[int]]:
    return [prompts.encode(engine.tokenizer, prompts.bare(question.question, PROMPTS)) for question in asked]


def test_greedy_text_is_the_same(pair: tuple[Engine, Engine, list[Question]], device: str) -> None:
    greedy = SamplingParams(n=1, max_tokens=60, seed=1, temperature=0.0)
    one, other = (engine.generate(encoded(engine, pair[2]), greedy) for engine in pair[:2])
    texts = [[[(group[0].text, group[0].finish)] for group in groups] for groups in (one, other)]
    assert alike(*texts, device)


def test_pass_at_k_differs_by_no_more_than_chance(pair: tuple[Engine, Engine, list[Question]]) -> None:
    asked = pair[2]
    sampling = SamplingParams(n=SAMPLES, max_tokens=60, seed=3)
    right = []
    for engine in pair[:2]:
        groups = engine.generate(encoded(engine, asked), sampling)
        items = [(o.text, q.answer, q.kind) for q, group in zip(asked, groups, strict=True) for o in group]
        verdicts = [verdict.correct for verdict in grading.grade_many(items, 1)]
        right.append(np.array(verdicts).reshape(len(asked), SAMPLES).sum(1))
    assert 0 < right[0].sum() < right[0].size * SAMPLES
    for k in KS:
        differences = pass_at_k(right[0], SAMPLES, k) - pass_at_k(right[1], SAMPLES, k)
        error = differences.std(ddof=1) / len(asked) ** 0.5
        assert abs(differences.mean()) <= 3.3 * error + 1e-9, k
