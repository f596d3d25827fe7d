"""The one exception that a user is meant to see, and what may be shown of a text that came from elsewhere."""

from __future__ import annotations

import errno
import os
import re
import shutil

_SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?)$")  # how the environment's variables with one are named
_SHORTEST = 6  # characters of a secret: a shorter value is a switch, or stands in every other word
_USER = re.compile(r"//[^/\s]*@")
_QUERY = re.compile(r"([?&][\w-]*(?:key|token|secret|password|signature)[\w-]*=)[^&\s'\"]+", re.IGNORECASE)


_REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EROFS: "make it writable",
    errno.EPERM: "make it writable",
    errno.EACCES: "let this user read and write it",
}
_FULL = re.compile(r"No space left on device|disk is full|Disk quota exceeded", re.IGNORECASE)
_LEAST = 1 << 20  # bytes free on a disk that is not full


class UserError(Exception):
    """Bad input: printed as one line (what, where, remedy) and exit code 2, never as a traceback.

    Raise it with a message of the form ``FILE:LINE: what is wrong; what to do``. It keeps what `shown` leaves of it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))


def of_disk(error: Exception) -> UserError | None:
    """The one line for a disk that is full or a place that may not be written; None for any other fault."""
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        place = error.filename2 or error.filename or "the disk"
        return UserError(f"{place}: {error.strerror}; {_REMEDIES[error.errno]}, then run the same command again")
    # What is written in Rust, C++ or SQL has errors of its own for it, and torch.save one that does not say so.
    if _FULL.search(str(error)) or shutil.disk_usage(".").free < _LEAST:
        said = f"{type(error).__name__}: {error}"
        return UserError(f"the disk is full ({said}); make room, then run the same command again")
    return None


def shown(text: str) -> str:
    """``text`` on one line, without control characters, the environment's keys and a URL's password."""
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and _SECRET.search(name):
            text = text.replace(value, f"[{name}]")
    text = _QUERY.sub(r"\1...", _USER.sub("//", text))
    return "".join(one if one.isprintable() else " " for one in text)
