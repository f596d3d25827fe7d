"""Maths answers: the completion's and the gold, in one notation, compared as numbers, as words or by math-verify.

`answers` says where an answer stands, `notation` how it is written, `equality` when two formulas are one; the rules,
and where they differ from math-verify's, are in docs/grading.md. Integers are numbers: ``0038`` equals ``38``.
"""

from __future__ import annotations

import re
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from typing import Any

from polya_midtrain.grading.answers import boxed, boxes, joined, last_boxed, stated
from polya_midtrain.grading.equality import equal
from polya_midtrain.grading.notation import Written, in_base, prose, words, wordy, written
from polya_midtrain.grading.reasoning import spoken
from polya_midtrain.grading.verdict import NO_ANSWER, Verdict, answered

__all__ = ["boxed", "compare", "last_boxed", "quick"]

# Numbers that need no algebra. Exact ones are equal as numbers or not at all; a decimal is compared after rounding to
# six places, so up to six places it equals an integer or another decimal exactly or not at all. The lengths keep clear
# of Python's limit on converting strings and of the precision of floats.
_NUMBER = re.compile(
    r"""
        (?P<whole>-?(?:[0-9]{1,300}|[1-9][0-9]{0,2}(?:,[0-9]{3}){1,99}))
        | (?P<sign>-?)\\[dtc]?frac\{(?P<top>-?[0-9]{1,99})\}\{(?P<bottom>[0-9]{1,99})\}
        | (?P<slash>-?[1-9][0-9]{0,99}/[1-9][0-9]{0,99})
        | (?P<decimal>-?(?:[0-9]{1,8}|[1-9][0-9]{0,2}(?:,[0-9]{3}){1,2})\.[0-9]{1,6})
    """,
    re.VERBOSE,
)

LONGEST = 1000  # characters of an answer that are looked at
_DEEPEST = 10  # brackets in each other: the parser's time grows with their square
_TOWER = 3  # exponents in each other
_HUGE = re.compile(
    r"[0-9]{400}|[0-9]{5,}\s*!|!\s*!|!\s*\)\s*!|(?:\^|\\binom)\s*\{?\s*-?[0-9]{5,}"
    r"|\\(?:sum|prod|int)(?![A-Za-z])[^=]{0,20}=?[^=]{0,20}?\^\s*\{?\s*[0-9]{4,}|(?:\^\s*\{?-?[0-9]+\}?\s*){3}"
)

# Every pattern by which math-verify extracts an answer needs one of these characters.
_ANSWERABLE = re.compile(r"[\d$\\\[]")
_TAIL = 20_000  # characters at the end that are searched for "the answer is"
_LOOSE = 5000  # ... and for any formula or number, where nothing says which is the answer
_COMMAND = re.compile(r"\\[A-Za-z]+")
_SENTENCE = re.compile(r"[^\W\d_]{4}")
_LOOK = re.compile(r"(?<![0-9])\s+|\s+(?![0-9])|\\(?:left|right)(?![A-Za-z])|\\[,;:! ]")
_TIME = re.compile(r"0?(\d{1,2}):(\d\d)\s*(?:\\(?:text|mathrm)\{\s*)?(?:([aApP])\.?\s*[mM]\.?)?\s*\}?")


def quick(completion: str, gold: str) -> Verdict | str:
    """The verdict where it needs no algebra, else the text that `compare` has to judge."""
    text = spoken(completion)
    if boxes(text):
        content = joined(text)
        if content is None:
            return Verdict(False, "", NO_ANSWER)
    else:
        text = prose(text[-_TAIL:])
        content = stated(text)
        if content is None or not _readable(content, gold):
            return text[-_LOOSE:] if _ANSWERABLE.search(text) else Verdict(False, "", NO_ANSWER)
    if len(content) > LONGEST:
        return answered(content.strip() == gold.strip(), content.strip())
    decided = _decide(written(content), _target(gold))
    return boxed(content) if decided is None else answered(decided, content.strip())


def compare(text: str, gold: str) -> Verdict:
    """The verdict on ``text`` (from `quick`). Unbounded in time: call it through `polya_midtrain.grading.grade_many`,
    which runs it under limits."""
    content = last_boxed(text)
    if content is not None:
        return answered(_equal(written(content), _target(gold)), content.strip())
    from math_verify import parse

    # Its own timeouts use SIGALRM, which fails off the main thread and cannot interrupt a long C call.
    found = parse(text, parsing_timeout=None)
    if not found:
        return Verdict(False, "", NO_ANSWER)
    value, percent = _without_percent(found[0])
    target = _target(gold)
    expected = _parsed(target.latex, True)
    correct = expected is not None and not isinstance(value, str) and _same(value, percent, expected, target.percent)
    return answered(correct, str(found[-1]))


@lru_cache(maxsize=1 << 14)
def _target(gold: str) -> Written:
    """The gold in one notation; that of its last boxes where it is a whole solution."""
    return written(joined(gold) or gold)


def _readable(content: str, gold: str) -> bool:
    """Whether what follows "the answer is" is an answer and no sentence with one in it."""
    if len(content) > LONGEST or last_boxed(boxed(content)) != content:
        return False
    if _tight(written(content).latex) == _tight(_target(gold).latex):
        return True
    if wordy(_target(gold).latex):
        return len(content.split()) <= 4
    return not _SENTENCE.search(_COMMAND.sub(" ", written(content).latex))


