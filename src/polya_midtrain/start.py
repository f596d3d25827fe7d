"""The command `polya`: a stage of `dvc repro` runs where its libraries are loaded, anything else in this process.

Only the standard library is imported before that is known: a study starts some hundred stages one after the other.
"""

from __future__ import annotations

import os
import sys

from polya_midtrain.runtime import environment, parent, warm


def main(arguments: list[str] | None = None) -> int:
    """The console script: 0, or 2 with one line for bad input, or 130 when interrupted. A traceback is a bug."""
    if "DVC_STAGE" in os.environ:  # its dvc would run it again
        parent.follow(os.getppid())
    environment.set_defaults()
    arguments = sys.argv[1:] if arguments is None else arguments
    code = warm.delegate(arguments)
    if code is None:
        from polya_midtrain import cli

        code = cli.execute(arguments)
    return code
