"""The kinds of answers that can be graded. A new kind is one entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from polya_midtrain.errors import UserError
from polya_midtrain.grading import maths
from polya_midtrain.grading.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Grader:
    """``quick(completion, gold)`` decides what is cheap and safe to decide, or returns the text left to judge;
    ``compare(text, gold)`` judges that and may take any time: it runs in a helper process under limits."""

    quick: Callable[[str, str], Verdict | str]
    compare: Callable[[str, str], Verdict]


GRADERS = {"maths": Grader(maths.quick, maths.compare)}


def grader(kind: str) -> Grader:
    """The grader of a kind of question."""
    if kind not in GRADERS:
        raise UserError(f"unknown kind of question {kind!r}; the kinds are {', '.join(GRADERS)}: correct column `kind`")
    return GRADERS[kind]
