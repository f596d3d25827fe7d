"""Processes that share a GPU: how many, and how much of its memory each may take. No test has one."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from polya_midtrain import params as settings
from polya_midtrain.checkpoints import policy, shapes
from polya_midtrain.params import Machine
from polya_midtrain.runtime import card, cores
from polya_midtrain.training import fits

ROOT = Path(__file__).resolve().parents[1]
LLAMA = shapes.Model("Llama-3.2-3B", 3072, 8192, 28, 24, 8, 128, 128256)  # shapes of their config.json
SMALL = shapes.Model("SmolLM2-135M", 576, 1536, 30, 9, 3, 64, 49152)
H100 = 85e9


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """An H100, as far as this process asks for one, in a host of 16 cores."""
    monkeypatch.setattr(card, "device_of", lambda _: "cuda")
    monkeypatch.setattr(card, "memory", lambda: H100)
    monkeypatch.setattr(cores, "available", lambda: 16)


@pytest.mark.parametrize("need", [1e6, 1e9, 9.9e9, 20e9, 39e9, 78e9, 90e9])
@pytest.mark.parametrize("memory", [24e9, 80e9])
def test_as_many_processes_as_fit_with_what_cuda_takes_for_each(need: float, memory: float) -> None:
    def fits(count: int) -> bool:
        return count * (need / shapes.USABLE + (shapes.CONTEXT if count > 1 else 0)) <= memory * (1 + 1e-9)

    count = shapes.together(need, memory)
    assert count == 1 or fits(count)
    assert count == shapes.MOST or not fits(count + 1)
    assert count * shapes.part(memory, count) <= memory


@pytest.mark.usefixtures("gpu")
def test_small_models_share_a_gpu_and_large_ones_do_not() -> None:
    small, large = (settings.load(ROOT / f"profiles/{name}.yaml") for name in ("smollm2", "paper"))
    auto = Machine(device="cuda")
    for shape, params, most in [(SMALL, small, shapes.MOST), (LLAMA, large, 1)]:
        for need in (fits.midtrain(shape, params.midtrain), fits.rl(shape, params.rl), shape.stepped(500)):
            count = card.processes(auto, 20, lambda need=need: need)  # type: ignore[misc]
            assert count == most
    assert card.processes(auto, 3, lambda: 1e9) == 3, "no more than tasks"
    assert card.processes(auto, 20, lambda: 1e9, alone=True) == 1
    assert card.processes(auto, 1, lambda: pytest.fail("nothing to share")) == 1
    assert card.processes(Machine(device="cuda", workers=5), 20, lambda: pytest.fail("it is set")) == 5


@pytest.mark.usefixtures("gpu")
def test_no_more_processes_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "available", lambda: 3)
    assert card.processes(Machine(device="cuda"), 20, lambda: 1e9) == 3


@pytest.mark.usefixtures("gpu")
def test_a_process_that_has_opened_the_gpu_forks_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert card.processes(Machine(device="cuda", workers=4), 20, lambda: 1e9) == 1


def test_a_cpu_has_a_process_a_core_whatever_a_model_needs() -> None:
    assert card.processes(Machine(device="cpu"), 1, lambda: pytest.fail("not asked")) == cores.available()
    assert card.processes(Machine(device="cpu", workers=3), 1, lambda: 1e15, alone=True) == 3


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("count", [1, 2, 4])
def test_each_process_is_held_to_its_part(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[float] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", held.append)

    def task(number: int, report: Any) -> tuple[int, int, list[float]]:
        return number, os.getpid(), list(held)

    found = card.run_tasks(task, range(8), Machine(device="cuda"), count)
    assert [number for number, _, _ in found] == list(range(8))
    assert held == [], "this process has opened nothing"
    if count == 1:
        assert {(pid, *parts) for _, pid, parts in found} == {(os.getpid(),)}
        return
    assert os.getpid() not in {pid for _, pid, _ in found}
    parts = {part for _, _, group in found for part in group}
    assert parts == {shapes.part(H100, count) / H100}
    assert count * (parts.pop() * H100 + shapes.CONTEXT) <= H100 * (1 + 1e-9)


def test_a_training_reckons_with_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda _: 0.25)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=80))
    assert fits.memory(SimpleNamespace(device="cuda:0")) == 20.0  # type: ignore[arg-type]


def test_what_a_gpu_is_asked_before_the_fork_is_asked_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA cannot be used in a process whose parent has asked it for anything."""
    ours = os.getpid()
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: os.getpid() != ours)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=int(os.getpid() != ours))
    )
    assert policy.device_of("auto") == "cuda"
    assert card.memory() == 1.0
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)  # a child of this process could not tell
    assert policy.device_of("auto") == "cpu"
