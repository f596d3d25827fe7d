"""What a training takes of a GPU, by calculation: beside what an H100 was measured to take, and counted on shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainingArguments

from polya_midtrain.checkpoints.shapes import TRAINING, USABLE, Model, of_config
from polya_midtrain.training import fits, hooks

GIB = 2.0**30
H100 = 79.2 * GIB  # as torch sees it
MARGIN = 0.03  # of the measured figures
LLAMA = Model("Llama-3.2-3B", 3072, 8192, 28, 24, 8, 128, 128256)
SMALL = Model("SmolLM2-135M", 576, 1536, 30, 9, 3, 64, 49152)


def peak(rows: int, length: int, vllm: float = 0.0) -> float:
    """GiB of the 3B shape in training, with all of vLLM's share taken (as before it slept)."""
    return (LLAMA.parameters * TRAINING + LLAMA.update(rows, length, checkpointed=True) + vllm * H100) / GIB


@pytest.mark.parametrize(
    ("rows", "length", "vllm", "measured"),
    [(2, 512, 0.0, 53.8), (2, 5120, 0.0, 57.4), (1, 4096, 0.2, 70.2)],
    ids=["mid-training, short", "mid-training, long", "GRPO beside vLLM"],
)
def test_the_calculation_is_what_an_h100_took(rows: int, length: int, vllm: float, measured: float) -> None:
    assert peak(rows, length, vllm) == pytest.approx(measured, rel=MARGIN)


def test_what_ran_out_of_memory_is_calculated_to_run_out() -> None:
    assert peak(2, 4096, 0.3) * GIB > H100


def llama(device: str, **sizes: Any) -> LlamaForCausalLM:
    config = LlamaConfig(tie_word_embeddings=True, **sizes)
    with torch.device(device):
        return LlamaForCausalLM(config).train()


THREE_B: dict[str, Any] = {
    "vocab_size": 128256,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "head_dim": 128,
}


