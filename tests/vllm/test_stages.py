"""Stages on vLLM: what they write, copies of the model side by side, and no process of vLLM that outlives its stage."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.params import Params
from polya_midtrain.records import Completion, Question, read_records
from polya_midtrain.stages import evaluate, generate, prompts, questions

ROOT = Path(__file__).resolve().parents[2]
WORLD = {"source": "world", "task": "chain", "parts": [1], "pool": "seen"}
HEURISTICS, SAMPLES = 3, 4
CHANGES: dict[str, dict[str, Any]] = {  # to profile smoke
    "questions": {
        "mid": WORLD | {"count": 12},
        "reward": WORLD | {"count": 1},
        "rl": WORLD | {"count": 1},
        "benchmarks": {"pairs": WORLD | {"count": 3, "parts": [2]}},
        "transfer": {"story": WORLD | {"count": 2, "task": "story", "parts": [3]}},
    },
    "generate": {"heuristics": HEURISTICS, "samples": SAMPLES, "unprompted": SAMPLES, "max_tokens": 20, "rows": 32},
    "evaluate": {"samples": 8, "max_tokens": 20, "rows": 32},
    "compose": {"benchmarks": ["pairs"]},
    "tables": {"ks": [1, 4], "means": {}},
}


def vllm_processes() -> set[int]:
    return {process.pid for process in psutil.process_iter(["name"]) if process.info["name"].startswith("VLLM::")}


@pytest.fixture
def project(tmp_path: Path, tiny_policy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in the working directory: base, an arm that stands for it before and after RL, and questions."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "data/heuristics", "data/heuristics")
    shutil.copytree(tiny_policy, paths.base(1))
    for phase in (paths.MIDTRAIN, paths.RL):
        policy.point(phase / "vanilla/seed-1", paths.base(1))
    params = with_machine({"device": "cpu"})
    questions.run(params)
    prompts.run(params)
    return tmp_path


def with_machine(machine: dict[str, Any]) -> Params:
    """params.yaml of the project, on this machine."""
    content = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text(encoding="utf-8"))
    content |= {"seeds": [1], "bases": [{}], "machine": machine, "arms": {"vanilla": {"traces": "none"}}}
    for name, block in CHANGES.items():
        content[name] |= block
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return settings.load(Path("params.yaml"))


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_stages_run_on_vllm_whatever_the_number_of_copies() -> None:
    before = vllm_processes()
    found = []
    for copies in (2, 1):
        params = with_machine({"device": "cpu", "engine": "vllm", "data_parallel": copies, "gpu_memory": 0.3})
        generate.run(params)
        found.append(read_records(paths.GENERATED, Completion))
        assert vllm_processes() <= before
    assert [replace(row, logprob=0.0) for row in found[0]] == [replace(row, logprob=0.0) for row in found[1]]
    asked = [question.id for question in read_records(paths.MID, Question)]
    assert len(found[0]) == len(asked) * (HEURISTICS + 1) * SAMPLES
    assert [row.question_id for row in found[0][::SAMPLES]] == asked * (HEURISTICS + 1)
    assert len({row.text for row in found[0]}) > len(found[0]) / 4

    evaluate.run(params, "vanilla")
    assert vllm_processes() <= before
    counts = json.loads((paths.COUNTS / "vanilla.json").read_text(encoding="utf-8"))
    assert [(row["phase"], row["n"]) for row in counts["rows"]] == [("before", 8)] * 5 + [("after", 8)] * 5


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_the_command_starts_vllm_in_a_fresh_process() -> None:
    """A stage asks torch for GPUs first, after which a forked process cannot use any: vLLM has to spawn its own."""
    with_machine({"device": "auto", "engine": "vllm", "gpu_memory": 0.3})
    Path("polya.py").write_text(
        "import sys\n"
        "from polya_midtrain.start import main\n"
        "if __name__ == '__main__':\n"
        "    code = main(['stage', 'evaluate', '--arm', 'vanilla'])\n"
        "    import vllm.envs\n"
        "    print('by', vllm.envs.VLLM_WORKER_MULTIPROC_METHOD)\n"
        "    sys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "polya.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "by spawn" in done.stdout
    assert (paths.COUNTS / "vanilla.json").exists()
