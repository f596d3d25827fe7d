r"""The many ways in which one answer is written, brought to the one LaTeX that the parser reads.

`written` takes what stands in a box, or after "the answer is", apart: Unicode signs become LaTeX, digits in groups one
number, and currency, degree and percent signs, units, final punctuation and words around a number go. It works on the
text alone: it evaluates nothing and does not know what it will be compared with.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from polya_midtrain.grading.signs import latex

_TEXT = r"\\(?:text(?:rm|normal|sf)?|mathrm|mathsf|rm|[mh]box)"
_BLANK = r"(?<!\\)\\(?:[,;:>! ]|(?:thin|med|thick|en)space(?![A-Za-z]))|(?<!\\)~|[ ]"
_SCALE = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}


def _repeating(match: re.Match[str]) -> str:
    """A decimal with a period, as a fraction."""
    sign, whole, fixed, period = match.groups()
    ones = 10 ** len(fixed) * (10 ** len(period) - 1)
    value = Fraction(int(whole + fixed + period or 0) - int(whole + fixed or 0), ones)
    return f"{sign}\\frac{{{value.numerator}}}{{{value.denominator}}}"


def _rule(pattern: str, put: str | Callable[[re.Match[str]], str]) -> Callable[[str], str]:
    compiled = re.compile(pattern, re.VERBOSE)
    return lambda text: compiled.sub(put, text)


# In this order. Each line is one way to write what another writes differently.
_RULES = [
    # how it looks: sizes, bold type, delimiters of mathematics, Markdown
    _rule(r"\\(?:display|text|script|scriptscript)style\b|\\[bB]igg?[lrm]?(?![A-Za-z])|\\limits\b|\$\$", ""),
    _rule(r"\\(?:textbf|textit|emph|underline|mathbf|mathit|mathsf|boldsymbol|bm|pmb|num)\s*\{([^{}]*)\}", r"\1"),
    _rule(r"\*\*(?=\s*[^\s*])(.+?)\*\*|__(.+?)__", lambda bold: bold[1] or bold[2]),
    _rule(r"\A(?:\\[(\[]|[\s:*_`])+|(?:\\[)\]]|[\s`])+\Z", ""),
    # words for signs
    _rule(r"<=|=<|\\leqslant\b|\\leqq\b|\\leq(?![A-Za-z])", r"\\le "),
    _rule(r">=|\\geqslant\b|\\geqq\b|\\geq(?![A-Za-z])", r"\\ge "),
    _rule(r"!=(?!=)|\\ne(?![A-Za-z])", r"\\neq "),
    _rule(r"\\lt(?![A-Za-z])", "<"),
    _rule(r"\\gt(?![A-Za-z])", ">"),
    _rule(r"\*\*", "^"),
    _rule(r"\\(?:dots[cbo]?|cdots)(?![A-Za-z])|\.\.\.", r"\\ldots "),
    _rule(r"\\varnothing\b", r"\\emptyset"),
    _rule(r"\\langle\b\s*(.*?)\\rangle\b", r"(\1)"),
    _rule(r"\\(?:nice|s)frac(?![A-Za-z])", r"\\frac"),
    _rule(r"(?<![\\A-Za-z])\{([^{}]+)\\over(?![A-Za-z])([^{}]+)\}", r"\\frac{\1}{\2}"),
    _rule(r"(?<![\\A-Za-z])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    _rule(r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    _rule(r"(?<![\\A-Za-z])(?:infinity|infty|oo|inf)(?![A-Za-z])", r"\\infty "),
    _rule(
        r"(?<![\\A-Za-z])(pi|sqrt|theta|arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln)(?![A-Za-z])",
        r"\\\1 ",
    ),
    _rule(rf"(?:{_TEXT}\s*\{{\s*)?(?<!for[ ])\b[Aa]ll[ ]real(?:[ ]number)?s?(?:\s*\}})?", r"\\mathbb{R}"),
    _rule(
        r"\\mathbb\s*\{?R\}?(?:\s|\\text\{)*except(?:\s|\})*(?:x\s*=)?\s*([-\d/.]+|\\frac\{\d+\}\{\d+\})$",
        r"\\mathbb{R} \\setminus \\{\1\\}",
    ),
    _rule(r"\A\\\{\s*[a-z](?:\s*\\in\s*\\mathbb\s*\{?R\}?)?\s*(?:\\mid|\||:|\\vert|\\colon)(.*)\\\}\Z", r"\1"),
    # numbers: currency; a text that is one; groups of three digits; degrees; ratios of three
    _rule(r"[€£¥₹₩₽₪₫₴₦฿]|\\(?:euro|pounds|textdollar|textsterling)\b(?:\{\})?", ""),
    _rule(rf"{_TEXT}\{{\s*\}}|\A\s*(?:USD?|EUR|GBP|CAD|AUD|INR|Rs\.?)\s*(?=[-\d.])", ""),
    _rule(r"\\(?:SI|qty)\s*\{([^{}]*)\}\s*\{[^{}]*\}", r"\1"),
    _rule(rf"{_TEXT}\s*\{{\s*([-+]?[\d.,]*\d)\s*[.,;:]?\s*\}}", r"\1"),
    _rule(rf"(?:{_TEXT}|\\operatorname)\s*\{{\s*([ei])\s*\}}(?!\s*\{{?[+-]?\d)", r"\1"),
    _rule(
        rf"(?<![\d.,_^{{])\d{{1,3}}(?P<sign>\{{,\}}|\{{\\[,;:]\}}|,\\!|{_TEXT}\{{,\}}|{_BLANK}|'|_)[ ]*\d{{3}}(?!\d)"
        r"(?:(?P=sign)[ ]*\d{3}(?!\d))*",
        lambda groups: re.sub(r"\D", "", groups[0]),
    ),
    _rule(r"(?<=\d)\{,\}(?=\d)", ","),
    _rule(rf"(?:{_BLANK}|(?<!\\)\\(?:q?quad(?![A-Za-z])|hspace\*?\{{[^{{}}]*\}}))+", " "),
    _rule(
        rf"\s*(?:\^\s*\{{?\s*(?:\\circ|\\degree|{_TEXT}\{{\s*o\s*\}})\s*\}}?|\\degree\b|(?<=\d)\s*\\circ\b)"
        rf"(?:\s*(?:{_TEXT}\s*\{{\s*)?[CF]\s*\}}?\s*\Z)?",
        "",
    ),
    _rule(r"\A\(?(\d+)\s*:\s*(\d+)\s*:\s*(\d+)\)?\Z", r"(\1,\2,\3)"),
    # numbers in two parts or with an exponent
    _rule(r"(-?)(\d{0,20})\.(\d{0,20}?)(\d{1,12}?)\4{2,}\s*\\ldots", _repeating),
    _rule(r"(-?)(\d{0,20})\.(\d{0,20})\\(?:overline|bar|dot)\s*\{(\d{1,20})\}", _repeating),
    _rule(r"(?<![\w.^{/)}])(-?)\s*(\d+)\s+(\d+)\s*/\s*(\d+)(?![\w.!^/(])", r"\1\2\\frac{\3}{\4}"),
    _rule(
        rf"(\d)\s*(?:{_TEXT}\s*\{{\s*)?(thousand|million|billion|trillion)\b(?:\s*\}})?",
        lambda m: rf"{m[1]} \times 10^{{{_SCALE[m[2]]}}}",
    ),
    _rule(
        rf"(?<![A-Za-z\\{{_^\d.])(-?\d+\.?\d*|-?\.\d+)\s*(?:[eE]|{_TEXT}\{{\s*[eE]\s*\}})\s*\{{?([+-]?\d+)\}}?(?![\w.^!])",
        r"\1 \\times 10^{\2}",
    ),
    _rule(r"(?<=\d)\s*[xX*]\s*(?=10\s*\^)", r" \\times "),
    _rule(r"\^\s*\(\s*([^()]+?)\s*\)|\^([+-]?\d{2,}|[+-]\d)", lambda power: f"^{{{power[1] or power[2]}}}"),
    _rule(r"\^\{\+", "^{"),
    # what surrounds it: a sign without a left side, the label of a choice, a phrase, final punctuation
    _rule(r"\A\s*(?:=|\\approx\b|\\(?:implies|Rightarrow|therefore)\b|\+(?=\s*[\d.]))\s*", ""),
    _rule(rf"\A(?:{_TEXT}\s*\{{)?\s*\([A-E]\)\s*\}}?\s*:?\s*(?=[-\d\\(])(?!\\(?:cup|cap))", ""),
    _rule(rf"\A(?:{_TEXT}\s*\{{)?\s*(?:[Tt]he\s+)?(?:[Ff]inal\s+)?[Aa]nswer\s*(?:is\b|:|=)\s*:?\s*\}}?", ""),
    _rule(
        rf"\A{_TEXT}\s*\{{(?![^{{}}]*\b(?:than|least|most|not?|except)\b)[^{{}}]*[A-Za-z][A-Za-z:]\s*\}}\s*(?=-?\d|-?\\frac|-?\\sqrt|\\pm)",
        "",
    ),
    _rule(
        rf"[,\s]*{_TEXT}\s*\{{\s*,?\s*for\s+(?:all|any|every|each)\b[^{{}}<>=]*\}}\s*[a-z]?(?:\s*\\in\s*\\mathbb\{{[A-Z]\}})?\s*\Z",
        "",
    ),
    _rule(rf"(?:\s|\\?[.,;:]|\\\\|{_TEXT}\s*\{{[\s.,;:]*\}})+\Z", ""),
]

_PERCENT = re.compile(
    rf"(?:\s|\\[ ,;:!]|~)*(?:\\?%|{_TEXT}\s*\{{\s*\\?%\s*\}}"
    rf"|(?:{_TEXT}\s*\{{)?\s*\b(?:per[ ]?cent(?:age)?(?:[ ]points?)?|pct)\b\.?\s*\}}?)"
)
_VALUE = r"(?:[^A-Za-z\\]|\\(?:[dtc]?frac|sqrt|pi|times|cdot|pm)(?![A-Za-z]))*[\d})]|(?:[^A-Za-z\\]*\\pi)"
# units of up to three letters or with a sign in them: longer words need no list
_SHORT = """mm cm dm km in ft yd mi mg kg lb lbs oz ml mL cl dl gal s sec min hr hrs h ms mph kph km/h m/s cm/s ft/s yr
    yrs th st nd rd am pm AM PM a.m p.m USD EUR GBP CAD AUD INR RMB cc sq cu Hz kHz kW kWh eV pt qt rad deg mol
    Pa kPa"""
# words that say what to do with the number, or that another one follows
_NO_UNIT = """and or over times plus minus mod choose squared cubed factorial to from if for where when is are than
    more less through until between not divided multiplied"""
_NOT = rf"(?!(?:{'|'.join(_NO_UNIT.split())})\b)"
_SYMBOL = "|".join(map(re.escape, _SHORT.split()))
_UNIT = re.compile(
    rf"(?P<value>(?:[^=<>]*=\s*)?(?:{_VALUE}))(?:\s+(?:(?:an?|per|each)\s+)?|(?=(?:{_SYMBOL})(?![A-Za-z])|[A-Za-z]{{4}}))"
    rf"{_NOT}(?:[A-Za-z]{{4,}}|(?=[A-Za-z]*[aeiouy])[a-z]{{3}}|{_SYMBOL})(?![A-Za-z])"
    rf"(?:\^\{{?[23]\}}?|[\s./-]+|{_NOT}[A-Za-z]+)*\Z"
)
_TEXT_UNIT = re.compile(
    rf"(?<=[\w)}}\]])(?:\s*{_TEXT}\s*\{{(?![^{{}}]*\b(?:and|or|if|where|when|for|base)\b)[^{{}}]*[A-Za-z][^{{}}]*\}}"
    r"\s*(?:\^\s*\{?-?[\d]+\}?)?\s*(?:/|\\cdot)?)+\Z"
)
_LETTER_UNIT = re.compile(rf"(?P<value>(?:[^=<>]*=\s*)?(?:{_VALUE}))\s*[mgshLlNJWVKA](?:\^\{{?[23]\}}?)?\Z")


@dataclass(frozen=True, slots=True)
class Written:
    """An answer in one notation. ``value`` is ``latex`` without a last letter that may be a unit or a variable."""

    latex: str
    value: str
    percent: bool


@lru_cache(maxsize=1 << 14)
def written(text: str) -> Written:
    """What stands in a box, or after "the answer is", in one notation."""
    text = _without_braces(latex(text).replace("\\$", "").replace("$", "").strip())
    text, percents = _PERCENT.subn("", text)
    for rule in _RULES:
        text = rule(text)
    if ":" not in text:  # as in 3:00 PM
        text = _TEXT_UNIT.sub("", text) or text
        unit = _UNIT.fullmatch(text)
        text = unit["value"] if unit else text
    letter = _LETTER_UNIT.fullmatch(text)
    return Written(text, letter["value"] if letter else text, bool(percents))


def _without_braces(text: str) -> str:
    """The text without braces that open before it and close after it."""
    while text.startswith("{") and text.endswith("}") and not text.endswith("\\}"):
        depth = 0
        for brace in re.finditer(r"(?<!\\)[{}]", text):
            depth += 1 if brace[0] == "{" else -1
            if not depth and brace.end() < len(text):
                return text
        if depth:
            return text
        text = text[1:-1].strip()
    return text


_NAMES = re.compile(r"\\(?!text|mathrm|rm\b|[mh]box)[A-Za-z]")
_SET_AS_TEXT = re.compile(rf"{_TEXT}\s*\{{\s*\(?[A-Za-z]")
_DRESS = re.compile(rf"{_TEXT}(?![A-Za-z])|[^\w\s'-]")
_LISTED = re.compile(r"[,;]|\band\b|\\text\s*\{\s*and\s*\}")
_WORDY = re.compile(r"[^\W\d_]{4}|\b\w{0,2}o\w{0,2}\b")


def words(text: str) -> str | None:
    """What counts of an answer that has letters and no mathematics, when it is compared as words; else None."""
    if _NAMES.search(text) or any(sign.isdigit() or sign in "=<>+*/^_|" for sign in text):
        return None
    parts = [_DRESS.sub(" ", part).split() for part in _LISTED.split(text.casefold())]
    named = [" ".join(part[len(part) > 1 and part[0] in ("the", "an", "a") :]) for part in parts if part]
    return ", ".join(sorted(named)) or None


def wordy(text: str) -> bool:
    r"""Whether letters are words: a run of up to three is a product of variables, unless it stands in ``\text{}`` or
    has an "o", which names no variable."""
    found = words(text)
    return found is not None and bool(_SET_AS_TEXT.search(text) or _WORDY.search(found))


_BASE = re.compile(
    rf"\(?(?P<digits>-?\d[0-9A-Fa-f]*(?:\.[0-9A-Fa-f]+)?)\)?(?:_\s*\{{?\s*(?:{_TEXT}\s*\{{)?|\s*(?:{_TEXT}\s*\{{)?\s*\(?base\b)"
    r"[\s}-]*(?P<base>\d{1,2}|two|three|four|five|six|seven|eight|nine|ten)[\s)}]*"
)
_SPELLED = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}


def in_base(text: str) -> tuple[str, int] | None:
    """The digits and the base of a number written as 43_7; None for any other answer."""
    match = _BASE.fullmatch(text)
    if match is None:
        return None
    base = match["base"]
    return match["digits"].upper().lstrip("0") or "0", _SPELLED.get(base) or int(base)


_IN_PROSE = re.compile(
    r"(?<![\w./])(?:(?P<whole>\d{1,9})\s+(?P<top>\d{1,9})/(?P<bottom>0*[1-9]\d{0,8})(?![\w/])"
    r"|(?P<scientific>\d+(?:\.\d+)?[eE][+-]?\d{1,2})(?!\w))"
    r"|\\\$|(\\?[(\[{|-])\5{9,}|(?<!\d)(?:(?:\d{1,9}\s*(?:\^|\*\*)\s*){2,}\d|\d{1,9}\s*(?:\^|\*\*)\s*\d{5})\d*"
)


def prose(text: str) -> str:
    """Text in which a parser looks for formulas and numbers: a mixed number or one with an exponent is one number, and
    what no parser gets to the end of is gone."""
    return _IN_PROSE.sub(_plainly, latex(text))


def _plainly(found: re.Match[str]) -> str:
    if found["scientific"]:
        return f"{Decimal(found['scientific']):f}"
    if found["whole"]:
        return f"{int(found['whole']) * int(found['bottom']) + int(found['top'])}/{int(found['bottom'])}"
    return ""
