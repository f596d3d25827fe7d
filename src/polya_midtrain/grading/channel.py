"""JSON values over a file descriptor, each with its length before it."""

from __future__ import annotations

import json
import os
import select
import struct
from collections.abc import Callable
from typing import Any

Wait = Callable[[int], None]  # returns when a channel, a file descriptor, is ready for POLLIN or POLLOUT, or raises
_HEAD = struct.Struct("=I")


def send(channel: int, value: Any, wait: Wait = lambda event: None) -> None:
    """One JSON value, its length before it. ``wait`` is called where a non-blocking channel takes no more."""
    data = json.dumps(value).encode()
    rest = memoryview(_HEAD.pack(len(data)) + data)
    while rest:
        try:
            rest = rest[os.write(channel, rest) :]
        except BlockingIOError:
            wait(select.POLLOUT)


def receive(channel: int, most: int, wait: Wait = lambda event: None) -> Any:
    """The next JSON value. ``wait`` is called before every read. EOFError where the other side has ended, ValueError
    for more than ``most`` bytes and for what is no JSON."""
    (length,) = _HEAD.unpack(_exactly(channel, _HEAD.size, wait))
    if length > most:
        raise ValueError(f"a value of {length} bytes, above {most}")
    return json.loads(_exactly(channel, length, wait))


def _exactly(channel: int, length: int, wait: Wait) -> bytes:
    data = bytearray()
    while len(data) < length:
        wait(select.POLLIN)
        part = os.read(channel, min(length - len(data), 1 << 20))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
