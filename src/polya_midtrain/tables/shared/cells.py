"""How every readable table prints a number; what is not there is a dash."""

from __future__ import annotations

from typing import Any

from polya_midtrain.tables.row import Row

UNKNOWN = "-"
SOURCES = "A: authors' post; R: published review."


def number(value: float | None) -> str:
    """A number without a sign."""
    return UNKNOWN if value is None else f"{value:.3f}"


def value(row: Row | None) -> str:
    """The value alone."""
    return number(row.value if row else None)


def score(row: Row | None, marked: bool = False, decimals: int = 3) -> str:
    """Value and interval; ``marked``: with the mark of its difference's significance."""
    if row is None:
        return UNKNOWN
    ends = "" if row.low is None else f" [{row.low:.{decimals}f}, {row.high:.{decimals}f}]"
    return f"{row.value:.{decimals}f}{ends}" + (_mark(row) if marked else "")


def change(row: Row | None, marked: bool = True) -> str:
    """A difference, relative change or slope: signed, with its interval if it has one, and the mark."""
    return UNKNOWN if row is None else _signed(row.value, row.low, row.high) + (_mark(row) if marked else "")


def difference(row: Row | None) -> str:
    """The difference that a row has beside its value, in the same form."""
    return UNKNOWN if row is None or row.diff is None else _signed(row.diff, row.diff_low, row.diff_high) + _mark(row)


def p_value(row: Row | None) -> str:
    """Holm's p."""
    p = row.p_holm if row else None
    return "< 0.001" if p is not None and p < 0.001 else number(p)


def detectable(row: Row | None) -> str:
    """The detectable difference."""
    size = row.detectable if row else None
    return "> 1" if size is not None and size > 1.0 else number(size)


def _signed(value: float, low: float | None, high: float | None) -> str:
    return f"{value:+.3f}" + ("" if low is None else f" [{low:+.3f}, {high:+.3f}]")


def _mark(row: Row) -> str:
    return "*" if row.significant == "yes" else ""


def decoding(settings: dict[str, Any]) -> str:
    """The settings of decoding that are not empty."""
    return ", ".join(f"{name} {value!r}" for name, value in sorted(settings.items()) if value != "")
