"""What a run's record says of the machine, on hosts with and without GPUs that are stood in for by files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from polya_midtrain.checkpoints import policy
from polya_midtrain.runtime import machine

H100, CUDA = "NVIDIA H100 80GB HBM3", "13.0"


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A host whose driver lists no GPU yet, with a torch for CUDA."""
    monkeypatch.setattr(machine, "GPUS", tmp_path / "gpus")
    monkeypatch.setattr(policy, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(machine, "_cuda", lambda: CUDA)
    for name in ("CUDA_VISIBLE_DEVICES", "POLYA_IMAGE", "POLYA_REVISION"):
        monkeypatch.delenv(name, raising=False)
    machine.tags.cache_clear()
    yield tmp_path
    machine.tags.cache_clear()


def gpus(host: Path, *names: str) -> None:
    (host / "version").write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n")
    for place, name in enumerate(names):
        file = host / f"gpus/0000:0{place}:00.0/information"
        file.parent.mkdir(parents=True)
        file.write_text(f"Model: \t\t {name}\nIRQ:   \t\t 100\n")


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_a_gpu_is_named_with_its_driver_its_cuda_and_the_number_formats(host: Path, wanted: str) -> None:
    gpus(host, H100)
    assert machine.tags(wanted) == {
        "device": H100,
        "driver": "580.95.05",
        "cuda": CUDA,
        "precision": "sampled and scored as stored, trained in float32 under bfloat16 autocast",
        "torch": version("torch"),
    } | ({"vllm": version("vllm")} if machine._version("vllm") else {})


def test_several_gpus_are_counted(host: Path) -> None:
    gpus(host, H100, H100, "NVIDIA A100")
    assert machine.tags("auto")["device"] == f"2 x {H100}, NVIDIA A100"


@pytest.mark.parametrize("why", ["settings", "no GPU", "hidden", "torch for CPUs"])
def test_what_runs_on_a_cpu_says_so(host: Path, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if why != "no GPU":
        gpus(host, H100)
    if why == "hidden":
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    if why == "torch for CPUs":
        monkeypatch.setattr(machine, "_cuda", lambda: "")
    found = machine.tags("cpu" if why == "settings" else "auto")
    assert (found["device"], found["precision"]) == ("cpu", "float32")
    assert not {"driver", "cuda"} & found.keys()


def test_an_image_is_named_by_its_digest_or_else_by_its_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "image" not in machine.tags("cpu")
    for name, value, told in [("REVISION", "abc", "revision abc"), ("IMAGE", "sha256:123", "sha256:123")]:
        monkeypatch.setenv(f"POLYA_{name}", value)
        machine.tags.cache_clear()
        assert machine.tags("cpu")["image"] == told


def test_torch_is_not_loaded_for_it() -> None:
    script = (
        "import sys; from polya_midtrain.runtime import machine; print(repr(machine._cuda()), 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    import torch

    assert said.split() == [repr(torch.version.cuda or ""), "False"]
