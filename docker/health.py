"""HEALTHCHECK of the image: exit code 0 unless this container serves the MLflow pages and they do not answer."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path


def main() -> int:
    command = Path("/proc/1/cmdline").read_bytes().split(b"\0")
    if b"ui" not in command:
        return 0
    address = f"http://127.0.0.1:{os.environ.get('PORT', '5000')}/health"
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # nosec B310 # of this container
            return int(answer.status != 200)
    except (urllib.error.URLError, OSError) as error:
        print(f"{address}: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
