"""What the vLLM engine refuses and which GPUs it takes, without vLLM; tests/vllm has the engine itself."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from polya_midtrain.checkpoints import policy
from polya_midtrain.engine import SamplingParams, heads, vllm_engine
from polya_midtrain.engine.opening import open_engine
from polya_midtrain.errors import UserError
from polya_midtrain.params import Machine
from polya_midtrain.runtime import workers
from polya_midtrain.training import rollouts


def test_vllm_that_is_not_installed_is_one_line(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match=r"^params\.yaml: machine\.engine is vllm, which is not installed; .*\S$"):
        open_engine(tiny_checkpoint, Machine(device="cpu", engine="vllm"), 8)


def a_vllm(folder: Path, start: str) -> None:
    """A package by the name of vllm that can be imported, and no more: its ``LLM`` does ``start``."""
    (folder / "vllm.py").write_text(
        "import os\n"
        "METHOD = os.environ.get('VLLM_WORKER_MULTIPROC_METHOD')\n"
        f"class LLM:\n    def __init__(self, **given):\n        {start}\n"
    )


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a module of the test's own can be imported as vllm."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "vllm", None)  # so that what is there now comes back, or nothing
    del sys.modules["vllm"]
    monkeypatch.delenv("VLLM_WORKER_MULTIPROC_METHOD", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def test_vllm_is_told_to_spawn_before_it_is_imported(imported: Path, tiny_checkpoint: Path) -> None:
    """A stage has asked torch for GPUs by then, after which a forked process cannot use one."""
    a_vllm(imported, "raise RuntimeError(METHOD)")
    with pytest.raises(UserError, match=r"\(spawn; its own lines are above\)"):
        open_engine(tiny_checkpoint, Machine(device="cpu", engine="vllm"), 8)


def test_a_gpu_that_others_use_is_one_line(imported: Path, tiny_checkpoint: Path) -> None:
    a_vllm(imported, "raise RuntimeError('Engine core initialization failed. See root cause above.\\nmore')")
    with pytest.raises(UserError) as said:
        open_engine(tiny_checkpoint, Machine(device="cpu", engine="vllm"), 8)
    assert str(said.value) == (
        f"params.yaml: machine.engine: vLLM did not start on {tiny_checkpoint} (Engine core initialization failed. See "
        "root cause above.; its own lines are above). Nothing else may take or free memory of its GPUs meanwhile "
        '("Error in memory profiling"): end what does, or lower machine.gpu_memory; then run it again'
    )


def test_a_trainer_beside_which_vllm_finds_no_memory_is_one_line() -> None:
    start = vllm_engine.starting("beside the trainer", "machine.rollout_memory", named="memory")
    with (
        pytest.raises(UserError, match=r"did not start beside the trainer \(Error in .* lower machine\.rollout_m"),
        start,
    ):
        raise AssertionError("Error in memory profiling. Initial free memory 9 GiB, current free memory 12 GiB.")
    with pytest.raises(KeyError), vllm_engine.starting("beside the trainer", "it", named="memory"):
        raise KeyError("another fault")


class Llm:
    """What our engine asks of a vLLM, written down in order."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.heard = tokenizer, []  # type: ignore[var-annotated]

    def get_tokenizer(self) -> Any:
        return self.tokenizer

    def collective_rpc(self, name: str, kwargs: dict[str, str]) -> None:
        self.heard.append((name, kwargs["weights_path"]))

    def reset_prefix_cache(self) -> None:
        self.heard.append("cache")

    def wake_up(self, tags: list[str]) -> None:
        self.heard.append(("wake", *tags))

    def sleep(self, level: int) -> None:
        self.heard.append(("sleep", level))

    def generate(self, prompts: list[Any], requests: list[Any], use_tqdm: bool) -> list[Any]:
        self.heard.append("generate")
        return [SimpleNamespace(outputs=[]) for _ in prompts]


def test_weights_of_one_shape_are_swapped_and_the_old_ones_forgotten(tiny_checkpoint: Path, tmp_path: Path) -> None:
    model, tokenizer = policy.load(tiny_checkpoint, "cpu")
    policy.save(model, tokenizer, tmp_path / "trained", torch.float32)
    policy.save(model, tokenizer, tmp_path / "half", torch.bfloat16)
    llm = Llm(tokenizer)
    engine = vllm_engine.VllmEngine(llm, tiny_checkpoint)
    machine = Machine(device="cpu", engine="vllm")
    assert open_engine(tmp_path / "trained", machine, 8, engine) is engine
    assert llm.heard == [("reload_weights", str(tmp_path / "trained")), "cache"]
    assert not engine.swap(tmp_path / "half")
    assert not vllm_engine.VllmEngine(llm).swap(tiny_checkpoint), "trl's, whose weights are the trainer's"


