"""Training questions that a benchmark also holds: the whole question, or a long run of its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from polya_midtrain.common.records import Question

Overlap = tuple[str, Literal["exact", "ngram"]]  # (benchmark, how)

_WORD = re.compile(r"[^\W_]+")


def tokens(text: str) -> list[str]:
    """The words and numbers of a text in lower case: spelling survives, LaTeX markup and punctuation do not."""
    return _WORD.findall(text.lower())


def runs(words: Sequence[str], length: int) -> Iterator[str]:
    """Every run of ``length`` words that follow each other; none in a shorter text."""
    for start in range(len(words) - length + 1):
        yield " ".join(words[start : start + length])


def overlaps(
    train: Sequence[Question], benchmarks: Mapping[str, Sequence[Question]], words: int = 25
) -> dict[str, Overlap]:
    """Ids of the training questions that a benchmark holds, each with the benchmark and how they agree.

    ``exact``: the same letters and digits (blanks do not count: LaTeX has ``A B`` and ``AB`` for one thing);
    ``ngram``: a shared run of ``words`` words. Exact wins over ngram, then the earlier benchmark wins.
    """
    whole: dict[str, str] = {}
    parts: dict[str, str] = {}
    for name, questions in benchmarks.items():
        for question in questions:
            found = tokens(question.question)
            if found:
                whole.setdefault("".join(found), name)
            for run in runs(found, words):
                parts.setdefault(run, name)
    result: dict[str, Overlap] = {}
    for question in train:
        found = tokens(question.question)
        text = "".join(found)
        if text in whole:
            result[question.id] = (whole[text], "exact")
        elif shared := {parts[run] for run in runs(found, words) if run in parts}:
            result[question.id] = (next(name for name in benchmarks if name in shared), "ngram")
    return result
