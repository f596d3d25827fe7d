"""One start of vLLM for many policies, and what is left out where nobody reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from polya_midtrain.common import policy
from polya_midtrain.engine import Engine, SamplingParams
from polya_midtrain.engine.build import open_engine
from polya_midtrain.errors import UserError
from polya_midtrain.params import Machine

VLLM = Machine(device="cpu", engine="vllm")
SAMPLING = SamplingParams(n=4, max_tokens=24, seed=5)


@pytest.fixture(scope="module")
def other(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy of the same shape with other weights, as a training of it leaves them."""
    model, tokenizer = policy.load(tiny_policy, "cpu")
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.02 * torch.randn_like(weight)
    folder = tmp_path_factory.mktemp("other") / "seed-1"
    policy.save(model, tokenizer, folder, torch.float32)
    return folder


@pytest.fixture(scope="module")
def engine(tiny_policy: Path) -> Iterator[Engine]:
    policy.quiet()
    made = open_engine(tiny_policy, VLLM, 64)
    yield made
    made.close()


def asked(engine: Engine) -> list[list[int]]:
    texts = ["<q> jar 3 5 2<a>", "<q> rod 1 4 6; cup 2 2 1<a>", "<q> box 9 8 7<a>"]
    return [engine.tokenizer(text)["input_ids"] for text in texts]


def tokens(engine: Engine, sampling: SamplingParams = SAMPLING) -> list[list[list[int]]]:
    return [[output.token_ids for output in group] for group in engine.generate(asked(engine), sampling)]


def test_swapped_weights_are_those_of_a_fresh_start(engine: Engine, tiny_policy: Path, other: Path) -> None:
    """Also the second time: nothing that was cached for one policy answers for the other."""
    first = tokens(engine)
    assert open_engine(other, VLLM, 64, engine) is engine
    swapped = tokens(engine)
    assert open_engine(tiny_policy, VLLM, 64, engine) is engine
    assert tokens(engine) == first != swapped
    fresh = open_engine(other, VLLM, 64)
    try:
        assert tokens(fresh) == swapped
    finally:
        fresh.close()


def test_a_model_of_another_shape_is_not_swapped(engine: Engine, tiny_checkpoint: Path) -> None:
    grouped = policy.load(tiny_checkpoint, "cpu")[0].config.num_key_value_heads == 2
    assert engine.swap(tiny_checkpoint) is grouped  # type: ignore[attr-defined]


def test_what_is_left_out_changes_nothing_else(engine: Engine) -> None:
    whole = engine.generate(asked(engine), SAMPLING)
    bare = engine.generate(asked(engine), replace(SAMPLING, texts=False, logprobs=False))
    assert [[replace(o, text="", logprobs=[]) for o in group] for group in whole] == bare
    assert all(output.text and len(output.logprobs) == len(output.token_ids) for group in whole for output in group)


def test_a_start_that_fails_is_one_line(tiny_policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1000000")  # GB
    with pytest.raises(UserError, match=r"^params\.yaml: machine\.engine: vLLM did not start on .*; then run "):
        open_engine(tiny_policy, VLLM, 64)
