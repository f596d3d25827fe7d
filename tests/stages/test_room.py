"""Memory of a GPU that runs out: one line with the setting to lower, and a run that goes on with it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.checkpoints import policy, shapes
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.records import Question, TrainingRow, write_records
from polya_midtrain.runtime import card, cores, room
from polya_midtrain.stages import evaluate, midtrain
from polya_midtrain.training import launch, sft
from polya_midtrain.world import problems, traces

ROOT = Path(__file__).resolve().parents[2]
SAID = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.18 GiB of which 1.1 GiB is free."
)


@pytest.fixture
def project(tmp_path: Path, tiny_policy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which stages midtrain and evaluate can run for arms n1 and vanilla."""
    import random

    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "data/heuristics", "data/heuristics")
    shutil.copytree(tiny_policy, paths.base(1))
    rng = random.Random(6)
    drawn = [problems.sample(rng, 1) for _ in range(8)]
    rows = [
        TrainingRow(str(i), "lemma", problems.text(p), traces.write(p, ["lemma"]), 9, 0.0, "maths")
        for i, p in enumerate(drawn)
    ]
    write_records(paths.TRAIN / "n1.parquet", TrainingRow, rows)
    asked = [Question(str(i), problems.text(p), "11", "maths", "world") for i, p in enumerate(drawn[:2])]
    write_records(paths.BENCHMARKS / "pairs.parquet", Question, asked)
    write_records(paths.TRANSFER / "story.parquet", Question, asked)
    for phase in (paths.MIDTRAIN, paths.RL):
        for seed in (1, 2):
            policy.point(phase / f"vanilla/seed-{seed}", paths.base(1))
    return tmp_path


def written(**changes: dict[str, Any]) -> Params:
    content = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text())
    content |= {"seeds": [1, 2], "bases": [{}], "machine": {"device": "cpu", "workers": 1}}
    content["arms"] = {"vanilla": {"traces": "none"}, "n1": {"traces": "heuristics", "n": 1}}
    content["midtrain"] |= {"epochs": 1, "batch": 4, "micro_batch": 4, "save_steps": 100}
    content["evaluate"] |= {"samples": 4, "max_tokens": 8, "rows": 8}
    content["tables"] |= {"ks": [1, 2]}
    for name, block in changes.items():
        content[name] |= block
    settings.PARAMS_FILE.write_text(yaml.safe_dump(content))
    return settings.load()


def refused(run: Any, *arguments: Any) -> str:
    with pytest.raises(UserError) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.usefixtures("project")
def test_a_training_whose_memory_ran_out_goes_on_with_less(monkeypatch: pytest.MonkeyPatch) -> None:
    trained, made = sft.fine_tune, []

    def second_fails(*arguments: Any, **more: Any) -> Any:
        made.append(more["micro_batch"])
        if len(made) == 2:
            raise torch.OutOfMemoryError(SAID)
        return trained(*arguments, **more)

    monkeypatch.setattr(sft, "fine_tune", second_fails)
    assert refused(midtrain.run, written(), "n1") == (
        "params.yaml: the memory of the GPU ran out in stage midtrain (CUDA out of memory); lower "
        "midtrain.micro_batch or machine.workers, or take a GPU with more, then run it again: what it finished is kept"
    )
    midtrain.run(written(midtrain={"micro_batch": 2}), "n1")
    assert made == [4, 4, 2], "the first seed is not trained again"
    assert (paths.MIDTRAIN / "n1/seed-2/model.safetensors").exists()


@pytest.mark.usefixtures("project")
def test_a_sampling_whose_memory_ran_out_goes_on_with_less(monkeypatch: pytest.MonkeyPatch) -> None:
    from polya_midtrain.engine.transformers_engine import TransformersEngine

    batch, made = TransformersEngine._batch, []

    def third_fails(engine: TransformersEngine, *arguments: Any) -> Any:
        made.append(engine.rows)
        if len(made) == 3:
            raise torch.OutOfMemoryError(SAID)
        return batch(engine, *arguments)

    monkeypatch.setattr(TransformersEngine, "_batch", third_fails)
    assert "in stage evaluate (CUDA out of memory); lower evaluate.rows or machine.workers, or" in refused(
        evaluate.run, written(), "vanilla"
    )
    evaluate.run(written(evaluate={"rows": 4}), "vanilla")
    assert made[:3] == [8, 8, 8]
    assert len(made) == 3 + 2 * 6, "two of eight jobs were finished; the others take two batches each"
    counts = json.loads((paths.COUNTS / "vanilla.json").read_text())["rows"]
    assert len(counts) == 2 * 2 * 2 * 2


def weights(run: Params) -> list[bytes]:
    """Those of both seeds of arm n1, mid-trained anew."""
    shutil.rmtree(paths.MIDTRAIN / "n1", ignore_errors=True)
    midtrain.run(run, "n1")
    return [(paths.MIDTRAIN / f"n1/seed-{seed}/model.safetensors").read_bytes() for seed in (1, 2)]


def test_seeds_share_a_gpu_and_are_trained_as_they_would_be_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU stands for the GPU; what it is asked, and told of its memory, is said to a GPU of 80 GB."""
    alone = weights(written())
    told = project / "told"
    monkeypatch.setattr(card, "device_of", lambda _: "cuda")
    monkeypatch.setattr(card, "memory", lambda: 80e9)
    monkeypatch.setattr(cores, "available", lambda: 4)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda part: (told / f"{os.getpid()}").write_text(f"{part}")
    )
    told.mkdir()
    assert weights(written(machine={"workers": 0})) == alone
    parts = {file.name: float(file.read_text()) for file in told.iterdir()}
    assert len(parts) == 2
    assert set(parts.values()) == {shapes.part(80e9, 2) / 80e9}

    def fails(*arguments: Any, **more: Any) -> None:
        raise torch.OutOfMemoryError(SAID)

    monkeypatch.setattr(sft, "fine_tune", fails)
    assert "lower midtrain.micro_batch or machine.workers, or take" in refused(
        midtrain.run, written(midtrain={"batch": 8}), "n1"
    )


@pytest.mark.usefixtures("project")
def test_a_launched_process_says_it_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written()

    def fails(*arguments: Any, **more: Any) -> None:
        raise torch.OutOfMemoryError(SAID)

    monkeypatch.setattr(launch, "train", fails)
    assert launch.main(["midtrain", "n1", "1", str(tmp_path), "key"]) == 2
    assert "lower midtrain.micro_batch or machine.workers, or" in (tmp_path / "launch-1.fault").read_text()


def test_other_faults_are_left_alone_and_other_settings_are_kept() -> None:
    with pytest.raises(RuntimeError, match="another"), room.enough("rl"):
        raise RuntimeError("another")
    assert room.without({"rl": {"rows": 4, "micro_batch": "auto", "prompts": 2}, "seeds": [1]}) == {
        "rl": {"prompts": 2},
        "seeds": [1],
    }
    arms = {"b4": {"match": {"rows": "n1"}}}
    assert room.without({"arms": arms}) == {"arms": arms}
    assert set(room.LOWER) >= {"generate", "distil", "score", "midtrain", "rl", "evaluate", "reward"}
