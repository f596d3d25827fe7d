"""Multiple choice.

The gold is JSON: ``{"answer": "B", "choices": ["text of A", "text of B", ...]}``. A completion answers with a choice's
letter, its number (counted from 1) or its text. What it says last counts: in a box, in words ("the answer is B because
...", "I would pick B", "B is correct", "no, wait, C"), or as a line of its own at the start or the end. Where it says
nothing in these forms, its last line counts if that ends with a choice. What names more than one choice is no answer;
what is boxed and is no choice is a wrong one. docs/grading.md says why.
"""

from __future__ import annotations

import functools
import json
import re

from polya_midtrain.errors import UserError
from polya_midtrain.grading.options import (
    BLANK,
    BOX,
    END,
    GROUP,
    LETTERS,
    NAMED,
    SIGN,
    begins,
    boxes,
    goes_on,
    key,
    mark,
    mentioned,
)
from polya_midtrain.grading.reasoning import spoken
from polya_midtrain.grading.verdict import NO_ANSWER, Verdict, answered

_LINE = 1000  # characters looked at of what is said in one place
_MOST = 50  # places looked at, from the end
_HEAD, _TAIL = 1000, 9000  # characters looked at of a longer completion: an answer stands at one of its ends

_SAYS = re.compile(
    rf"""(?P<box>{BOX})
    |(?P<form>^[^\w\n{NAMED[1:-1]}]*(?:(?:the|my|so|final|correct)\s+)*answers?\s*(?:[:：]|[^\w\n{NAMED[1:-1]}]*\n))
    |(?:(?<!/)\b(?:answers?|choice|option|selection|antwort|réponse|respuesta|risposta|resposta)|答案|回答)
        (?:\s+(?:choice|option|letter|to|for|of|the|this|that|question|problem|here|seems?|appears?|would|should|must|will
        |could|then|thus|therefore|has|have|had)\b)*
        \s*(?:\b(?:is|be|are|was|est|ist|es)\b|[:：=>→]|\s[–—-]\s|是|为)
    |\b(?:i|we|let['’]?s|let[ ]us)(?:['’](?:d|ll))?(?:\s+(?!not|never)\w+){{0,3}}?
        \s+(?:pick|choose|chose|select|go(?:ing)?[ ]with|say|guess|answer|opt[ ]for|vote[ ]for|settle[ ]on)\b
    |(?P<corrects>\b(?:wait|actually|correction|sorry|oops|hmm|instead|i[ ]meant?|scratch[ ]that
        |on[ ]second[ ]thoughts?)
        |\bno(?=\s*[,.;:!–—-]))
    |(?P<before>{GROUP}){BLANK}*\b(?:is|are|must[ ]be|would[ ]be|should[ ]be|seems)\s+(?:\w+ly\s+)?
        (?:correct|right|(?:the|our|my)\s+(?:\w+\s+){{0,2}}(?:answer|choice|option))\b(?!\s*\?|\s+(?:only|if|in)\b)""",
    re.VERBOSE | re.MULTILINE,
)
_OF_ANOTHER = re.compile(
    r"\b(?:wrong|incorrect|other|another|distractor|tempting|whether|if|unless|why)\b[\w\s'’-]{0,20}\Z"
)
_ONLY_IF = re.compile(r"\bif\b[^.\n]*\Z")
_NONE = re.compile(
    rf"{BLANK}*(?:none|nothing|neither|no (?:option|choice|one)|unknown|unclear|cannot|can['’]?t|i don['’]?t know)\b"
)
_BLANK = re.compile(rf"{BLANK}*")
_ENDS = re.compile(rf"{NAMED}{BLANK}*\Z")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_IS = re.compile(r"\b(?:is|be)\b")
_AND = re.compile(rf"{END}{BLANK}*(?:and|or|[,&]){BLANK}*\Z")
_WRONG = re.compile(rf"{BLANK}*(?:wrong|incorrect|false|not)\b")


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
    """The verdict on a completion, in bounded time."""
    right, choices = task(gold)
    text = spoken(completion)
    text = text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    found = resolve(text, choices)
    texts = {key(choices[index]) if index < len(choices) else () for index in found}  # two with one text are one choice
    boxed = boxes(text)
    if len(texts) == 1:
        return answered(key(choices[right]) in texts, boxed[-1] if boxed else LETTERS[min(found)])
    return answered(False, boxed[-1]) if boxed and not texts else Verdict(False, "", NO_ANSWER)


