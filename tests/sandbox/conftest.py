from __future__ import annotations

from collections.abc import Iterator

import pytest
from programs import QUICK

from polya_midtrain.grading import pool


@pytest.fixture(autouse=True, scope="module")
def quick_limits() -> Iterator[None]:
    """Limits of a second, in helpers of their own."""
    usual = pool.LIMITS
    pool.close_helpers()
    pool.LIMITS = QUICK
    yield
    pool.close_helpers()
    pool.LIMITS = usual
