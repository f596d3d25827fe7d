"""Seeds: every random choice of the study is derived from params by name, never from a global state."""

from __future__ import annotations

import hashlib


def derive(*parts: int | str) -> int:
    """A 63-bit seed from a path of names and numbers, such as ``derive(params.seed, "generate", question_id)``.

    Two different paths give independent seeds; the same path gives the same seed on every machine and Python.
    """
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
