"""Wall time x cores of a whole `dvc repro` over the CPU seconds inside model calls: what the machinery costs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from polya_midtrain.runtime import cores

COPIED = (
    "src",
    "profiles",
    "data/heuristics",
    "claims.yaml",
    "docs/preregistration.md",
    "dvc.yaml",
    "pyproject.toml",
    "README.md",
    ".dvcignore",
)


def measure(root: Path, profile: str) -> dict[str, Any]:
    """Run the study of ``profile`` in an empty folder with an empty cache, and account for its time."""
    count = cores.available()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in COPIED:
            source, target = root / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)
        shutil.copy2(root / "profiles" / f"{profile}.yaml", folder / "params.yaml")
        subprocess.run(["dvc", "init", "--no-scm", "-q"], cwd=folder, check=True)
        log = folder / "model_time.txt"
        env = os.environ | {"POLYA_MODEL_TIME": str(log), "PYTHONPATH": str(folder / "src")}
        begun = time.monotonic()
        subprocess.run(["dvc", "repro", "-q"], cwd=folder, check=True, env=env)
        wall = time.monotonic() - begun
        seconds: Counter[str] = Counter()
        for line in log.read_text().splitlines():
            kind, value = line.split()
            seconds[kind] += float(value)
        tables = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((folder / "reports/tables").glob("*.csv"))
        }
    inside = sum(seconds.values())
    return {
        "overhead_ratio": round(wall * count / inside, 3),
        "profile": profile,
        "wall_seconds": round(wall, 1),
        "cores": count,
        "model_cpu_seconds": round(inside, 1),
        **{f"cpu_seconds_{kind}": round(value, 1) for kind, value in sorted(seconds.items())},
        "tables_sha256": tables,  # two runs on one machine must agree
    }
