"""`dvc` as `make repro` runs it: itself, but that dvc.lock is read and written by the C half of its YAML library.

DVC reads dvc.lock anew and writes it after every stage, by a parser in Python that keeps comments, of which a lock has
none: nineteen parts of twenty of all that DVC does in a run. The meaning is the same, and so are the bytes, but for
settings that are null and rare characters.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any, TextIO

from dvc.utils.serialize import _yaml as theirs
from ruamel.yaml import YAML
from ruamel.yaml.representer import SafeRepresenter

LOCK = "dvc.lock"


class Representer(SafeRepresenter):
    """As DVC's own represents what a lock holds."""

    def text(self, data: str) -> Any:
        """A text of several lines in double quotes."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if "\n" in data else None)


Representer.add_representer(str, Representer.text)
Representer.add_representer(OrderedDict, SafeRepresenter.represent_dict)


def plain() -> YAML:
    """A reader and writer of files without comments."""
    yaml = YAML(typ="safe")
    yaml.Representer = Representer
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    return yaml


def quicken() -> None:
    """Let DVC read and write locks so, and all else as ever."""
    parse, dump = theirs.parse_yaml_for_update, theirs._dump

    def parse_for_update(text: str, path: str) -> Any:
        return theirs.parse_yaml(text, path) if str(path).endswith(LOCK) else parse(text, path)

    def write(data: Any, stream: TextIO) -> Any:
        return plain().dump(data, stream) if type(data) is dict and "schema" in data else dump(data, stream)

    theirs.parse_yaml_for_update, theirs._dump = parse_for_update, write


if __name__ == "__main__":
    from dvc.cli import main

    quicken()
    sys.exit(main(sys.argv[1:]))
