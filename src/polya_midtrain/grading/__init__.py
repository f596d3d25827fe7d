"""The verifier: (completion, gold, kind) -> verdict; deterministic, and bounded in time on any input."""

from __future__ import annotations

from polya_midtrain.grading.pool import grade_many, verify
from polya_midtrain.grading.verdict import REASONS, Verdict

__all__ = ["REASONS", "Verdict", "grade_many", "verify"]
