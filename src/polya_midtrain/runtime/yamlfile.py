"""YAML files read with their line numbers, so that an error can say where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from polya_midtrain.errors import UserError

try:
    from yaml import CSafeLoader as _Fastest  # ten times as fast, where it was built
except ImportError:
    from yaml import SafeLoader as _Fastest  # type: ignore[assignment]

M = TypeVar("M", bound=BaseModel)


class _Loader(_Fastest):
    """Reads 5e-05 as a number, as DVC does, which writes small numbers so (YAML 1.2; PyYAML wants a dot in them)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)

_PROSE = {"extra_forbidden": "no such setting; correct its name or remove it", "missing": "missing; add it"}


def parse(text: str) -> Any:
    """The content of a YAML document. Raises `yaml.YAMLError`."""
    return yaml.load(text, Loader=_Loader)  # nosec B506 # a safe one


def load(path: Path, model: type[M]) -> M:
    """Parse ``path`` and validate it; every fault is one `UserError` line ``FILE:LINE: field: what; remedy``."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; restore it with `git checkout {path}`") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:1: not UTF-8 text; save it as UTF-8") from error
    try:
        root = yaml.compose(text)
        data = parse(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise UserError(f"{path}:{line}: not valid YAML: {getattr(error, 'problem', error)}; correct it") from error
    if not isinstance(data, dict):
        raise UserError(f"{path}:1: expected a mapping of settings; see profiles/ for examples")
    repeated = _repeated(root)
    if repeated is not None:
        line = repeated.start_mark.line + 1
        raise UserError(f"{path}:{line}: {repeated.value} is there twice; remove one of the two")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = error.errors()
        # A misspelt name is the cause of a missing one.
        fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
        location = _keys(root, list(fault["loc"]), absent=fault["type"] == "missing")
        name = ".".join(str(part) for part in location)
        message = _PROSE.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        value = repr(fault["input"])
        got = f" (got {value})" if len(value) <= 60 and not isinstance(fault["input"], dict) else ""
        raise UserError(f"{path}:{line_of(root, location)}: {name}: {message}{got}") from error


def refusal(path: Path, text: str, location: list[Any], what: str) -> UserError:
    """The error that names what is wrong with a field of a YAML or JSON file, and its line."""
    try:
        line = line_of(yaml.compose(text), location)
    except yaml.YAMLError:
        line = 1
    name = ".".join(str(part) for part in location) or "the file"
    return UserError(f"{path}:{line}: {name}: {what}")


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


def _repeated(node: yaml.Node | None) -> yaml.ScalarNode | None:
    """A key that its mapping holds twice: YAML readers take the last one and say nothing."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    return key
                seen.add(key.value)
        children = [value for _, value in node.value]
    else:
        children = node.value if isinstance(node, yaml.SequenceNode) else []
    return next(filter(None, map(_repeated, children)), None)


def _keys(node: yaml.Node | None, location: list[Any], absent: bool) -> list[Any]:
    """``location`` without the names of a union's branches, which pydantic puts between the keys of the file.

    ``absent``: its last part is a key that the file lacks.
    """
    found = []
    for place, part in enumerate(location, start=1):
        if isinstance(node, yaml.MappingNode):
            children = {key.value: value for key, value in node.value}
            if str(part) not in children and not (absent and place == len(location)):
                continue
            node = children.get(str(part))
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        found.append(part)
    return found
