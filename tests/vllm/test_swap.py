"""One start of vLLM for many policies, and what is left out where nobody reads it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from polya_midtrain.checkpoints import policy
from polya_midtrain.engine import Engine, SamplingParams
from polya_midtrain.engine.opening import open_engine
from polya_midtrain.errors import UserError
from polya_midtrain.params import Machine

VLLM = Machine(device="cpu", engine="vllm")
SAMPLING = SamplingParams(n=4, max_tokens=24, seed=5)


def untied(source: Path, folder: Path, seed: int) -> Path:
    """A policy of the source's shape with weights of its own, as a training of it leaves them; its head is its own."""
    model, tokenizer = policy.load(source, "cpu")
    config = copy.deepcopy(model.config)
    config.tie_word_embeddings = False
    made = type(model)(config)
    made.load_state_dict(model.state_dict())
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.02 * torch.randn_like(weight)
    made.generation_config = model.generation_config
    policy.save(made, tokenizer, folder, torch.float32)
    return folder


@pytest.fixture(scope="module")
def policies(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("policies")
    return untied(tiny_policy, folder / "seed-1", 1), untied(tiny_policy, folder / "seed-2", 2)


@pytest.fixture(scope="module")
def engine(policies: tuple[Path, Path]) -> Iterator[Engine]:
    policy.quiet()
    made = open_engine(policies[0], VLLM, 64)
    yield made
    made.close()


def asked(engine: Engine) -> list[list[int]]:
    texts = ["<q> jar 3 5 2<a>", "<q> rod 1 4 6; cup 2 2 1<a>", "<q> box 9 8 7<a>"]
    return [engine.tokenizer(text)["input_ids"] for text in texts]


def tokens(engine: Engine, sampling: SamplingParams = SAMPLING) -> list[list[list[int]]]:
    return [[output.token_ids for output in group] for group in engine.generate(asked(engine), sampling)]


def test_swapped_weights_are_those_of_a_fresh_start(engine: Engine, policies: tuple[Path, Path]) -> None:
    """Also the second time: nothing that was cached for one policy answers for the other."""
    one, other = policies
    first = tokens(engine)
    assert open_engine(other, VLLM, 64, engine) is engine
    swapped = tokens(engine)
    assert open_engine(one, VLLM, 64, engine) is engine
    assert tokens(engine) == first != swapped
    fresh = open_engine(other, VLLM, 64)
    try:
        assert tokens(fresh) == swapped
    finally:
        fresh.close()


def test_a_model_of_another_shape_is_not_swapped(engine: Engine, tiny_policy: Path) -> None:
    assert not engine.swap(tiny_policy)  # type: ignore[attr-defined]


def test_what_is_left_out_changes_nothing_else(engine: Engine) -> None:
    whole = engine.generate(asked(engine), SAMPLING)
    bare = engine.generate(asked(engine), replace(SAMPLING, texts=False, logprobs=False))
    assert [[replace(o, text="", logprobs=[]) for o in group] for group in whole] == bare
    assert all(output.text and len(output.logprobs) == len(output.token_ids) for group in whole for output in group)


def test_a_start_that_fails_is_one_line(tiny_policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1000000")  # GB
    with pytest.raises(UserError, match=r"^params\.yaml: machine\.engine: vLLM did not start on .*; then run "):
        open_engine(tiny_policy, VLLM, 64)
