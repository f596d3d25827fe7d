"""Maths answers, judged by math-verify, with an exact shortcut for plain numbers.

A completion's answer is the last non-blank ``\\boxed{...}`` whose braces balance; several boxes are never given to
math-verify together, because it merges neighbouring ones into a set. Without a box, math-verify extracts an answer
from the whole text. The gold is wrapped in ``\\boxed{}`` too: bare strings parse for fewer golds.

Integers are compared as numbers, as math-verify does: ``0038`` equals ``38``, ``1,234`` equals ``1234``.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

from polya_midtrain.grading.verdict import NO_ANSWER, Verdict, answered

# A doubled backslash is a line break, unless it is a box that was escaped twice, as in JSON.
_BRACES = re.compile(r"\\boxed\s*\{|\\\\(?!boxed)|\\[{}]|[{}]")

# Numbers for which math-verify's answer is known without asking it. Its normalisation drops dollar signs and outer
# blanks and spells every fraction \frac; its grammar then reads one sympy number (commas only in groups of three after
# a leading digit other than 0). Exact numbers are equal as numbers or not at all; a decimal is compared after rounding
# to six places, so up to six places it equals an integer or another decimal exactly or not at all. The lengths keep
# clear of Python's limit on converting strings and of the precision of floats. Property tests compare with math-verify.
_NUMBER = re.compile(
    r"""[ \n]*(?:\\?\$)?[ \n]*(?:
        (?P<whole>-?(?:[0-9]{1,300}|[1-9][0-9]{0,2}(?:,[0-9]{3}){1,99}))
        | (?P<sign>-?)\\[dtc]?frac\{(?P<top>-?[0-9]{1,99})\}\{(?P<bottom>[0-9]{1,99})\}
        | (?P<slash>-?[1-9][0-9]{0,99}/[1-9][0-9]{0,99})
        | (?P<decimal>-?[0-9]{1,8}\.[0-9]{1,6})
    )[ \n]*\$?[ \n]*""",
    re.VERBOSE,
)

# Every pattern by which math-verify extracts an answer needs one of these characters.
_ANSWERABLE = re.compile(r"[\d$\\\[]")


def boxed(text: str) -> str:
    """``text`` in a LaTeX box."""
    return f"\\boxed{{{text}}}"


def last_boxed(text: str) -> str | None:
    """The content of the non-blank, balanced ``\\boxed{}`` that starts last, or None; one pass over ``text``.

    Escaped braces (``\\{``) are text, not grouping. Of boxes inside each other the innermost starts last.
    """
    if "\\boxed" not in text:
        return None
    found: tuple[int, str] | None = None
    opened: list[int | None] = []  # where the content of each open brace starts; None for a brace that is no box
    for match in _BRACES.finditer(text):
        token = match.group()
        if token == "}":
            start = opened.pop() if opened else None
            if start is not None and (found is None or start > found[0]):
                content = text[start : match.start()]
                if content.strip():
                    found = (start, content)
        elif token == "{":
            opened.append(None)
        elif token.startswith("\\boxed"):
            opened.append(match.end())
    return found[1] if found else None


@lru_cache(maxsize=1 << 16)
def _number(text: str) -> tuple[Fraction, bool] | None:
    """The value of a plain number and whether it is written as a decimal; None for anything else."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    if match["whole"]:
        return Fraction(int(match["whole"].replace(",", ""))), False
    if match["decimal"]:
        return Fraction(match["decimal"]), True
    if match["slash"]:
        return Fraction(match["slash"]), False
    bottom = int(match["bottom"])
    return (Fraction(int(f"{match['sign']}1") * int(match["top"]), bottom), False) if bottom else None


def _same_number(answer: str, gold: str) -> bool | None:
    """Whether two plain numbers are equal; None where that is not for this shortcut to say."""
    ours, theirs = _number(answer), _number(gold)
    if ours is None or theirs is None:
        return None
    (value, decimal), (target, target_decimal) = ours, theirs
    if decimal != target_decimal and (target if decimal else value).denominator > 1:
        return None  # a decimal against a fraction: math-verify rounds
    return value == target


def quick(completion: str, gold: str) -> Verdict | str:
    """The verdict where it needs no algebra, else the text that `compare` has to judge."""
    content = last_boxed(completion)
    if content is None:
        return completion if _ANSWERABLE.search(completion) else Verdict(False, "", NO_ANSWER)
    same = _same_number(content, gold)
    return boxed(content) if same is None else answered(same, content.strip())


@lru_cache(maxsize=256)
def _parse(text: str) -> list[Any]:
    from math_verify import parse

    # Its own timeouts use SIGALRM, which fails off the main thread and cannot interrupt a long C call.
    parsed: list[Any] = parse(text, parsing_timeout=None)
    return parsed


def compare(text: str, gold: str) -> Verdict:
    """math-verify's judgement of ``text`` (from `quick`) against ``gold``. Unbounded in time: call it through
    `polya_midtrain.grading.grade_many`, which runs it under limits."""
    from math_verify import verify

    answer, target = _parse(text), _parse(boxed(gold))
    if not answer:
        return Verdict(False, "", NO_ANSWER)
    correct = not _differ(target, answer) and verify(target, answer, timeout_seconds=None)
    content = last_boxed(text)
    return answered(bool(correct), content.strip() if content is not None else str(answer[-1]))


def _differ(target: list[Any], answer: list[Any]) -> bool:
    """Whether two parsed expressions have clearly different values, which spares math-verify's symbolic attempts.

    True only where math-verify says no as well: it calls two expressions equal if their difference simplifies to zero,
    which a difference with a value away from zero at some point cannot. Left to math-verify are its other rules, for
    sets, relations, matrices, symbols, percentages and equal strings, and what has no value that is quickly had, such
    as 1/0, sums and integrals.
    """
    import sympy  # type: ignore[import-untyped]

    unclear = (sympy.UnevaluatedExpr, sympy.Sum, sympy.Product, sympy.Integral, sympy.Derivative, sympy.Limit)
    if target[-1:] == answer[-1:] or not target:
        return False
    pair = (target[0], answer[0])
    if not all(isinstance(side, sympy.Expr) for side in pair):
        return False
    if any(isinstance(side, sympy.Symbol | sympy.MatrixExpr) or side.has(*unclear) for side in pair):
        return False
    try:
        difference = pair[0] - pair[1]
        symbols = sorted(difference.free_symbols, key=str)
        point = {symbol: sympy.Rational(13 + 7 * index, 10) for index, symbol in enumerate(symbols)}
        value = difference.xreplace(point).evalf()
        return bool(value.is_Float and abs(value) > 1e-3)
    except Exception:  # whatever sympy cannot evaluate is left to math-verify
        return False
