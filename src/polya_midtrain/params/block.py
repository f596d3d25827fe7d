"""What every block of settings is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

LARGEST = 10_000_000  # no setting of a study is larger; a slip of the pen would fill the memory hours later
SEEDS = 1 << 31  # torch, numpy and trl, which adds a process's number, all take what is below

# A file's name, a cell of a table and a key of YAML: no part of a path, no sign that a spreadsheet takes for a formula.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=60)]
File = Annotated[Path, Field(strict=False)]  # YAML has texts only


class Block(BaseModel):
    """Unknown keys are errors: a misspelt setting must never be silently ignored.

    So are missing ones: DVC hashes what stands in params.yaml, and a default would be a value that it never sees. None
    alone may be one, where it says that something is not there.
    """

    # Strict: true is no 1, and a text no number.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _possible_number(cls, value: Any, info: ValidationInfo) -> Any:
        for one in value if isinstance(value, list) else [value]:
            if info.field_name in ("seed", "seeds") and isinstance(one, int) and not 0 <= one < SEEDS:
                raise ValueError(f"a seed is a number from 0 to {SEEDS - 1}; take another")
            if info.field_name not in ("seed", "seeds") and isinstance(one, int | float) and abs(one) > LARGEST:
                raise ValueError(f"larger than {LARGEST}; lower it")
        return value


def _address(url: str) -> str:
    parts = urlsplit(url)  # a ValueError of its own for brackets that are no address
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(
            "settings are shown to everyone: take user, password and what follows ? or # out of the address"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise ValueError("not an address such as http://localhost:8000/v1; correct it")
    return url


Url = Annotated[str, AfterValidator(_address)]
