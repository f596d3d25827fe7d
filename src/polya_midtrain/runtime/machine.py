"""What a run's record says of the machine that it runs on, read without loading torch or opening a GPU."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import runpy
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from polya_midtrain.checkpoints import policy

GPUS = Path("/proc/driver/nvidia/gpus")
PRECISION = {  # the rule of `policy.precision`, in words
    "cpu": "float32",
    "cuda": "sampled and scored as stored, trained in float32 under bfloat16 autocast",
}


@functools.cache
def tags(wanted: str) -> dict[str, str]:
    """Device, number formats and versions, by name, for the setting ``wanted`` (auto, cpu or cuda).

    ``driver`` and ``cuda`` only where a GPU is used, ``vllm`` where it is installed, ``image`` in a container: the
    digest that POLYA_IMAGE names (an image cannot know its own), or else the revision that it was built from.
    """
    cuda = "" if wanted == "cpu" else _cuda()
    gpus = _gpus() if cuda and os.environ.get("CUDA_VISIBLE_DEVICES") != "" else []
    kind = "cuda" if gpus or wanted == "cuda" else "cpu"
    counted = (f"{count} x {name}" if count > 1 else name for name, count in Counter(gpus).items())
    revision = os.environ.get("POLYA_REVISION", "")
    found = {
        "device": ", ".join(counted) or kind,
        "precision": PRECISION[kind],
        "torch": _version("torch"),
        "vllm": _version("vllm"),
        "image": os.environ.get("POLYA_IMAGE") or (revision and f"revision {revision}"),
    }
    if kind == "cuda":
        found |= {"driver": policy.driver(), "cuda": cuda}
    return {name: value for name, value in found.items() if value}


def _gpus() -> list[str]:
    """The names of this host's GPUs, as its driver lists them."""
    files = sorted(GPUS.glob("*/information"))
    found = (re.search(r"^Model:\s*(.+)$", file.read_text(), re.MULTILINE) for file in files)
    return [match[1].strip() for match in found if match]


def _cuda() -> str:
    """The CUDA that torch was built for; "" for a build without. Its file of versions takes no import of torch."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return ""
    return str(runpy.run_path(str(Path(spec.origin).with_name("version.py")))["cuda"] or "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
