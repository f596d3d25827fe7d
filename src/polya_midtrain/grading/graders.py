"""The kinds of answers that can be graded. A new kind is one entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from polya_midtrain.errors import UserError
from polya_midtrain.grading import choice, code, maths
from polya_midtrain.grading.limits import Limits
from polya_midtrain.grading.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Grader:
    """``quick(completion, gold)`` decides what is cheap and safe to decide, or returns the text left to judge;
    ``compare(text, gold)`` judges that and may take any time: it runs in a helper process under limits, which
    ``prepare(limits)`` makes ready; it returns what is weaker than usual on this machine. ``bare``: completions are
    run, so the helper gets no environment.
    """

    quick: Callable[[str, str], Verdict | str]
    compare: Callable[[str, str], Verdict]
    prepare: Callable[[Limits], list[str]] = lambda limits: []
    bare: bool = False


def _load_maths(_: Limits) -> list[str]:
    """Load math-verify before the first job, whose time is limited; it would log whole completions."""
    import logging

    import math_verify  # noqa: F401

    logging.disable(logging.CRITICAL)
    return []


GRADERS = {
    "maths": Grader(maths.quick, maths.compare, _load_maths),
    "code": Grader(code.quick, code.compare, code.prepare, bare=True),
    "choice": Grader(choice.judge, choice.judge),  # never left for later
}


def grader(kind: str) -> Grader:
    """The grader of a kind of question."""
    if kind not in GRADERS:
        raise UserError(f"unknown kind of question {kind!r}; the kinds are {', '.join(GRADERS)}: correct column `kind`")
    return GRADERS[kind]
