"""What every block of settings is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """Unknown keys are errors: a misspelt setting must never be silently ignored.

    So are missing ones: DVC hashes what stands in params.yaml, and a default would be a value that it never sees. None
    alone may be one, where it says that something is not there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
