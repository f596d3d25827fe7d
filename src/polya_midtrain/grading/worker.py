"""A helper process that judges answers under limits: ``python -m polya_midtrain.grading.worker KIND SECONDS [LIMITS]``.

It reads one JSON job a line, ``[kind, gold, [text, ...]]``, and writes one JSON line per text, ``[correct, extracted,
reason]``, after a first list that says it is ready (and names, if anything, what `sandbox.gaps` found), or a text that
says why it will not be. A judgement that outlasts SECONDS of CPU time kills the process: the default action of SIGPROF
also ends a long call inside a C library, where no Python signal handler would run. CPU time rather than wall time, so
that a busy machine gives the same verdicts as a quiet one. LIMITS is JSON, the fields of `limits.Limits`, for the
programs that answers are.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import astuple
from typing import TextIO

from polya_midtrain.errors import UserError
from polya_midtrain.grading.graders import grader
from polya_midtrain.grading.limits import Limits

MEMORY_BYTES = 2 << 30  # address space


def serve(jobs: TextIO, replies: TextIO, seconds: float, gaps: Sequence[str] = ()) -> None:
    """Answer ``jobs`` until they end, with ``seconds`` of CPU time for each text; ``gaps`` is said first."""

    def reply(value: object) -> None:
        replies.write(json.dumps(value) + "\n")
        replies.flush()

    reply(gaps)
    for line in jobs:
        kind, gold, texts = json.loads(line)
        for text in texts:
            signal.setitimer(signal.ITIMER_PROF, seconds)
            try:
                verdict = grader(kind).compare(text, gold)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            reply(astuple(verdict))


def main() -> None:
    """Serve standard input and output."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; its end closes our input
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not end up among the replies
    kind, seconds, *limits = sys.argv[1:]
    try:
        gaps = grader(kind).prepare(Limits(**json.loads(*limits or ["{}"])))
    except UserError as error:
        replies.write(json.dumps(str(error)) + "\n")
        replies.flush()
        return
    serve(sys.stdin, replies, float(seconds), gaps)


if __name__ == "__main__":
    main()
