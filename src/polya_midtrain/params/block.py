"""What every block of settings is."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict


class Block(BaseModel):
    """Unknown keys are errors: a misspelt setting must never be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
