"""Values on their way between a graded program and its tests, as JSON: plain data and nothing that runs.

A program cannot send an object of its own making, such as one that equals everything. Exact types survive where they
matter to ``==`` (a tuple is no list); subclasses become what they extend, other iterables an `Items`, other objects an
object that equals nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

_SAFE = 1 << 53  # larger integers go as hexadecimal: Python bounds the digits of decimal ones
_CONTAINERS: dict[str, type[Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


class Items:
    """What a program returned as an iterable of another type: it can be walked through and equals only itself."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = list(items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


def encode(value: Any) -> Any:
    """``value`` as what JSON holds: null, booleans, numbers, strings, and lists that start with the type's name.

    RecursionError for a value inside itself.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -_SAFE < value < _SAFE else ["int", f"{value:x}"]
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    for name, kind in _CONTAINERS.items():
        if isinstance(value, kind):
            return [name, *map(encode, value)]
    if isinstance(value, dict):
        return ["dict", *(encode(side) for pair in value.items() for side in pair)]
    if isinstance(value, bytes | bytearray):
        return ["bytes", value.hex()]
    if isinstance(value, complex):
        return ["complex", value.real, value.imag]
    if getattr(value, "shape", None) == ():
        return encode(value.item())  # a number of numpy's
    if hasattr(value, "__iter__"):
        return ["items", *map(encode, value)]
    return ["object"]


def decode(value: Any) -> Any:
    """The value that `encode` took. ValueError or TypeError for what it does not give."""
    if not isinstance(value, list):
        if isinstance(value, dict):
            raise ValueError("an object of JSON stands for nothing")
        return value
    name, *rest = value
    if name in _CONTAINERS:
        return _CONTAINERS[name](map(decode, rest))
    if name == "dict":
        return {decode(key): decode(item) for key, item in zip(rest[::2], rest[1::2], strict=True)}
    if name == "items":
        return Items(map(decode, rest))
    if name == "int":
        return int(rest[0], 16)
    if name == "bytes":
        return bytes.fromhex(*rest)
    if name == "complex":
        return complex(*rest)
    if name == "object":
        return object()
    raise ValueError(f"unknown type {name!r}")
