"""Training questions that a benchmark also holds: as they are, with more around them, or a long run of their words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from polya_midtrain.question_sets import normal
from polya_midtrain.records import Question

How = Literal["exact", "whole", "ngram"]
Holder = tuple[str, Question]  # a benchmark's name and the first of its questions that holds what is looked for

SHORTEST = 25  # characters of `normal.question`: shorter ones stand in others by chance ("find the area of it")

_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_DRAWING = re.compile(r"\[asy\].*?\[/asy\]", re.DOTALL)  # its commands are the same in many questions


class Hit(NamedTuple):
    """How a training question agrees with a benchmark, and the benchmark's question that it agrees with."""

    how: How
    question: Question


def tokens(text: str) -> list[str]:
    """The words and numbers of a text in lower case: spelling survives; markup, punctuation and drawings do not."""
    return _WORD.findall(_DRAWING.sub(" ", text).lower())


@lru_cache(maxsize=1 << 15)
def numbers(text: str) -> frozenset[str]:
    """The numbers of a question, without those of its drawings."""
    return frozenset(_NUMBER.findall(normal.question(_DRAWING.sub(" ", text))))


def runs(words: Sequence[str], length: int) -> Iterator[str]:
    """Every run of ``length`` words that follow each other; none in a shorter text."""
    for start in range(len(words) - length + 1):
        yield " ".join(words[start : start + length])


def overlaps(
    train: Sequence[Question], benchmarks: Mapping[str, Sequence[Question]], words: int = 25
) -> dict[str, dict[str, Hit]]:
    """Ids of the training questions that a benchmark holds, each with every such benchmark and how they agree.

    ``exact``: the same question as `normal` spells it; ``whole``: the benchmark's question with words before or behind
    it ("fill in the number"); ``ngram``: a shared run of ``words`` words and all numbers of the benchmark's question: a
    template with other numbers is another question. The first of them that holds is named.
    """
    exact: dict[str, tuple[Holder, ...]] = {}
    starts: dict[str, list[tuple[str, Holder]]] = {}
    parts: dict[str, tuple[Holder, ...]] = {}
    for name, questions in benchmarks.items():
        for question in questions:
            alone = ((name, question),)  # one tuple for the many runs that no other question has
            asked = normal.question(question.question)
            _note(exact, asked, alone)
            if len(asked) >= SHORTEST:
                starts.setdefault(asked[:SHORTEST], []).append((asked, alone[0]))
            for run in runs(tokens(question.question), words):
                _note(parts, run, alone)
    result: dict[str, dict[str, Hit]] = {}
    for question in train:
        asked = normal.question(question.question)
        ways: dict[How, Iterable[Holder]] = {
            "exact": exact.get(asked, ()),
            "whole": _inside(asked, starts),
            "ngram": _sharing(question.question, parts, words),
        }
        found: dict[str, Hit] = {}
        for how, holders in ways.items():
            for name, other in holders:
                found.setdefault(name, Hit(how, other))
        if found:
            result[question.id] = {name: found[name] for name in benchmarks if name in found}
    return result


def _inside(asked: str, starts: Mapping[str, Sequence[tuple[str, Holder]]]) -> Iterator[Holder]:
    """The benchmarks' questions that stand in one; ``starts``: they and their holders by how they begin."""
    for place in range(len(asked) - SHORTEST + 1):
        for other, holder in starts.get(asked[place : place + SHORTEST], ()):
            if asked.startswith(other, place):
                yield holder


def _sharing(text: str, parts: Mapping[str, Sequence[Holder]], words: int) -> Iterator[Holder]:
    """The benchmarks' questions that share a run of words and all their numbers with a text."""
    for run in runs(tokens(text), words):
        for holder in parts.get(run, ()):
            if numbers(holder[1].question) <= numbers(text):
                yield holder


def _note(index: dict[str, tuple[Holder, ...]], key: str, alone: tuple[Holder]) -> None:
    """Add a benchmark's question to those that hold ``key``."""
    held = index.setdefault(key, alone)
    if held[-1] is not alone[0]:
        index[key] = held + alone