def kept(model: LlamaForCausalLM, rows: int, length: int) -> float:
    """Bytes that a forward pass of the decoder keeps for the backward one, its weights and their copies left out."""
    weights = {size for weight in model.parameters() for size in (tuple(weight.shape), tuple(weight.shape)[::-1])}
    found: dict[int, int] = {}
    held = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tuple(tensor.shape) not in weights:
            found[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
            held.append(tensor)
        return tensor

    ids = torch.zeros(rows, length, dtype=torch.long, device=model.device)
    mask = None
    if model.device.type == "meta":  # has no values by which one could be made
        mask = torch.ones(1, 1, length, length, dtype=torch.bool, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.model(input_ids=ids, attention_mask=mask, use_cache=False)
    return float(sum(found.values()))


def test_the_bytes_of_a_3b_model_are_counted_on_the_meta_device() -> None:
    """Weights, gradients and Adam's averages of the random model that was measured; its checkpointed activations."""
    model = llama("meta", **THREE_B)
    shape = of_config("random", model.config.to_dict())
    assert shape.parameters == LLAMA.parameters == model.num_parameters()
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    adam = torch.optim.AdamW(model.parameters())
    adam.step()
    averages = [value for state in adam.state.values() for value in state.values() if value.dim()]
    tensors = [*model.parameters(), *(weight.grad for weight in model.parameters()), *averages]
    assert sum(tensor.nbytes for tensor in tensors) == TRAINING * LLAMA.parameters
    model.gradient_checkpointing_enable()
    inputs = 2 * 512 * 3072 * 4  # of a layer
    assert LLAMA.update(2, 512, True) - LLAMA.update(0, 512, True) == 28 * inputs
    assert kept(model, 2, 512) == pytest.approx((28 + 2) * inputs, rel=0.001)  # the last norm keeps two more


def test_the_activations_of_a_layer_under_autocast_are_counted() -> None:
    sizes = {"vocab_size": 50, "hidden_size": 192, "intermediate_size": 512, "num_attention_heads": 6}
    sizes |= {"num_key_value_heads": 2, "head_dim": 32}
    with torch.autocast("cpu", torch.bfloat16):
        few, many = (kept(llama("cpu", num_hidden_layers=layers, **sizes), 2, 37) for layers in (2, 4))
    shapes = [of_config("random", LlamaConfig(num_hidden_layers=layers, **sizes).to_dict()) for layers in (2, 4)]
    bytes_ = [shape.update(2, 37, False) - shape.update(0, 37, False) for shape in shapes]
    assert many - few == pytest.approx(bytes_[1] - bytes_[0], rel=0.02)


def room(shape: Model, memory: float) -> float:
    return USABLE * memory - TRAINING * shape.parameters


def test_activations_are_checkpointed_only_where_they_would_not_fit() -> None:
    assert LLAMA.batch(64, 5120, room(LLAMA, 80e9), "auto")[1]
    assert SMALL.batch(64, 512, room(SMALL, 80e9), "auto") == (64, False)
    assert SMALL.batch(64, 512, room(SMALL, 80e9), 16) == (16, False)
    assert SMALL.batch(64, 5120, room(SMALL, 6e9), 4) == (4, True)


@pytest.mark.parametrize("length", [512, 4096, 5120])
@pytest.mark.parametrize("memory", [24e9, 70e9, 80e9, 140e9])
@pytest.mark.parametrize("shape", [LLAMA, SMALL], ids=["3b", "135m"])
def test_auto_takes_what_fits_and_divides_the_batch(shape: Model, memory: float, length: int) -> None:
    free = room(shape, memory)
    rows, checkpointed = shape.batch(48, length, free, "auto")
    assert 48 % rows == 0
    assert rows == 1 or shape.update(rows, length, checkpointed) <= free
    more = [other for other in range(rows + 1, 49) if 48 % other == 0]
    assert all(shape.update(other, length, checkpointed) > free for other in more)


def test_a_training_asks_the_gpu_that_it_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of 3B on a GPU of 80 GB and on one of 140: the arguments that trl is given."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    model = llama("meta", **THREE_B)
    for memory, length, micro, checkpointed in [
        (80e9, 4096, 4, True),
        (140e9, 4096, 16, True),
        (80e9, 512, 4, False),
        (140e9, 512, 16, False),
    ]:
        monkeypatch.setattr(fits, "memory", lambda _, there=memory: there)
        assert fits.arguments(model, 64, length, "auto", "vllm") == {
            "per_device_train_batch_size": micro,
            "gradient_accumulation_steps": 64 // micro,
            "gradient_checkpointing": checkpointed,
        }
        assert fits.rollout_memory(model, "auto") == {80e9: 0.4, 140e9: 0.6}[memory]
    assert fits.rollout_memory(model, 0.2) == 0.2


def test_fsdp_holds_a_share_in_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    model = llama("meta", **THREE_B)
    monkeypatch.setattr(fits, "memory", lambda _: 80e9)
    monkeypatch.setenv("WORLD_SIZE", "4")
    alone = fits.rollout_memory(model, "auto")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert fits.arguments(model, 64, 4096, "auto")["per_device_train_batch_size"] in (8, 16)
    assert fits.rollout_memory(model, "auto") > alone


def test_on_a_cpu_auto_asks_no_machine() -> None:
    model = llama(
        "cpu", vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2
    )
    assert fits.arguments(model, 12, 100, "auto") == {
        "per_device_train_batch_size": 12,
        "gradient_accumulation_steps": 1,
        "gradient_checkpointing": False,
    }
    assert LLAMA.alone(16, 5120, "auto") == 1
    assert LLAMA.alone(16, 5120, 4) == 4


def test_a_process_trains_on_one_gpu_however_many_it_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers would train on all of them, and on so many times the batch of an arm."""
    config = TrainingArguments(**hooks.common(tmp_path, "cpu", 1, 10), per_device_train_batch_size=4)
    assert hooks.on_one_gpu(config).n_gpu == 0
    monkeypatch.setattr(config, "_n_gpu", 4)
    assert config.train_batch_size == 16
    assert hooks.on_one_gpu(config).train_batch_size == 4
