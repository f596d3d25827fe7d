"""`make bench`: three ratios, each measured side by side in one run, written to reports/bench.json."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import generate_ratio
import overhead_ratio
import verify_ratio


def main() -> None:
    """Measure everything; the overhead on the profile named by the first argument (smoke unless named)."""
    root = Path(__file__).resolve().parent.parent
    os.chdir(root)
    checkpoint = root / "models/base/base-1"
    if not (checkpoint / "config.json").exists():
        sys.exit("bench: models/base/base-1 is missing; run `make repro` first (the benchmark samples its base policy)")
    data = os.environ.get("POLYA_DATA")
    result = {
        "generate": generate_ratio.measure(checkpoint),
        "verify": verify_ratio.measure(Path(data) if data else None),
        "overhead": overhead_ratio.measure(root, sys.argv[1] if len(sys.argv) > 1 else "smoke"),
    }
    path = root / "reports/bench.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
