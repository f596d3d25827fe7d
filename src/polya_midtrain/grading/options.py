"""Which of a question's choices a text names, by letter, number or text.

`mark` writes a text in small letters with one private character in the place of each choice that it names, so that
patterns can find what is said of choices. A choice that is ruled out ("not A", "rather than Tom") is gone from it.
"""

from __future__ import annotations

import functools
import re

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BOX, END = "\x02", "\x03"  # around what stands in a box
_TEXT, _SIGN = 0xE000, 0xE100  # private characters from here on: choices named by their text, and by letter or number
TEXT, SIGN, NAMED = "[\ue000-\ue0ff]", "[\ue100-\ue1ff]", "[\ue000-\ue1ff]"
BLANK = "[^\\w?\ue000-\ue1ff]"  # what is no word, no choice and no question

_PRIVATE = re.compile("[\x02\x03\ue000-\ue1ff]")
_BOX = re.compile(r"\\f?box(?:ed)?\s*\{((?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*)\}")
_DRESS = re.compile(r"\\(?:boxed|text|textbf|textit|textrm|mathrm|mathbf|mbox)\b|[${}*_`~\"“”]")
_WORD = re.compile(r"[^\W_]+")

# Words that may follow a choice: what comes next is a reason, a comparison or another choice.
_GOES_ON = r"""(?:because|since|as|for|due|given|and|or|nor|but|not|rather|instead|over|than|if|though|although|while
    |where|when|who|which|based|by|with|from|in|on|at|of|to|through|too|also|both|are|here|is\s+the|must\s+be\s+the)\b"""
_VERB = r"(?:is|was|were|has|had|have|does|did|would|must|can|cannot|could|seems|then|so|he|she|it|they|we|you)\b"
_LETTER = re.compile(  # any other word makes "A" an article, and "I" is a person more often than not
    rf"""(?<!\w)(?<!\w['’])(?<![A-Za-z][.])(?:
        (?P<capital>[B-HJ-Z]|A(?!\s+(?!{_GOES_ON}|{_VERB})[a-z])|I(?!\s+(?!(?:and|or|as|is|because|since|for)\b)[a-z]))
        |(?<=[(])(?P<bracketed>[a-z])(?=[)])
        |(?P<before>(?i:option|choice|number)\s+[(]?)(?P<small>[a-z]|[0-9]{{1,2}})
    )(?!\w|['’]\w|[.,][0-9A-Za-z])""",
    re.VERBOSE,
)
_LIST = rf"{NAMED}(?:[\s)]*\b(?:and|or|nor)\b\s*(?:option\s*|choice\s*)?[(]?{NAMED}){{0,25}}"
_RULED_OUT = re.compile(
    rf"""\b(?:(?:can)?not|(?:is|are|was|were|do|does|did|has|had|have|ca|could|would|should|must|wo)n['’]?t|never|neither
        |nor|except|excluding|unlike|than|instead[ ]of|over|(?:any|every|all)(?:thing|one)?[ ]but
        |(?:wrong|incorrect)[ ](?:answer|choice|option)
        |rul(?:es?|ed|ing)[ ]out|eliminat\w+|reject\w*|discard\w*|against)\b
        (?:[\s,("\x02]|\b(?:the|an?|options?|choices?|answers?|that|it|is|be|been|have|by|either|to|in|on|at
        |(?!only)\w+ly)\b)*{_LIST}[)\x03]?
    |{_LIST}{BLANK}*\b(?:is|are|was|were|seems?|looks?|would[ ]be|can|could|does|did|has|had)(?:{BLANK}+\w+ly\b)?
        (?:{BLANK}*\bnot\b|n['’]?t\b|{BLANK}+(?:both[ ])?(?:wrong|incorrect|false|impossible|unlikely|out|ruled|excluded
        |eliminated|innocent|never|no|an?[ ](?:\w+[ ])?distractors?)\b)""",
    re.VERBOSE,
)
# What may stand before the choice that is the answer, and what after it or before the next of several.
_FILL = rf"""(?:{BLANK}|\b(?:the|an?\s+(?!{_GOES_ON})(?=\w|{NAMED})|i(?:['’]\w+)?\s+(?!{_GOES_ON})(?=\w)|option|choice
    |answer|letter|number|it|it['’]s|its|this|is|would|should|could|must|will|to|be|have|been|we|think|believe|say|guess|pick|choose
    |select|go|with|meant?|seems?|appears?|clearly|definitely|probably|likely|most|certainly|obviously|simply|just|indeed
    |therefore|thus|so|hence|then|but|leaving|leaves|only|actually|correct|right|best|final|finally|my|our|both|either|in
    |fact|surely|wait|no|of|course)\b)*"""
_CLOSED = rf"(?={BLANK}*(?:\Z|\n)|\s*(?!['’]\w)[^\w\s?=+*/^\\{NAMED[1:-1]}]|\s+{_GOES_ON})"
_NEXT = rf"""(?:
    {BLANK}*(?:[,/;&+]|\b(?:and|or|but|as[ ]well[ ]as|possibly|maybe|perhaps)\b)
        (?:{BLANK}|\b(?:and|or|but|also|possibly|maybe|perhaps|probably|alternatively|even|else|both|either|might|may|could
        |be|it|the|an?|option|choice)\b)*{NAMED}{_CLOSED}
    |[\s(.:–—-]*(?:\b(?:the|an?)\s+)?{TEXT}{_CLOSED}
    |\s*[(]{NAMED}[)]|(?<={TEXT}){SIGN}){{0,25}}"""
