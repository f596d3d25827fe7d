"""`polya dry-run` of the profile for a GPU: every stage of it, with tiny counts, on a CPU."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ARMS = ("vanilla", "n1", "n16")  # an arm is walked as another


@pytest.mark.slow
def test_every_stage_of_the_profile_for_a_gpu_is_walked(
    repository: Callable[..., Path], run: Callable[..., str], public_sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYA_DATA", str(public_sets))
    clone = repository("clone", False)
    profile = clone / "profiles/smollm2-gpu.yaml"
    content = yaml.safe_load(profile.read_text())
    content["arms"] = {name: content["arms"][name] for name in ARMS}
    profile.write_text(yaml.safe_dump(content, sort_keys=False))
    said = run("polya", "dry-run", "smollm2-gpu", folder=clone)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    passed = dict(re.findall(r"^  (\w+) +x (\d+) ", said, re.MULTILINE))
    times = {
        name: len(ARMS) if stage.get("foreach") == "${arms}" else len(stage.get("foreach", "1"))
        for name, stage in stages.items()
    }
    assert f"Dry run of profile smollm2-gpu: {sum(times.values())} stages passed in " in said
    assert passed == {name: str(count) for name, count in times.items()}