def test_vllm_beside_the_trainer_sleeps_but_for_the_rollouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(SamplingParams=lambda **given: given))
    llm = Llm(None)
    beside = SimpleNamespace(llm=llm, _llm_weights_sleeping=False)
    beside.sync_weights = lambda: llm.heard.append("sync")
    engine = rollouts.beside_the_trainer(SimpleNamespace(vllm_generation=beside))
    for _ in range(2):  # the second time trl has not brought the weights, which the sleep has forgotten
        engine.generate([[1, 2]], SamplingParams(n=2, max_tokens=3, seed=1, texts=False))
    once = [("wake", "kv_cache"), "generate", ("sleep", 2)]
    assert llm.heard == [*once, "sync", *once]


def test_the_trainers_of_a_stage_have_one_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    from trl.generation import vllm_generation

    started: list[str] = []

    def start(model: str, **_: Any) -> object:
        started.append(model)
        return object()

    monkeypatch.setattr(vllm_generation, "LLM", start, raising=False)
    monkeypatch.setattr(rollouts, "_started", {})

    def trainer(model: str, **given: float) -> Any:
        with rollouts.one_vllm():
            return vllm_generation.LLM(model=model, **given)

    first = trainer("seed-1", gpu_memory_utilization=0.4)
    assert trainer("seed-2", gpu_memory_utilization=0.4) is first
    assert trainer("seed-3", gpu_memory_utilization=0.5) is not first
    assert started == ["seed-1", "seed-3"]
    assert vllm_generation.LLM is start


def test_a_folder_without_a_checkpoint_is_one_line_on_either_engine(tmp_path: Path) -> None:
    for name in ("transformers", "vllm"):
        with pytest.raises(UserError, match="no checkpoint here"):
            open_engine(tmp_path, Machine(device="cpu", engine=name), 8)


@pytest.mark.parametrize("given", [{"tensor_parallel": 2}, {"data_parallel": 2}, {"server": "http://localhost:8000"}])
def test_settings_of_vllm_are_refused_without_it(given: dict[str, int | str]) -> None:
    with pytest.raises(ValidationError, match="belong to engine vllm; set engine, or remove them"):
        Machine(**given)  # type: ignore[arg-type]
    assert Machine(engine="vllm", **given).model_dump()[next(iter(given))] == next(iter(given.values()))  # type: ignore[arg-type]


def test_wider_heads_are_the_same_policy(tiny_checkpoint: Path, tmp_path: Path) -> None:
    narrow, encoder = policy.load(tiny_checkpoint, "cpu")
    assert heads.fit(tiny_checkpoint, [8, 32], tmp_path / "wide") == tiny_checkpoint
    for size, dtype in [(32, torch.float32), (128, torch.float32), (32, torch.bfloat16)]:
        policy.save(narrow, encoder, tmp_path / "stored", dtype)
        folder = heads.fit(tmp_path / "stored", [size], tmp_path / "wide")
        assert policy.stored_dtype(folder) == dtype
        plain, _ = policy.load(tmp_path / "stored", "cpu")
        wide, _ = policy.load(folder, "cpu")
        assert wide.config.head_dim == size
        ids = torch.arange(100).reshape(2, 50)
        with torch.inference_mode():
            assert torch.allclose(wide(input_ids=ids).logits, plain(input_ids=ids).logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("change", [{"head_dim": 9}, {"attention_bias": True}, {"model_type": "mistral"}])
def test_heads_that_cannot_be_made_wider_are_one_line(
    tiny_checkpoint: Path, tmp_path: Path, change: dict[str, int | str]
) -> None:
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=r"config\.json: vLLM has no attention .* for this model's heads of [89]; "):
        heads.fit(tmp_path, vllm_engine.CPU_HEADS, tmp_path / "wide")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host with four GPUs, as far as torch says."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    vllm_engine.take_gpus.cache_clear()
    yield
    vllm_engine.take_gpus.cache_clear()


@pytest.mark.usefixtures("gpus")
def test_more_gpus_than_there_are_is_one_line(tiny_checkpoint: Path) -> None:
    machine = Machine(device="cuda", engine="vllm", tensor_parallel=2, data_parallel=3)
    with pytest.raises(UserError, match=r"asks for 6 GPUs \(tensor_parallel 2 x data_parallel 3\) and torch sees 4"):
        open_engine(tiny_checkpoint, machine, 8)


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("visible", "rank", "expected"),
    [("", 0, "0,1"), ("", 1, "2,3"), ("7,5,3,1", 1, "3,1"), ("GPU-a,GPU-b", 0, "GPU-a,GPU-b")],
)
def test_every_copy_of_a_model_has_gpus_of_its_own(
    monkeypatch: pytest.MonkeyPatch, visible: str, rank: int, expected: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(workers, "rank", lambda: rank)
    for _ in range(2):  # a second model in the same process keeps to them
        vllm_engine.take_gpus("cuda", 2, 2)
        assert os.environ["CUDA_VISIBLE_DEVICES"] == expected


def test_workers_know_their_places() -> None:
    def place(task: int, report: workers.Report) -> int:
        return workers.rank()

    assert workers.rank() == 0
    assert set(workers.run_tasks(place, [0, 1, 2, 3], 2)) <= {0, 1}
    assert workers.run_tasks(place, [0, 1], 1) == [0, 0]