def _decide(ours: Written, theirs: Written) -> bool | None:
    """The verdict where texts and numbers are enough for it, else None."""
    if _tight(ours.latex) == _tight(theirs.latex):
        return bool(ours.latex)
    for rule in (_same_number, _same_words, _same_base, _same_time):
        same = rule(ours, theirs)
        if same is not None:
            return same
    for sign in ("\\forall", "\\exists", "\\ldots"):
        if (sign in ours.latex) != (sign in theirs.latex):
            return False  # a statement of all cases is none of one, and a series no list
    return None if _manageable(ours.latex) else False


def _tight(text: str) -> str:
    """A text without what only spaces it out."""
    return _LOOK.sub("", text).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")


@lru_cache(maxsize=1 << 16)
def _number(text: str) -> tuple[Fraction, bool] | None:
    """The value of a plain number and whether it is written as a decimal; None for anything else."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    if match["whole"]:
        return Fraction(int(match["whole"].replace(",", ""))), False
    if match["decimal"]:
        return Fraction(match["decimal"].replace(",", "")), True
    if match["slash"]:
        return Fraction(match["slash"]), False
    bottom = int(match["bottom"])
    return (Fraction(int(f"{match['sign']}1") * int(match["top"]), bottom), False) if bottom else None


def _same_number(answer: Written, gold: Written) -> bool | None:
    """Whether two plain numbers are equal: 20% is 20 and is 0.2; None where that is not for this shortcut to say."""
    ours, theirs = _number(answer.value), _number(gold.latex)
    if ours is None or theirs is None:
        return None
    (value, decimal), (target, target_decimal) = ours, theirs
    if value == target:
        return True
    if answer.percent != gold.percent and (value / 100 == target if answer.percent else value == target / 100):
        return True
    if decimal != target_decimal and (target if decimal else value).denominator > 1:
        return None  # a decimal against a fraction is rounded
    return False


def _same_words(answer: Written, gold: Written) -> bool | None:
    """Whether words are the same; the letters of a word in another order are not, as they would be as variables."""
    if not (wordy(answer.latex) or wordy(gold.latex)):
        return None
    ours, theirs = words(answer.latex), words(gold.latex)
    return ours is not None and ours == theirs


def _same_base(answer: Written, gold: Written) -> bool | None:
    """Whether numbers of which one names its base are the same. An answer without a base has the gold's, which the
    question asked for; a gold without one is decimal."""
    ours, theirs = in_base(answer.latex), in_base(gold.latex)
    if ours is None and theirs is None:
        return None
    if theirs is not None:
        return (ours or (answer.latex.upper().lstrip("0"), theirs[1])) == theirs
    assert ours is not None
    number = _number(gold.latex)
    try:
        return number is not None and int(*ours) == number[0]
    except ValueError:  # a digit that the base does not have
        return False


def _same_time(answer: Written, gold: Written) -> bool | None:
    """Whether times of day are the same; 12:00 is no ratio."""
    ours, theirs = _TIME.fullmatch(answer.latex), _TIME.fullmatch(gold.latex)
    if ours is None or theirs is None:
        return False if any(side and side[2][0] == "0" for side in (ours, theirs)) else None
    halves = {half.casefold() for half in (ours[3], theirs[3]) if half}
    return ours.group(1, 2) == theirs.group(1, 2) and len(halves) < 2


def _manageable(text: str) -> bool:
    """Whether an answer is of a size that can be right and that the parser can take."""
    if _HUGE.search(text):
        return False
    depth = deepest = tower = highest = 0
    powers: list[bool] = []
    for before, sign in zip(" " + text, text, strict=False):
        if sign in "([{":
            powers.append(before == "^")
            depth, tower = depth + 1, tower + powers[-1]
            deepest, highest = max(deepest, depth), max(highest, tower)
        elif sign in ")]}" and powers:
            depth, tower = depth - 1, tower - powers.pop()
    return deepest <= _DEEPEST and highest < _TOWER


def _equal(ours: Written, theirs: Written) -> bool:
    """Whether an answer equals the gold, by algebra."""
    from math_verify.grader import should_treat_as_complex

    real = not any(should_treat_as_complex(side.latex) for side in (ours, theirs))
    gold = _parsed(theirs.latex, real)
    if gold is None:
        return False
    answer = _parsed(ours.latex if getattr(gold, "free_symbols", None) else ours.value, real)
    return answer is not None and _same(answer, ours.percent, gold, theirs.percent)


def _same(answer: Any, percent: bool, gold: Any, gold_percent: bool) -> bool:
    """Whether two parsed answers are the same; a percentage is its number and its share."""
    from sympy import Expr  # type: ignore[import-untyped]

    if equal(gold, answer):
        return True
    if percent == gold_percent or not (isinstance(answer, Expr) and isinstance(gold, Expr)):
        return False
    return equal(gold, answer / 100) if percent else equal(gold / 100, answer)


@lru_cache(maxsize=1 << 10)
def _parsed(text: str, real: bool) -> Any:
    """What the LaTeX of an answer says, to sympy; None where the parser does not read it."""
    from latex2sympy2_extended.latex2sympy2 import NormalizationConfig, latex2sympy, normalize_latex
    from math_verify.parser import get_last_eq

    # units are gone: math-verify would take the variable of 6m for one
    form = normalize_latex(text, NormalizationConfig(units=False, malformed_operators=True, nits=True, boxed="none"))
    for part in dict.fromkeys((form, get_last_eq(form))):
        with suppress(Exception):  # the parser raises errors of many types at what is no formula
            return latex2sympy(part, is_real=real, normalization_config=None)
    return None


def _without_percent(value: Any) -> tuple[Any, bool]:
    """A value that math-verify found in prose, and whether it was a percentage."""
    from math_verify.grader import get_pct_val

    number = get_pct_val(value)
    return (value, False) if number is None else (number, True)
