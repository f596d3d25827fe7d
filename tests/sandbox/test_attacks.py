"""Attack programs by the table: none gets through, whoever runs them and whatever of Landlock the kernel has."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import arena
import pytest
from programs import HAVE

from polya_midtrain.grading import landlock

ROOT = Path(__file__).resolve().parents[2]
NOBODY = "65534"
pytestmark = [
    pytest.mark.skipif(arena.BOTH != HAVE, reason=f"this kernel has only {sorted(HAVE)} of seccomp and Landlock"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of system calls are those of x86_64"),
]
KNOWN = {  # what the weaker sandboxes leave open, as `sandbox.gaps` says
    "seccomp alone": {"secrets"},
    "Landlock alone": {"arguments"},
    "neither": {"arguments", "secrets"},
}


@pytest.mark.parametrize("mode", ["full", "Landlock 1"])
def test_no_attack_gets_through(mode: str) -> None:
    assert {kind: found for kind, found in arena.through(mode).items() if found} == {}


@pytest.mark.faults
@pytest.mark.parametrize("mode", arena.STRONG)
def test_no_attack_gets_through_on_any_kernel(mode: str) -> None:
    if mode != "full" and arena.MODES[mode][1] > landlock.version():
        pytest.skip("this kernel's Landlock is older")
    assert {kind: found for kind, found in arena.through(mode).items() if found} == {}


def python_of_anybody() -> str | None:
    """A Python that another user can run too, and that the package runs on."""
    for python in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        check = "import sys, polya_midtrain.grading.code; sys.exit(sys.version_info < (3, 11))"
        if python and nobody(python, "-c", check).returncode == 0:
            return python
    return None


def nobody(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user without rights."""
    return subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )


@pytest.mark.faults
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("mode", [*arena.STRONG, *KNOWN])
def test_no_attack_of_another_user_gets_through(mode: str) -> None:
    """A weaker sandbox, which is entered by a setting alone, leaves open what it says; not tried as root."""
    if (python := python_of_anybody()) is None:
        pytest.skip("no Python from 3.11 on, and no copy of the package, that another user can read")
    ran = nobody(python, str(ROOT / "tests/sandbox/arena.py"), mode)
    assert ran.stderr == ""
    assert {kind for kind, found in json.loads(ran.stdout)[1].items() if found} <= KNOWN.get(mode, set())
