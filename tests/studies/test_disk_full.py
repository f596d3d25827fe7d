"""A disk that fills in the middle of a study: it is said in one line, and with room again the run goes on.

The disk is a tmpfs. Once a stage has begun its work, all of the disk but a little is taken, until `make repro` ends.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

ARMS = {"vanilla": {"traces": "none"}, "n1": {"traces": "heuristics", "n": 1}}
# The folder of a stage's work below .scratch, and how much is left free then.
FILLED = [("base", 0), ("generate", 8192), ("midtrain-n1", 100_000), ("rl-n1", 0), ("evaluate-n1", 8192)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def hashes(study: Path) -> dict[str, str]:
    """What dvc.lock says of every output, but for those that tell the time that something took."""
    stages = yaml.safe_load((study / "dvc.lock").read_text())["stages"].values()
    found = {out["path"]: out["md5"] for stage in stages for out in stage["outs"]}
    timed = ("results/metrics/", "reports/claims", "reports/index.html")
    return {path: md5 for path, md5 in found.items() if not path.startswith(timed)}


@pytest.mark.faults
def test_a_run_whose_disk_fills_at_five_stages_makes_the_same_bytes(
    small_study: Callable[..., Path], environment: Callable[[Path], dict[str, str]], run: Callable[..., str], disk: Path
) -> None:
    origin, study = small_study(ARMS), disk / "study"
    shutil.copytree(origin, study)
    done: list[str] = []
    for place, free in FILLED:
        process = subprocess.Popen(
            ["make", "repro"],
            cwd=study,
            env=environment(study),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        def fill(process: subprocess.Popen[str] = process, place: str = place, free: int = free) -> None:
            while process.poll() is None and not list((study / ".scratch").glob(f"{place}/*")):
                time.sleep(0.01)
            room = os.statvfs(disk)
            (disk / "filler").write_bytes(bytes(max(room.f_bavail * room.f_frsize - free, 0)))

        filling = threading.Thread(target=fill)
        filling.start()
        said, faults = process.communicate()
        filling.join()
        (disk / "filler").unlink()
        assert process.returncode, place
        assert "Traceback" not in faults
        ours = [line for line in faults.splitlines() if line.startswith("polya: ") and "warning" not in line]
        assert ours, faults
        assert all("; make room, then run the same command again" in line for line in ours), faults
        begun = re.findall(r"^\[\d+/\d+.*\] (\S+)$", said, re.MULTILINE)
        # What was finished is not run again; the last two of each run are the one at work and the one being recorded.
        assert not set(begun) & set(done)
        done += begun[:-2]
    run("make", "repro", folder=study)
    run("make", "repro", folder=origin)
    assert hashes(study) == hashes(origin)
