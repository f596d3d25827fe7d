r"""Where a completion says its answer: in its last box, after its last "the answer is", or nowhere in particular.

Several boxes are one answer where only "and", a comma or a name stands between them. The last box is the answer even if
it is empty or was cut off: then there is none, and no earlier box stands in for it.
"""

from __future__ import annotations

import re
from collections import deque

# A doubled backslash is a line break, unless it is a box that was escaped twice, as in JSON.
_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\\\(?!boxed|fbox)|\\[{}]|[{}]")
# What may stand between two boxes of one answer: delimiters, one sign or word that joins, and a name with "=".
_DELIMITER = r"(?:\$+|\\[()\[\],;: ]|\\q?quad\b|\s)*"
_JOIN = re.compile(
    rf"{_DELIMITER}(?:,?{_DELIMITER}(?:\\text\s*\{{)?\s*(?:and|or)\s*\}}?|,|;|&|\n\s*[-*•]?){_DELIMITER}"
    rf"(?:[A-Za-z](?:_\{{?\w+\}}?|\([A-Za-z]\))?\s*(?:=|\\in|:|is)|\\text\s*\{{[^{{}}]{{0,20}}\}}|\(?[a-z0-9]\))?{_DELIMITER}"
)


def boxed(text: str) -> str:
    """``text`` in a LaTeX box."""
    return f"\\boxed{{{text}}}"


def boxes(text: str) -> list[tuple[int, int, str | None]]:
    r"""Each box of ``text`` that holds no other: where it starts and ends, and what is in it (None: it was cut off).

    One pass. Escaped braces (``\{``) are text, not grouping.
    """
    if "box" not in text:
        return []
    found: list[tuple[int, int, str | None]] = []
    opened: list[tuple[int, int] | None] = []  # where each open box and its content start; None for other braces
    for match in _BRACES.finditer(text):
        token = match.group()
        if token == "}":
            start = opened.pop() if opened else None
            if start is not None and (not found or start[0] > found[-1][0]):
                found.append((start[0], match.end(), text[start[1] : match.start()]))
        elif token == "{":
            opened.append(None)
        elif "box" in token:
            opened.append((match.start(), match.end()))
    cut = next((start for start in reversed(opened) if start is not None), None)
    if cut is not None and (not found or cut[0] > found[-1][0]):
        found.append((cut[0], len(text), None))
    return found


def last_boxed(text: str) -> str | None:
    """What the last box holds; None where there is no box, or where the last one is empty or was cut off."""
    found = boxes(text)
    content = found[-1][2] if found else None
    return content if content and content.strip() else None


def joined(text: str) -> str | None:
    """What the last boxes hold that are one answer, as a list with commas; None where `last_boxed` is."""
    found = boxes(text)
    last = found[-1][2] if found else None
    if not last or not last.strip():
        return None
    parts = [last]
    for (_, end, content), (start, _, _) in zip(reversed(found[:-1]), reversed(found[1:]), strict=True):
        if not content or not content.strip() or start - end > _GAP or not _JOIN.fullmatch(text, end, start):
            break
        parts.append(content)
    return ", ".join(dict.fromkeys(reversed(parts)))


_GAP = 60  # characters between two boxes of one answer
_LONGEST = 1000  # characters looked at after "the answer is"
_CUE = re.compile(
    r"^[ \t]*####|(?<!this )(?<!that )\banswers?\b[*_]*(?:[^.\n:=]{0,60}?\b(?:is|are)\b|[ \t*_]*[:=])[ \t]*:?"
    r"|\bfinal[ ]answer\b[ \t:*_#]*\n\s*",
    re.IGNORECASE | re.MULTILINE,
)
_FORMULA = re.compile(r"\$\$?(?P<dollar>[^$\n]+)\$\$?|\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\]")
_SENTENCE = re.compile(
    r"\.(?=\s|[*_]*\Z)|[,;]?\s+(?:because|since|which|so|as|I hope|where)\b|[,;]\s+(?:not|but)\b|\s+[(](?!-?\d)"
)


def stated(text: str) -> str | None:
    """What stands after the last "the answer is", "Answer:" or "####", up to the end of its sentence; else None."""
    cue = next(iter(deque(_CUE.finditer(text), maxlen=1)), None)
    if cue is None:
        return None
    line = text[cue.end() : cue.end() + _LONGEST].partition("\n")[0]
    said = line.replace("\\$", "").strip("*_ \t:")
    formulas = list(_FORMULA.finditer(said))
    if formulas and not re.search(r"[.]\s|\d", said[: formulas[0].start()]):
        parts, end = [formulas[0]], formulas[0].end()
        for formula in formulas[1:]:
            if not re.fullmatch(r"\s*(?:,|,?\s*and|,?\s*or)\s*", said[end : formula.start()]):
                break
            parts.append(formula)
            end = formula.end()
        percent = re.match(r"\s*(?:\\?%|per\s?cent)", said[end:])
        return ", ".join(next(filter(None, part.groups())) for part in parts) + ("\\%" if percent else "")
    said = said.lstrip("$")
    return _SENTENCE.split(said, maxsplit=1)[0].strip("*_ \t") or None
