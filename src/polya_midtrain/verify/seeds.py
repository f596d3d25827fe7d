"""The seeds of a params.yaml: every key `seed` or `seeds` with integers, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from polya_midtrain.runtime import yamlfile

NAMES = ("seed", "seeds")


def shift(text: str, offset: int) -> str:
    """The text of a params.yaml with ``offset`` added to every seed, comments and layout as they were.

    A run with it differs from the original in its questions, base, reward model, samples, training and intervals.
    """
    for node in reversed(list(_scalars(yamlfile.compose(text)))):
        start, end = node.start_mark.index, node.end_mark.index
        text = f"{text[:start]}{int(node.value) + offset}{text[end:]}"
    return text


def unshifted(text: str) -> str:
    """The text with every seed written as 0: what two profiles have in common that differ in their seeds alone."""
    for node in reversed(list(_scalars(yamlfile.compose(text)))):
        text = f"{text[: node.start_mark.index]}0{text[node.end_mark.index :]}"
    return text


def apart(content: Any, place: str = "") -> tuple[Any, dict[str, list[int]]]:
    """The settings with the number of seeds in place of the seeds, and the seeds by dotted name."""
    if not isinstance(content, dict):
        return content, {}
    rest: dict[str, Any] = {}
    seeds: dict[str, list[int]] = {}
    for key, value in content.items():
        if key in NAMES and isinstance(value, int | list):
            seeds[f"{place}{key}"] = value if isinstance(value, list) else [value]
            rest[key] = len(seeds[f"{place}{key}"])
        else:
            rest[key], below = apart(value, f"{place}{key}.")
            seeds |= below
    return rest, seeds


def _scalars(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """The seeds in a document, in its order."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        if key.value in NAMES and not isinstance(value, yaml.MappingNode):
            yield from value.value if isinstance(value, yaml.SequenceNode) else [value]
        else:
            yield from _scalars(value)
