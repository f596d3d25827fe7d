"""Training questions that a benchmark also holds: the whole question, or a long run of its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from polya_midtrain.common.records import Question

How = Literal["exact", "ngram"]

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
) -> dict[str, dict[str, How]]:
    """Ids of the training questions that a benchmark holds, each with every such benchmark and how they agree.

    ``exact``: the same letters and digits (blanks do not count: LaTeX has ``A B`` and ``AB`` for one thing);
    ``ngram``: a shared run of ``words`` words. A pair that agrees in both ways is ``exact``.
    """
    whole: dict[str, tuple[str, ...]] = {}
    parts: dict[str, tuple[str, ...]] = {}
    for name, questions in benchmarks.items():
        alone = (name,)  # one tuple for the many runs that no other benchmark has
        for question in questions:
            found = tokens(question.question)
            if found:
                _note(whole, "".join(found), alone)
            for run in runs(found, words):
                _note(parts, run, alone)
    result: dict[str, dict[str, How]] = {}
    for question in train:
        found = tokens(question.question)
        same = whole.get("".join(found), ())
        shared = {name for run in runs(found, words) for name in parts.get(run, ())}
        if same or shared:
            result[question.id] = {
                name: "exact" if name in same else "ngram" for name in benchmarks if name in same or name in shared
            }
    return result


def _note(index: dict[str, tuple[str, ...]], key: str, holder: tuple[str]) -> None:
    """Add a benchmark to those that hold ``key``."""
    held = index.setdefault(key, holder)
    if holder[0] not in held:
        index[key] = held + holder
