"""`make bench-gpu`: the table of `gpu_rows`, measured in one run, into reports/gpu/MONTH-DEVICE.json.

Each row has a process of its own, because vLLM leaves the GPU only with its process; a row that fails is a line of the
table that says why. `--tiny` rehearses the rows on a CPU, without vLLM: it proves that they run, its figures mean
nothing, and it writes no file. Nothing else may use the GPU meanwhile.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpu_rows import ROOT, ROWS, TINY, Bench, Sizes
from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.runtime import machine, tracking

CHECKPOINTS = ROOT / ".scratch/bench-gpu"
PATIENCE = 900  # seconds of a row


def in_a_process(row: str, tiny: bool) -> dict[str, Any]:
    """The figures of a row, or its ``fault``: the last line that it said."""
    command = [sys.executable, __file__, "--row", row, *(["--tiny"] if tiny else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return {"fault": f"not done after {PATIENCE} s"}
    if done.returncode:
        return {"fault": (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:300]}
    told = [line for line in done.stdout.splitlines() if line.startswith("{")]  # vLLM may speak after it
    return dict(json.loads(told[-1]))


def main(arguments: Sequence[str]) -> int:
    """One row, its figures as a line of JSON; or all of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tiny", action="store_true", help="rehearse on a CPU")
    parser.add_argument("--row", choices=ROWS, help="one row alone, in this process")
    given = parser.parse_args(arguments)
    try:
        device = policy.device_of("cpu" if given.tiny else "cuda")
        if given.row:
            print(json.dumps(ROWS[given.row](Bench(TINY if given.tiny else Sizes(), device, CHECKPOINTS))))
            return 0
    except UserError as error:
        print(f"bench-gpu: {error}", file=sys.stderr)
        return 2
    rows = {}
    for row in ROWS:
        if not (given.tiny and row.endswith("vllm")):
            rows[row] = in_a_process(row, given.tiny)
            print(row, json.dumps(rows[row]), flush=True)
    if given.tiny:
        return int(any("fault" in found for found in rows.values()))
    today, about = datetime.date.today(), machine.tags(device)
    device = re.sub(r"[^a-z0-9]+", "-", about["device"].lower())
    path = Path("reports/gpu") / f"{today:%Y-%m}-{device}.json"
    made = {"date": today.isoformat(), "commit": tracking.commit(), "machine": about, "sizes": asdict(Sizes())}
    (ROOT / path).write_text(json.dumps(made | {"notes": [], "rows": rows}, indent=2) + "\n", encoding="utf-8")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
