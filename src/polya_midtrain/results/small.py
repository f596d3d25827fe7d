"""What the small files of results/ have in common: how they are written, and what a fault in one looks like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from polya_midtrain.errors import UserError
from polya_midtrain.params import yamlfile

Phase = Literal["before", "after"]  # RL
PHASES: tuple[Phase, ...] = ("before", "after")
REMEDY = "run `dvc repro`"


class Part(BaseModel):
    """Something in a file, which holds just what it says."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Small(BaseModel):
    """A file. It is one line, but for the lists ``LINES``, its last fields: a line an entry, so that runs can be
    compared by eye and by diff."""

    LINES: ClassVar[tuple[str, ...]] = ()

    def text(self) -> str:
        """The file's content."""
        document = self.model_dump()
        lists = [
            f'"{name}": [\n  ' + ",\n  ".join(json.dumps(entry) for entry in document.pop(name)) + "\n]"
            for name in self.LINES
        ]
        return "{" + ", ".join([*([json.dumps(document)[1:-1]] if document else []), *lists]) + "}\n"

    def write(self, path: Path) -> None:
        """Write the file."""
        path.write_text(self.text(), encoding="utf-8", newline="\n")

    @classmethod
    def read(cls, path: Path, needed: str = "") -> Self:
        """Read and check the file; every fault is a one-line `UserError`. ``needed``: why it should be there."""
        try:
            text = path.read_text(encoding="utf-8")
            json.loads(text)  # says the line of a fault
            return cls.model_validate_json(text)
        except FileNotFoundError as error:
            raise UserError(f"{path}: missing{f', and {needed}' if needed else ''}; {REMEDY}") from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            line = getattr(error, "lineno", 1)
            raise UserError(f"{path}:{line}: not valid JSON; delete the file and {REMEDY}") from error
        except ValidationError as error:
            fault = error.errors()[0]
            raise refusal(path, list(fault["loc"]), fault["msg"].removeprefix("Value error, ")) from error


class OfArm(Small, Part):
    """The file of one arm, ARM.json."""

    arm: str

    @classmethod
    def of(cls, folder: Path, arm: str) -> Self:
        """The arm's file in ``folder``; faults as those of `read`."""
        path = folder / f"{arm}.json"
        file = cls.read(path, f"arm {arm!r} is in params.yaml")
        if file.arm != arm:
            raise refusal(path, ["arm"], f"expected {arm!r}, found {file.arm!r}")
        return file


def refusal(path: Path, location: list[int | str], what: str) -> UserError:
    """The error that names what is wrong with a file's field, and its line."""
    return yamlfile.refusal(path, path.read_text(encoding="utf-8"), location, f"{what}; delete the file and {REMEDY}")
