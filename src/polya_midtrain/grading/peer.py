"""Calls between a graded program and its tests, which are different processes.

Plain data travel by value (see `plain`). What is no plain data stays where it is, and the other side gets a `Remote`: a
function, a class, an object or an iterator, which can be used from there and is equal only to itself. Either side may
call what it was given while it is being called itself.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from polya_midtrain.grading import channel, plain

# What of an object the other side may use, where its type has it; and, of a program's object, any attribute.
_OPERATIONS = ("__call__", "__iter__", "__next__", "__len__", "__getitem__")
_SHOWN = ("__str__", "__repr__")
_ATTRIBUTE = "__getattr__"


class Remote:
    """An object of the other side."""

    def __init__(self, ask: Callable[..., Any], index: int) -> None:
        self.__ask = ask
        self.__index = index

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.__ask(self.__index, _ATTRIBUTE, (name,), {})


def _operation(name: str) -> Callable[..., Any]:
    def operation(self: Any, *arguments: Any, **named: Any) -> Any:
        return self._Remote__ask(self._Remote__index, name, arguments, named)

    return operation


for _name in _SHOWN:
    setattr(Remote, _name, _operation(_name))


class Peer:
    """One side. ``open_``: its own objects show their attributes, as a program's do and those of the tests must not."""

    def __init__(self, line: int, most: int, wait: channel.Wait = lambda event: None, open_: bool = False) -> None:
        self.line, self.most, self.wait, self.open_ = line, most, wait, open_
        self.classes: dict[str, type] = {}  # those that both sides have: their objects are plain data
        self._kept: list[Any] = []  # what the other side has a `Remote` of
        self._numbers: dict[int, int] = {}  # its place in that list, by identity
        self._remotes: dict[int, Remote] = {}

    def remote(self, index: int, *operations: str) -> Remote:
        """An object of the other side, by its number: always the same one."""
        if index not in self._remotes:
            able = {name: _operation(name) for name in _OPERATIONS if name in operations}
            self._remotes[index] = type("Remote", (Remote,), able)(self.ask, index)
        return self._remotes[index]

    def keep(self, value: Any) -> list[Any]:
        """What stands for an object on the channel."""
        if isinstance(value, Remote):
            return ["back", value._Remote__index]
        index = self._numbers.setdefault(id(value), len(self._kept))
        self._kept[index:] = self._kept[index:] or [value]
        return ["object", index, *_able(value)]

    def ask(self, index: int, operation: str, arguments: Sequence[Any], named: dict[str, Any]) -> Any:
        """Have the other side do something with its object; what it raises is raised here, as an error."""
        kind, *content = self.exchange(["ask", index, operation, self._encode(arguments), self._encode(named)])
        if kind == "value":
            value, *changed = content
            if value is None:  # a function that returns nothing may be there to change its arguments
                for old, new in zip(arguments, *changed or [()], strict=False):
                    plain.overwrite(old, new)
            return value
        name, message = map(str, content)
        if (operation, name) == ("__next__", "StopIteration"):
            raise StopIteration
        raise self._error(name, message)

    def exchange(self, request: list[Any]) -> list[Any]:
        """Send a request and do what the other side asks for until its reply comes: a kind and some values."""
        channel.send(self.line, request, self.wait)
        while (message := channel.receive(self.line, self.most, self.wait))[0] == "ask":
            channel.send(self.line, self.answer(*message[1:]), self.wait)
        return [message[0], *map(self._decode, message[1:])]

    def serve(self) -> NoReturn:
        """Do what the other side asks for until it ends, which is an EOFError."""
        while True:
            channel.send(self.line, self.answer(*channel.receive(self.line, self.most, self.wait)[1:]), self.wait)

    def answer(self, index: int, operation: str, arguments: Any, named: Any) -> list[Any]:
        """Do what the other side asks for; the reply."""
        try:
            given, value = self._decode(arguments), self._kept[index]
            if operation == _ATTRIBUTE and self.open_:
                result = getattr(value, *given)
            elif operation in (*_able(value), *_SHOWN):
                result = getattr(type(value), operation)(value, *given, **self._decode(named))
            else:
                raise AttributeError(operation)
            reply = ["value", self._encode(result)]
            if result is None and (after := self._encode(given)) != arguments:
                reply.append(after)
            return reply
        except BaseException as error:
            if not (self.open_ or isinstance(error, Exception)):
                raise
            known = [kind.__name__ for kind in type(error).__mro__ if self._raised(kind.__name__) is kind]
            return ["error", (known or ["BaseException"])[0], str(error)[:200]]

    def _raised(self, name: str) -> Any:
        return self.classes.get(name) or getattr(builtins, name, None)

    def _error(self, name: str, message: str) -> Exception:
        """An exception of the other side. None may say more here than that something failed: one that ends an
        iteration or the process does so no longer."""
        kind = self._raised(name)
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, _ENDS):
            try:
                return kind(message)
            except Exception:  # nosec B110 # UnicodeDecodeError and its kin want more than a message
                pass
        return RuntimeError(f"{name}: {message}")

    def _encode(self, value: Any) -> Any:
        return plain.encode(value, self.keep, self.classes)

    def _decode(self, value: Any) -> Any:
        return plain.decode(value, self._found, self.classes)

    def _found(self, kind: str, index: int, *operations: str) -> Any:
        return self._kept[index] if kind == "back" else self.remote(index, *operations)


_ENDS = (StopIteration, StopAsyncIteration)


def _able(value: Any) -> list[str]:
    """Which operations an object's type has."""
    return [name for name in _OPERATIONS if any(name in vars(kind) for kind in type(value).__mro__)]
