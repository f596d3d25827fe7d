"""Multiple choice.

The gold is JSON: ``{"answer": "B", "choices": ["text of A", "text of B", ...]}``. A completion answers with a choice's
letter, its number (counted from 1) or its text, in the last box, else in the last line like ``ANSWER: X``, else in its
last line. Capitals, punctuation, blanks and LaTeX around text do not count. What names more than one choice is no
answer; what is boxed and is no choice is a wrong one.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence

from polya_midtrain.errors import UserError
from polya_midtrain.grading.maths import last_boxed
from polya_midtrain.grading.verdict import NO_ANSWER, Verdict, answered

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LINE = 2000  # characters looked at of a line: an answer stands at one of its ends
_WORD = re.compile(r"[^\W_]+")
_DRESS = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\b|[${}*_`~]")
_STATED = re.compile(r"\b(?:answer|choice|option)\b[ \t]*(?:is\b|:|=)[ \t]*:?[ \t]*(?P<said>[^\n]*)", re.IGNORECASE)
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")
_SIGN = r"(?P<sign>[A-Z]|[0-9]{1,2})"
_ALONE = re.compile(rf"(?:(?:option|choice|answer)[\W_]+)?{_SIGN}", re.IGNORECASE)
_BEFORE_TEXT = re.compile(rf"(?:(?:option|choice)[\W_]+)?{_SIGN}\s*[):.,\-–—][\W_]*(?P<text>\w.*)", re.IGNORECASE)
_MARKED = re.compile(r"\(([A-Z])\)|\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s+\(?([A-Z])\b|\b([A-Z])\Z")


@functools.lru_cache(maxsize=1 << 12)
def task(gold: str) -> tuple[int, tuple[str, ...]]:
    """The right choice's index and the choices in a gold; `UserError` for what is none."""
    try:
        fields = json.loads(gold)
        letter, choices = fields["answer"], tuple(fields["choices"])
        index = LETTERS.index(letter)
        if len(letter) != 1 or index >= len(choices) or not all(isinstance(text, str) and text for text in choices):
            raise ValueError(f"the answer {letter!r} is none of {len(choices)} choices")
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"the gold {gold[:60]!r} of a question of kind choice holds no answer and choices ({error}); "
            "correct column `answer`"
        ) from error
    return index, choices


def judge(completion: str, gold: str) -> Verdict:
    """The verdict on a completion, in time linear in its length."""
    right, choices = task(gold)
    box = last_boxed(completion)
    if box is not None:
        said = box[:_LINE]
        found = resolve(said, choices)
    elif said := _stated(completion):
        found = resolve(said, choices)
    else:
        said = completion.rstrip().rpartition("\n")[2][-_LINE:]
        found = {index for index in resolve(said, choices) if _ends(said, index, choices[index])}
    texts = {_key(choices[index]) for index in found}  # two choices with one text are one choice
    if len(texts) == 1:
        return answered(_key(choices[right]) in texts, said.strip())
    return answered(False, said.strip()) if box is not None and not found else Verdict(False, "", NO_ANSWER)


def _stated(completion: str) -> str:
    """What stands in the last line of the form ``ANSWER: X``, or ""."""
    said = ""
    for match in _STATED.finditer(completion):
        said = match["said"][:_LINE].strip()
    return said


def _ends(line: str, index: int, choice: str) -> bool:
    """Whether a line ends with a choice's text, letter or number: a completion that was cut off may just mention it."""
    words = _WORD.findall(_DRESS.sub(" ", line).casefold())
    return words[-len(_key(choice)) :] == [*_key(choice)] or words[-1:] in (
        [LETTERS[index].casefold()],
        [str(index + 1)],
    )


def resolve(said: str, choices: Sequence[str]) -> set[int]:
    """The indices of the choices that ``said`` names: one, or none, or several where it is ambiguous."""
    bare = _DRESS.sub(" ", said)
    named = {index for index, text in enumerate(choices) if _key(text) == _key(bare)}
    bare = _EDGES.sub("", bare)
    if sign := _ALONE.fullmatch(bare):
        return named if named and sign["sign"].isdecimal() else named | _sign(sign["sign"], choices)
    if named:
        return named
    signs = [_sign(word, choices) for word in _WORD.findall(bare) if word not in ("and", "or")]
    if signs and all(signs):
        return set().union(*signs)
    if (match := _BEFORE_TEXT.fullmatch(bare)) and (signed := _sign(match["sign"], choices)):
        return signed | {index for index, text in enumerate(choices) if _key(text) == _key(match["text"])}
    marked = [_sign(next(filter(None, match.groups())), choices) for match in _MARKED.finditer(bare)]
    return set().union(*marked, _mentioned(bare, choices))


def _key(text: str) -> tuple[str, ...]:
    """What counts of a text when it is compared: its words and numbers, or, where it has none, its signs."""
    return tuple(_WORD.findall(text.casefold())) or tuple(text.split())


def _sign(sign: str, choices: Sequence[str]) -> set[int]:
    """The choice with this letter or number. Where the choices' texts are numbers themselves, a number is no place."""
    index = -1
    if len(sign) == 1 and sign.upper() in LETTERS:
        index = LETTERS.index(sign.upper())
    elif len(sign) <= 2 and sign.isdecimal() and not any(text.strip().isdecimal() for text in choices):
        index = int(sign) - 1
    return {index} if 0 <= index < len(choices) else set()


def _mentioned(text: str, choices: Sequence[str]) -> set[int]:
    """The choices whose words stand in a text, but not only inside a longer choice's."""
    words = _WORD.findall(text.casefold())
    spans: dict[int, list[tuple[int, int]]] = {}
    for index, choice in enumerate(choices):
        wanted = list(_key(choice))
        length = len(wanted)
        starts = range(len(words) - length + 1)
        spans[index] = [(start, start + length) for start in starts if words[start : start + length] == wanted]
    every = {span for found in spans.values() for span in found}
    return {
        index
        for index, found in spans.items()
        if any(not any(a <= start and end <= b and (a, b) != (start, end) for a, b in every) for start, end in found)
    }
