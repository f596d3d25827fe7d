"""One spelling for texts that say the same: markup, case, blanks and digit grouping aside."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

_LAYOUT = re.compile(r"\\(?:left|right|displaystyle|q?quad|text|mathrm)(?![a-z])|\\[,;:! ]|(?<=\\)[dt](?=frac)")
_GROUPED = re.compile(r"(?<=\d)\{?,\}?(?=\d{3}(?!\d))")
_NUMBER = re.compile(r"[-+]?\d{1,300}(?:[./]\d{1,300})?")
# What tells two questions apart. The letters of neighbouring words run together, because LaTeX has `A B` and `AB` for
# one thing; a number stands alone, so that 5 is not found in 50, nor 1, 2 in 12.
_PIECE = re.compile(r"(\d+(?:\.\d+)?)|[^\W\d_]|[-+*/=<>^!%|\u2200-\u22ff]")


@lru_cache(maxsize=1 << 15)
def question(text: str) -> str:
    """The letters, numbers and operators of a question, in one spelling; of one without any, what it is."""
    return "".join(f" {piece[0]} " if piece[1] else piece[0] for piece in _PIECE.finditer(_plain(text))) or text.strip()


def gold(text: str) -> Fraction | str:
    """An answer as a key: equal for 7, 7.0 and $7$, for 1/2 and 0.5, and for two spellings of one formula."""
    bare = re.sub(r"[\s$]", "", _plain(text))
    try:
        return Fraction(bare) if _NUMBER.fullmatch(bare) else bare
    except ZeroDivisionError:
        return bare


def _plain(text: str) -> str:
    return _GROUPED.sub("", _LAYOUT.sub("", unicodedata.normalize("NFKC", text).casefold()))
