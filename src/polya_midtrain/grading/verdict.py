"""What a grader says of one completion."""

from __future__ import annotations

from dataclasses import dataclass

RIGHT = "right"  # the extracted answer equals the gold
WRONG = "wrong"  # an answer was found and differs from the gold
NO_ANSWER = "no answer"  # the completion holds nothing that reads as an answer
TIMEOUT = "timeout"  # the comparison used up its time, or took its helper process down; counted as not correct
REASONS = (RIGHT, WRONG, NO_ANSWER, TIMEOUT)

MAX_EXTRACTED = 200  # characters kept of an extracted answer: verdicts are stored one per completion


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reason`` is one of `REASONS`, ``correct`` holds for ``right`` only, ``extracted`` is "" where nothing was found
    or the comparison did not end."""

    correct: bool
    extracted: str
    reason: str


def answered(correct: bool, extracted: str) -> Verdict:
    """The verdict on a completion that does give an answer."""
    return Verdict(correct, extracted[:MAX_EXTRACTED], RIGHT if correct else WRONG)
