"""Unicode in answers, as the LaTeX that says the same: signs, digits, powers, fractions and roots."""

from __future__ import annotations

import re
import unicodedata

_GREEK = "αβγδεζηθικλμνξρστυφχψωΓΔΘΛΞΠΣΦΨΩ"
_LETTERS = """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi
    omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"""
_OTHER = "×·⋅∙≤≥⩽⩾≠≈±∈∉∪∩∖∅∞π∀∃∧∨∠⟨⟩⌊⌋⌈⌉∑∏∫→…⋯"
_COMMANDS = """times cdot cdot cdot le ge le ge neq approx pm in notin cup cap setminus emptyset infty pi forall exists
    land lor angle langle rangle lfloor rfloor lceil rceil sum prod int to ldots ldots"""
_SIGNS = (
    {sign: rf"\{name} " for sign, name in zip(_GREEK + _OTHER, (_LETTERS + " " + _COMMANDS).split(), strict=True)}
    | {sign: rf"\mathbb{{{letter}}}" for sign, letter in zip("ℝℤℕℚℂ", "RZNQC", strict=True)}
    | dict.fromkeys("‐‑‒–—―−﹣－", "-")
    | dict.fromkeys("°º˚", r"^{\circ}")
    | dict.fromkeys("’‘ʼ′＇", "'")
    | dict.fromkeys("÷⁄∕", "/")
    | dict.fromkeys("％﹪", "%")
    | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", "")  # of no width
)
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿˣ", "0123456789+-()nx", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ₙ", "0123456789+-n", strict=True))
_RUN = re.compile(f"([{''.join(_RAISED)}]+)|([{''.join(_LOWERED)}]+)|([¼-¾⅐-⅞])")
_ROOT = re.compile(r"([√∛∜])\s*(?:\{([^{}]*)\}|\(([^()]*)\)|([0-9]+(?:\.[0-9]+)?|\\?[A-Za-z]+))")
_INDEX = {"√": "", "∛": "[3]", "∜": "[4]"}


def latex(text: str) -> str:
    """The text with its Unicode signs, digits, powers, fractions and roots as LaTeX."""
    if text.isascii():
        return text
    text = "".join(_SIGNS.get(sign, sign) for sign in _RUN.sub(_spelled, text))
    text = _ROOT.sub(lambda root: f"\\sqrt{_INDEX[root[1]]}{{{root[2] or root[3] or root[4] or ''}}}", text)
    text = unicodedata.normalize("NFKC", text)  # full width, thin blanks, letters of mathematical alphabets
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in text)


def _spelled(run: re.Match[str]) -> str:
    if run[3]:
        top, _, bottom = unicodedata.normalize("NFKC", run[3]).partition("⁄")
        return f"\\frac{{{top}}}{{{bottom}}}" if bottom else run[3]
    mark, signs = ("^", _RAISED) if run[1] else ("_", _LOWERED)
    return f"{mark}{{{''.join(signs[sign] for sign in run[0])}}}"
