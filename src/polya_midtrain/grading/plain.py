"""Values on their way between a graded program and its tests, as JSON: plain data and nothing that runs.

A program cannot send an object of its own making, such as one that equals everything. Exact types survive where they
matter to ``==`` (a tuple is no list); subclasses become what they extend. What is no plain data is left to the caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, KeysView, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

_SAFE = 1 << 53  # larger integers go as hexadecimal: Python bounds the digits of decimal ones
_CONTAINERS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "list": (list, list),
    "tuple": (tuple, tuple),
    "set": (set, set),
    "frozenset": (frozenset, frozenset),
    "deque": (deque, deque),
    "keys": (KeysView, lambda items: dict.fromkeys(items).keys()),
}
_VALUES: dict[str, tuple[type, Callable[[Any], tuple[Any, ...]], Callable[..., Any]]] = {
    "complex": (complex, lambda value: (value.real, value.imag), complex),
    "Fraction": (Fraction, lambda value: (value.numerator, value.denominator), Fraction),
    "Decimal": (Decimal, lambda value: (str(value),), Decimal),
    "range": (range, lambda value: (value.start, value.stop, value.step), range),
    "bytes": (bytes, lambda value: (value.hex(),), bytes.fromhex),
    "bytearray": (bytearray, lambda value: (value.hex(),), bytearray.fromhex),
    "datetime": (datetime, lambda value: (value.isoformat(),), datetime.fromisoformat),
    "date": (date, lambda value: (value.isoformat(),), date.fromisoformat),
    "time": (time, lambda value: (value.isoformat(),), time.fromisoformat),
    "timedelta": (timedelta, lambda value: (value.days, value.seconds, value.microseconds), timedelta),
}
NO_CLASSES: Mapping[str, type] = {}


def encode(value: Any, other: Callable[[Any], list[Any]], classes: Mapping[str, type] = NO_CLASSES) -> Any:
    """``value`` as what JSON holds: null, booleans, numbers, strings, and lists that start with the type's name.

    Objects of ``classes`` go as their fields; ``other`` says what stands for what is no plain data. RecursionError for
    a value inside itself.
    """

    def inner(value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if (name := type(value).__name__) in classes and classes[name] is type(value):
            if isinstance(value, Enum):
                return ["made", name, inner(value.value)]
            if isinstance(value, tuple):
                return ["made", name, *map(inner, value)]
            return ["instance", name, inner(vars(value))]
        if isinstance(value, int):
            return int(value) if -_SAFE < value < _SAFE else ["int", f"{value:x}"]
        if isinstance(value, float):
            return float(value)
        if isinstance(value, str):
            return str.__str__(value)
        for name, (kind, _) in _CONTAINERS.items():
            if isinstance(value, kind):
                return [name, *map(inner, value)]
        if isinstance(value, dict):
            return ["dict", *(inner(side) for pair in value.items() for side in pair)]
        for name, (kind, parts, _) in _VALUES.items():
            if isinstance(value, kind):
                return [name, *map(inner, parts(value))]
        if getattr(value, "shape", None) == ():
            return inner(value.item())  # a number of numpy's
        return other(value)

    return inner(value)


def decode(value: Any, other: Callable[..., Any], classes: Mapping[str, type] = NO_CLASSES) -> Any:
    """The value that `encode` took; ``other`` says what is meant where its ``other`` gave this list. ValueError,
    TypeError or KeyError for what it does not give."""

    def inner(value: Any) -> Any:
        if not isinstance(value, list):
            if isinstance(value, dict):
                raise ValueError("an object of JSON stands for nothing")
            return value
        name, *rest = value
        if name in _CONTAINERS:
            return _CONTAINERS[name][1](map(inner, rest))
        if name == "dict":
            return {inner(key): inner(item) for key, item in zip(rest[::2], rest[1::2], strict=True)}
        if name == "int":
            return int(rest[0], 16)
        if name in _VALUES:
            return _VALUES[name][2](*map(inner, rest))
        if name == "made":
            return classes[rest[0]](*map(inner, rest[1:]))
        if name == "instance":
            made: Any = object.__new__(classes[rest[0]])
            vars(made).update(inner(rest[1]))
            return made
        return other(*value)

    return inner(value)


def overwrite(old: Any, new: Any) -> None:
    """Give a value that can change the contents of another one of its type."""
    if type(old) is not type(new):
        return
    if isinstance(old, list | bytearray):
        old[:] = new
    elif isinstance(old, dict | set | deque):
        old.clear()
        (old.extend if isinstance(old, deque) else old.update)(new)
    elif hasattr(old, "__dict__"):
        overwrite(vars(old), vars(new))