GROUP = rf"{NAMED}{_NEXT}"  # a choice, or several in a list; in patterns that are verbose
_FILLED = re.compile(_FILL, re.VERBOSE)
_SMALL = re.compile(r"(?<!\w)(?:[a-z]|[0-9]{1,2})(?!\w|[.,:][0-9])")
_SMALLS = re.compile(  # small letters or numbers where an answer stands
    rf"""{_SMALL.pattern}(?:[\s)]*(?:[,/;&+|]|\b(?:and|or)\b)(?:[\s(]|\b(?:and|or|possibly|maybe|perhaps|even|option|choice)\b)*
        {_SMALL.pattern}){{0,25}}(?:(?=\s+{_VERB})|{_CLOSED})""",
    re.VERBOSE,
)
_GROUP = re.compile(rf"((?>{GROUP}))(?!\s*[?=+*/^\\]|\s+(?!is|must|seems){_VERB})", re.VERBOSE)
_CLOSES = re.compile(_CLOSED, re.VERBOSE)


def key(text: str) -> tuple[str, ...]:
    """What counts of a text when it is compared: its words and numbers, or, where it has none, its signs."""
    return tuple(_WORD.findall(text.casefold())) or tuple(text.split())


def boxes(text: str) -> list[str]:
    """What stands in each box that is not blank."""
    return [match[1].strip() for match in _BOX.finditer(text) if match[1].strip()]


def mark(text: str, choices: tuple[str, ...]) -> str:
    """The text with a private character for each choice that it names and does not rule out; see the module's page."""
    pattern, places = _texts(choices)
    text = _DRESS.sub(" ", _BOX.sub(_in_box, _PRIVATE.sub(" ", text)))
    text = pattern.sub(lambda match: _by_text(key(match[0]), places), text)
    return _RULED_OUT.sub(" ", _LETTER.sub(lambda match: _by_letter(match, choices), text).lower())


def _in_box(match: re.Match[str]) -> str:
    return f"{BOX}{match[1]}{END}" if match[1].strip() else ""


@functools.lru_cache(maxsize=1 << 12)
def _texts(choices: tuple[str, ...]) -> tuple[re.Pattern[str], dict[tuple[str, ...], int]]:
    """A pattern for the choices' texts, the longest first, and whose each is; of equal ones the first's."""
    places = {key(text): index for index, text in reversed(list(enumerate(choices)))}
    forms = []
    for words in sorted(places, key=lambda words: -len(" ".join(words))):
        spelt = [re.escape(word) for word in words]
        if _WORD.fullmatch(words[0]):
            forms.append(r"(?<!\w)(?<!\d[.,])" + r"[\W_]{1,4}".join(spelt) + r"(?!\w|[.,]\d|['’]s\b)")
        else:
            forms.append(r"(?<![^\s\x02])" + r"\s+".join(spelt) + r"(?![^\s.\x03])")
    return re.compile("|".join(forms), re.IGNORECASE), places


def _by_text(words: tuple[str, ...], places: dict[tuple[str, ...], int]) -> str:
    """The character of a text; also that of a letter, if the text is one: nobody can tell which is meant."""
    letter = LETTERS.find(words[0].upper()) if len("".join(words)) == 1 else -1
    return chr(_TEXT + places.get(words, 0)) + (chr(_SIGN + letter) if 0 <= letter < len(places) else "")


def _by_letter(match: re.Match[str], choices: tuple[str, ...]) -> str:
    sign = match["capital"] or match["bracketed"] or match["small"]
    return (match["before"] or "") + _sign(sign, choices)


def _sign(sign: str, choices: tuple[str, ...]) -> str:
    """The character of a letter, even of one that no choice has, or of a number that counts a choice. Where the
    choices' texts are numbers, a number is no place."""
    if not sign.isdecimal():
        return chr(_SIGN + LETTERS.index(sign.upper()))
    counts = 0 < int(sign) <= len(choices) and not any(text.strip().isdecimal() for text in choices)
    return chr(_SIGN + int(sign) - 1) if counts else sign


def begins(said: str, choices: tuple[str, ...]) -> tuple[set[int], str]:
    """The choices with which marked text begins, after words such as "it must be", and what follows them; none where it
    begins otherwise. A choice's text, and a letter that no choice has, must end there or go on with a reason."""
    start = _FILLED.match(said)
    at = start.end() if start else 0
    if small := _SMALLS.match(said, at):
        said = said[:at] + _SMALL.sub(lambda match: _sign(match[0], choices), small[0]) + said[small.end() :]
    match = _GROUP.match(said, at)
    if match is None:
        return set(), said
    rest = said[match.end() :]
    found = {ord(sign) for sign in match[1] if sign >= chr(_TEXT)}
    if (min(found) < _SIGN or max(found) >= _SIGN + len(choices)) and not goes_on(rest):
        return set(), said
    return {sign % 0x100 for sign in found}, rest


def goes_on(rest: str) -> bool:
    """Whether what follows a choice lets it stand: nothing, a sign, a reason."""
    return _CLOSES.match(rest) is not None


def mentioned(said: str, choices: tuple[str, ...]) -> set[int]:
    """All choices that marked text names."""
    found = {ord(sign) % 0x100 for sign in re.findall(NAMED, said)}
    return {index for index in found if index < len(choices)}
