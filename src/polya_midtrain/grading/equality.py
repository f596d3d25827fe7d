"""When two parsed answers are one: numbers by their values, lists and tuples part by part, the rest by math-verify.

math-verify calls constants equal whose difference is below 1e-15, however small they are themselves; here a difference
counts in proportion. Left to it is what has no value: relations, other sets, formulas that agree at one point.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from zlib import crc32

DIGITS = 50  # of an exact value: more than a near miss like exp(pi sqrt(163)) needs
PLACES = 6  # to which a decimal is compared, as in math-verify
SMALL = 1e-3  # below it a decimal is compared to as many significant digits: places say little there


def equal(gold: Any, answer: Any) -> bool:
    """Whether ``answer`` is what ``gold`` asks for. Not symmetric: a list may stand for a pair, not a pair for two."""
    import sympy  # type: ignore[import-untyped]

    gold, answer = _bare(gold, answer)
    wanted, given = _vector(gold), _vector(answer)
    if wanted is not None and isinstance(answer, sympy.FiniteSet):
        given = tuple(getattr(answer, "_unsorted_args", answer.args))
    if wanted is not None and given is not None:
        return len(wanted) == len(given) and all(map(equal, wanted, given))
    if isinstance(gold, sympy.FiniteSet):
        parts = answer.args if isinstance(answer, sympy.FiniteSet) else given or [answer]
        return _matched(_distinct(gold.args), _distinct(parts))
    if isinstance(answer, sympy.FiniteSet) and isinstance(gold, sympy.Expr):
        return _matched([gold], _distinct(answer.args))
    if isinstance(gold, sympy.Interval) and isinstance(answer, sympy.Interval):
        sides = (gold.left_open, gold.right_open) == (answer.left_open, answer.right_open)
        return sides and equal(gold.start, answer.start) and equal(gold.end, answer.end)
    if isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr):
        same = _same_value(gold, answer)
        if same is not None:
            return same
    return _by_math_verify(gold, answer)


def _bare(gold: Any, answer: Any) -> tuple[Any, Any]:
    """Both sides without the name that a value was given: 5 for x = 5. Two different names stay."""
    import sympy
    from latex2sympy2_extended import is_expr_of_only_symbols

    first, second = _equation(gold), _equation(answer)
    named = first is not None and is_expr_of_only_symbols(first[0])
    if first is not None and second is not None:
        same_name = named and (first[0] == second[0] or isinstance(first[0], sympy.MatrixBase))
        return (first[1], second[1]) if same_name else (gold, answer)
    gold = first[1] if first is not None and named else gold
    answer = second[1] if second is not None else answer
    regions = _region(gold), _region(answer)
    free = [side.free_symbols for side in (gold, answer) if not isinstance(side, sympy.Set)]
    known = all(isinstance(region, sympy.Set) for region in regions) and all(names == free[0] for names in free)
    return regions if known else (gold, answer)


def _equation(side: Any) -> tuple[Any, Any] | None:
    """The first and the last member of an equation or a chain of them, the name first; None for anything else."""
    import sympy
    from latex2sympy2_extended.logic import And

    parts = side._unsorted_args if isinstance(side, And) else (side,)
    if not parts or not all(isinstance(part, sympy.Eq) for part in parts):
        return None
    first, last = parts[0].lhs, parts[-1].rhs
    return (last, first) if isinstance(last, sympy.Symbol) and not first.free_symbols else (first, last)  # 5 = x


def _region(side: Any) -> Any:
    """Inequalities of one variable as the set in which they hold. In a list it is enough that one of them does, unless
    that is always so."""
    import sympy
    from sympy.core.relational import Relational  # type: ignore[import-untyped]

    parts = side.args if isinstance(side, sympy.FiniteSet) else [side]
    if len(getattr(side, "free_symbols", ())) != 1 or any(
        isinstance(part, sympy.Eq) or not isinstance(part, Relational | sympy.And) for part in parts
    ):
        return side
    try:
        sets = [part.as_set() for part in parts]
    except Exception:  # sympy solves not everything
        return side
    union = sympy.Union(*sets)
    return sympy.Intersection(*sets) if union == sympy.S.Reals else union


def _vector(side: Any) -> Sequence[Any] | None:
    """The parts of a tuple, a pair (which is read as an open interval) or a row or column."""
    import sympy

    if isinstance(side, sympy.Tuple):
        return tuple(side.args)
    if isinstance(side, sympy.Interval) and side.left_open and side.right_open:
        return side.start, side.end
    if isinstance(side, sympy.MatrixBase) and 1 in side.shape:
        return list(side.flat())
    return None


def _distinct(parts: Sequence[Any]) -> list[Any]:
    """The parts of a list, each value once: 1/2 or 0.5 is one answer."""
    import sympy

    kept: list[Any] = []
    for part in parts:
        number = isinstance(part, sympy.Expr)
        if not any(number and isinstance(other, sympy.Expr) and _same_value(other, part) for other in kept):
            kept.append(part)
    return kept


def _matched(gold: Sequence[Any], answer: Sequence[Any]) -> bool:
    """Whether each part of the one is a part of the other, in any order."""
    left = list(answer)
    for part in gold:
        index = next((index for index, other in enumerate(left) if equal(part, other)), None)
        if index is None:
            return False
        del left[index]
    return not left


@lru_cache(maxsize=1 << 10)
def _value(side: Any) -> Any:
    """The value of an expression to `DIGITS` digits, each variable at a point that hangs on its name; None where it has
    none or not quickly."""
    import sympy

    unclear = (sympy.Sum, sympy.Product, sympy.Integral, sympy.Derivative, sympy.Limit, sympy.MatrixExpr)
    if isinstance(side, sympy.Symbol) or side.has(*unclear):
        return None
    try:
        point = {name: 1 + sympy.Rational(crc32(str(name).encode()) % 9973, 10**4) for name in side.free_symbols}
        value = side.xreplace(point).evalf(DIGITS)
        return value if value.is_number and value.is_finite else None
    except Exception:  # whatever sympy cannot evaluate is left to math-verify
        return None


def _same_value(gold: Any, answer: Any) -> bool | None:
    """Whether two expressions have one value; None where that is not known, as for formulas that agree at one point."""
    import sympy

    first, second = _value(gold), _value(answer)
    if first is None or second is None:
        return None
    decimal = gold.has(sympy.Float) or answer.has(sympy.Float)
    if not all(_close(*parts, decimal) for parts in zip(first.as_real_imag(), second.as_real_imag(), strict=True)):
        return False
    if gold.free_symbols or answer.free_symbols:
        return None
    exact = (gold - answer).doit() if not decimal else None
    return not exact if getattr(exact, "is_Rational", False) else True


def _close(first: Any, second: Any, decimal: bool) -> bool:
    """Whether two real values are one; a ``decimal`` is what its last digit leaves open."""
    gap, size = abs(first - second), max(abs(first), abs(second))
    if gap <= size * 10 ** (-12 if decimal else 5 - DIGITS):
        return True
    if not decimal:
        return False
    return bool(round(first, PLACES) == round(second, PLACES) if size >= SMALL else gap <= 5 * size * 10**-PLACES)


def _by_math_verify(gold: Any, answer: Any) -> bool:
    from math_verify import verify

    return bool(verify(gold, answer, timeout_seconds=None, allow_set_relation_comp=True))
