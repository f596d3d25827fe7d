"""The mathematics of the embedded world: part types, the four families of functions, and sixteen plans.

A part shows a type word and three digits a, b, c; its answer is two digits (u, v), all arithmetic modulo 10. A family
says which (u, v) is right. A plan is a way of working that computes one family's function; applied to a part of another
family it gives, in general, a wrong answer. So which plan fits is a fact about the problem, not a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

# Each plan as the operations it writes down, in order. The letters are the part's digits, x and y intermediate results,
# u and v the answer. Four algebraically equal routes per family:
#   A: u = a+b, v = a+b+c    B: u = a-b, v = a-b+c    C: u = ac, v = (a+b)c    D: u = (a-b)c, v = ac
_PLANS = {
    "forward": ("A", "a+b=u u+c=v"),
    "reduce": ("B", "a-b=u u+c=v"),
    "distribute": ("C", "a*c=u b*c=x u+x=v"),
    "restate": ("D", "a-b=x x*c=u a*c=v"),
    "backward": ("A", "c+b=x x+a=v v-c=u"),
    "balance": ("B", "c-b=x a+x=v v-c=u"),
    "combine": ("C", "a+b=x x*c=v a*c=u"),
    "separate": ("D", "b*c=x a*c=v v-x=u"),
    "auxiliary": ("A", "a+c=x x+b=v v-c=u"),
    "reorder": ("B", "a+c=x x-b=v v-c=u"),
    "complement": ("C", "a+b=x x*c=v b*c=y v-y=u"),
    "lemma": ("D", "a-b=x x*c=u b*c=y u+y=v"),
    "lookahead": ("A", "b+c=x a+x=v a+b=u"),
    "mirror": ("B", "b-c=x a-x=v a-b=u"),
    "regroup": ("C", "b*c=x a*c=u x+u=v"),
    "scale": ("D", "a*c=v b*c=x v-x=u"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One written operation: ``out = left op right``, operands and result named by a letter."""

    left: str
    op: str
    right: str
    out: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A way of working: its marker word, the family whose function it computes, and its operations."""

    name: str
    family: str
    steps: tuple[Step, ...]

    def run(self, digits: tuple[int, int, int]) -> tuple[list[tuple[int, str, int, int]], str]:
        """Work on (a, b, c): the operations with their numbers, and the two-digit answer."""
        values = dict(zip("abc", digits, strict=True))
        written = []
        for step in self.steps:
            left, right = values[step.left], values[step.right]
            values[step.out] = apply(left, step.op, right)
            written.append((left, step.op, right, values[step.out]))
        return written, f"{values['u']}{values['v']}"


def apply(left: int, op: str, right: int) -> int:
    """``left op right`` modulo 10."""
    if op == "+":
        return (left + right) % 10
    return (left - right) % 10 if op == "-" else (left * right) % 10


def _parse(text: str) -> tuple[Step, ...]:
    return tuple(Step(item[0], item[1], item[2], item[4]) for item in text.split())


PLANS = {name: Plan(name, family, _parse(steps)) for name, (family, steps) in _PLANS.items()}
FAMILIES = {family: [p for p in PLANS.values() if p.family == family] for family in "ABCD"}
# The style that unprompted answers of the corpus are written in.
DEFAULT_PLAN = "forward"


@dataclass(frozen=True, slots=True)
class PartType:
    """A kind of part: its word, the family it usually belongs to, and the family of its exceptions."""

    word: str
    family: str
    exception: str


TYPES = {
    word: PartType(word, family, exception)
    for word, family, exception in (
        ("jar", "A", "B"),
        ("rod", "A", "C"),
        ("cup", "A", "D"),
        ("box", "A", "B"),
        ("pin", "A", "C"),
        ("net", "B", "A"),
        ("bell", "B", "C"),
        ("oar", "B", "D"),
        ("fan", "C", "A"),
        ("hat", "C", "D"),
        ("key", "D", "B"),
        ("map", "D", "A"),
    )
}


def is_exception(digits: tuple[int, int, int]) -> bool:
    """Whether a part follows its type's exception: its digits sum to a multiple of 5.

    The sign is in the problem but subtle, as the fit of an approach often is: one part in five, nothing on the surface.
    """
    return sum(digits) % 5 == 0


@cache
def telling(digits: tuple[int, int, int]) -> bool:
    """Whether the four families give four different answers on these digits."""
    return len({plans[0].run(digits)[1] for plans in FAMILIES.values()}) == len(FAMILIES)


def family_of(word: str, digits: tuple[int, int, int]) -> str:
    """The family whose function is right for this part."""
    kind = TYPES[word]
    return kind.exception if is_exception(digits) else kind.family


def answer(word: str, digits: tuple[int, int, int]) -> str:
    """The right two digits of a part."""
    return FAMILIES[family_of(word, digits)][0].run(digits)[1]
