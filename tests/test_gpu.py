"""What `make test-gpu` asks of vLLM on a GPU, each in a process of its own, which gives the memory back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from devices import has_vllm

ROOT = Path(__file__).resolve().parents[1]
ROW = """
import json, sys
from pathlib import Path
import gpu_rows
few = gpu_rows.Sizes(asked=16, heuristics=1, tokens=32, prompts=4, generations=4, steps=2, rounds=1)
bench = gpu_rows.Bench(few, "cuda", Path(sys.argv[1]))
print(json.dumps(eval(sys.argv[2], vars(gpu_rows) | {"bench": bench})))
"""


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not has_vllm("cuda"):
        pytest.skip("no vLLM for CUDA is installed")
    return tmp_path_factory.mktemp("checkpoints")


def row(checkpoints: Path, call: str) -> dict[str, float]:
    """The figures of a row of `make bench-gpu`, small."""
    command = [sys.executable, "-c", ROW, str(checkpoints), call]
    done = subprocess.run(command, cwd=ROOT / "bench", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1]))


@pytest.mark.gpu
@pytest.mark.slow
def test_two_seeds_have_other_rollouts_of_vllm_and_the_trainer_s_probabilities(checkpoints: Path) -> None:
    one, other = (row(checkpoints, f"policy_gradient(bench, vllm=True, ours=True, seed={seed})") for seed in (1, 2))
    assert one["first_rollouts"] != other["first_rollouts"]
    for found in (one, other):
        assert found["importance_ratio"] == pytest.approx(1, abs=0.05)
        assert found["capped"] < 0.01


@pytest.mark.gpu
@pytest.mark.slow
def test_two_seeds_have_other_samples_of_vllm(checkpoints: Path) -> None:
    assert row(checkpoints, "sampling_vllm(bench)")["seeds_differ"] == 1
