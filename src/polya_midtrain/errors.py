"""The one exception that a user is meant to see."""

from __future__ import annotations


class UserError(Exception):
    """Bad input: printed as one line (what, where, remedy) and exit code 2, never as a traceback.

    Raise it with a message of the form ``FILE:LINE: what is wrong; what to do``.
    """
