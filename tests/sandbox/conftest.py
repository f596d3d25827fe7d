from __future__ import annotations

from collections.abc import Iterator

import pytest
from programs import QUICK

from polya_midtrain.grading import pool


@pytest.fixture(autouse=True, scope="module")
def quick_limits() -> Iterator[None]:
    """Limits of a second on the processor, in helpers of their own; no verdict hangs on the clock."""
    usual = pool.LIMITS, pool.WALL_SECONDS
    pool.close_helpers()
    pool.LIMITS, pool.WALL_SECONDS = QUICK, 600.0
    yield
    pool.close_helpers()
    pool.LIMITS, pool.WALL_SECONDS = usual
