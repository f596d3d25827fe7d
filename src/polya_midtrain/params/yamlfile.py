"""YAML files, read as DVC reads them, with their line numbers, so that an error can say where.

DVC hashes what its reader (ruamel.yaml, YAML 1.2) makes of params.yaml: to it 010 is ten, yes is a word, and 5e-05 a
number. PyYAML's parser, which is ten times as fast, is given the same rules here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from ruamel.yaml.resolver import implicit_resolvers

from polya_midtrain.errors import UserError

try:
    from yaml import CSafeLoader as _Fastest  # where it was built
except ImportError:
    from yaml import SafeLoader as _Fastest  # type: ignore[assignment]

M = TypeVar("M", bound=BaseModel)

DEPTH = 100  # blocks inside each other
NODES = 1_000_000  # values, those behind an alias counted wherever it stands


class _Loader(_Fastest):
    """YAML 1.2; a key that stands twice is an error, as it is to DVC."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012  (PyYAML's own name for them)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _Repeated(None, None, f"{key.value} is there twice; remove one of the two", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_int(self, node: Any) -> int:
        digits = str(self.construct_scalar(node)).replace("_", "")
        prefix = digits.lstrip("+-")[:2]
        return int(digits, {"0b": 2, "0o": 8, "0x": 16}.get(prefix, 10))


class _Dumper(yaml.SafeDumper):
    """Puts quotes around what would be no text, by the rules of either version."""


class _Repeated(yaml.constructor.ConstructorError):
    pass


for versions, tag, pattern, first in implicit_resolvers:
    if (1, 2) in versions:
        _Loader.add_implicit_resolver(tag, pattern, first)
        _Dumper.add_implicit_resolver(tag, pattern, first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)

_PROSE = {"extra_forbidden": "no such setting; correct its name or remove it", "missing": "missing; add it"}


def parse(text: str) -> Any:
    """The content of a YAML document. Raises `yaml.YAMLError`."""
    _bounded(text)
    return yaml.load(text, Loader=_Loader)  # nosec B506 # a safe one


def compose(text: str) -> yaml.Node | None:
    """The same as nodes, which know their places."""
    _bounded(text)
    found: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    return found


def dump(content: Any, **options: Any) -> str:
    """The content as a document that `parse` and DVC read as it is."""
    return str(yaml.dump(content, Dumper=_Dumper, **options))


def _bounded(text: str) -> None:
    """Refuse what would not fit the memory or the stack: a few lines of aliases are a billion values."""
    sizes: dict[str, int | None] = {}  # of what has a name; None while it is read
    opened: list[tuple[str | None, int]] = []  # the names of the blocks around, with the values that were before them
    count = 0
    event: Any  # PyYAML's types hold less than its events
    for event in yaml.parse(text, Loader=_Loader):
        what = ""
        if isinstance(event, yaml.DocumentStartEvent) and event.version not in (None, (1, 2)):
            what = "written for another version than YAML 1.2"
        elif isinstance(event, yaml.AliasEvent):
            inside = sizes.get(str(event.anchor), 0)
            what = "" if inside is not None else f"{event.anchor} holds itself"
            count += inside or 0
        elif isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent):
            if isinstance(event, yaml.CollectionStartEvent):
                opened.append((event.anchor, count))
                what = "" if len(opened) <= DEPTH else f"more than {DEPTH} blocks inside each other"
            if event.anchor is not None:
                sizes[event.anchor] = None if isinstance(event, yaml.CollectionStartEvent) else 1
            count += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            name, before = opened.pop()
            if name is not None:
                sizes[name] = count - before
        if count > NODES:
            what = f"more than {NODES} values"
        if what:
            raise yaml.MarkedYAMLError(problem=what, problem_mark=event.start_mark)


def content(path: Path) -> Any:
    """The content of a file; what is none, or no YAML, is one `UserError` line."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; restore it with `git checkout {path}`") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:1: not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); put a file there that can") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or a number that is none
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1 if mark else 1}"
        what = " ".join(str(getattr(error, "problem", None) or error).split())
        known = isinstance(error, _Repeated)
        raise UserError(f"{where}: {what}" if known else f"{where}: not valid YAML: {what}; correct it") from error


def load(path: Path, model: type[M]) -> M:
    """Parse ``path`` and validate it; every fault is one `UserError` line ``FILE:LINE: field: what; remedy``."""
    data = content(path)
    if not isinstance(data, dict):
        raise UserError(f"{path}:1: expected a mapping of settings; see profiles/ for examples")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        root = compose(path.read_text(encoding="utf-8"))
        faults = error.errors()
        # A misspelt name is the cause of a missing one.
        first = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
        location = _keys(root, list(first["loc"]), absent=first["type"] == "missing")
        name = _name(location)
        message = _PROSE.get(first["type"], first["msg"].removeprefix("Value error, "))
        value = repr(first["input"])
        got = f" (got {value})" if len(value) <= 60 and not isinstance(first["input"], dict) else ""
        raise UserError(f"{path}:{line_of(root, location)}: {name}: {message}{got}") from error


def refusal(path: Path, text: str, location: list[Any], what: str) -> UserError:
    """The error that names what is wrong with a field of a YAML or JSON file, and its line."""
    try:
        line = line_of(compose(text), location)
    except yaml.YAMLError:
        line = 1
    return UserError(f"{path}:{line}: {_name(location) or 'the file'}: {what}")


def _name(location: list[Any]) -> str:
    """A place as a dotted name of one line."""
    dotted = ".".join(str(part) for part in location)
    return dotted if dotted.isprintable() else ascii(dotted)[1:-1]


def line_of(node: yaml.Node | None, location: list[Any]) -> int:
    """The 1-based line of the deepest part of ``location`` that the document holds."""
    line = 1 if node is None else node.start_mark.line + 1
    for part in location:
        child = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, child = key.start_mark.line + 1, value
                    break
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            child = node.value[part]
            line = child.start_mark.line + 1
        if child is None:
            break
        node = child
    return line


def _keys(node: yaml.Node | None, location: list[Any], absent: bool) -> list[Any]:
    """``location`` without the names of a union's branches, which pydantic puts between the keys of the file.

    ``absent``: its last part is a key that the file lacks.
    """
    found = []
    for place, part in enumerate(location, start=1):
        if part == "[key]":
            break
        if isinstance(node, yaml.MappingNode):
            children = {key.value: value for key, value in node.value}
            if str(part) not in children and not (absent and place == len(location)):
                continue
            node = children.get(str(part))
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        found.append(part)
    return found