def resolve(text: str, choices: tuple[str, ...]) -> set[int]:
    """The indices of the choices that a text answers with: one, none, or several where that is open."""
    marked = mark(text, choices)
    lines = marked.strip().split("\n")
    places = [*_SAYS.finditer(marked)][-_MOST:]
    said = ((place, _read(place, marked, choices)) for place in reversed(places))
    where, found = next(((place, named) for place, named in said if named is not None), (None, None))
    last = _alone(lines[-1], lines[-2:-1], choices)
    if last is not None and not (where and (where["box"] or where["form"])):
        found = last
    if found is None:
        found = _alone(lines[0], lines[1:2], choices)
    if found is not None or BOX in marked:
        return found or set()
    for place in reversed(places):
        rest = _line(marked, place.end())
        if not place["corrects"] and not _WRONG.match(rest) and (found := mentioned(rest, choices)):
            return found
    return _ending(lines[-1], lines[-2:-1], choices)


def _ending(line: str, beside: list[str], choices: tuple[str, ...]) -> set[int]:
    """The choices that a last line in no form comes to: those that it or its last sentence begins or ends with, or with
    which it says that something is."""
    for part in (line, _SENTENCE.split(line.strip())[-1]):
        found, rest = begins(part, choices)
        if found and goes_on(rest) and not rest.lstrip().startswith(":"):
            return found if not any(_starts(other, choices) for other in beside) else set()
    said = [begins(line[match.end() :], choices) for match in _IS.finditer(line, max(0, len(line) - _LINE))]
    found = set().union(*(named for named, rest in said if goes_on(rest)))
    return found or (mentioned(line, choices) if _ENDS.search(line) else set())


def _starts(line: str, choices: tuple[str, ...]) -> bool:
    """Whether a line starts with a choice, as each of a list of them does."""
    found, rest = begins(line, choices)
    return bool(found) and goes_on(rest)


def _line(marked: str, start: int) -> str:
    return marked[start : start + _LINE].lstrip().partition("\n")[0]


def _alone(line: str, beside: list[str], choices: tuple[str, ...]) -> set[int] | None:
    """The choice that is all of a line. With another choice in the line beside it the line is one of a list."""
    found, rest = begins(line, choices)
    whole = found and _BLANK.fullmatch(rest)
    return found if whole and not any(_starts(other, choices) for other in beside) else None


def _read(place: re.Match[str], marked: str, choices: tuple[str, ...]) -> set[int] | None:
    """The choices that a place says are the answer: an empty set for none of them, None where it says nothing."""
    start = place.start()
    if _OF_ANOTHER.search(marked, max(0, start - 40), start):
        return None
    if place["before"]:
        return mentioned(place["before"], choices) or None
    said = _line(marked, place.end())
    found, rest = begins(said, choices)
    if place["box"]:
        if _AND.search(marked, max(0, start - 20), start):
            return None  # read with the box before it
        said = said.partition(END)[0]
        if found and goes_on(rest):
            return found
        return set() if _NONE.match(said) else mentioned(re.sub(SIGN, "", said), choices) or None
    if place["corrects"]:
        return found if found and goes_on(rest) else None
    if "would" in place[0] and _ONLY_IF.search(marked, max(0, start - 200), start):
        return None
    if found or _NONE.match(said):
        return found
    return mentioned(said, choices) or None if place["form"] else None
