"""Ten thousand answers that no model should give: each gets a verdict in bounded time, and none is run."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from polya_midtrain.grading import REASONS, grade_many, pool

ANSWERS = 10_000
GOLDS = r"\frac{1}{2} 2 x+1 (1,2) [0,1) \{1,2\} \text{even} 10^{10} 5! x=3 20\% 43_7 x>2"
PIECES = r"""\boxed{ { } \frac ^ _ ( ) 10 9 ! x \sqrt $ \[ \] = , \sum_{k=1}^{n} \int \left( \right) & \\ % \text{
    \infty - / + 2 3.5 y n \cdot \times \le \ge < > \in \cup [ ] \{ \} | \log \sin \pi \pm \binom{n}{k} e i
    \begin{pmatrix} \end{pmatrix} ' " : ; . \lfloor \rfloor \forall \ldots \mathbb{R} \overline{3} \% \$ and or answer
    <think> </think>
    ####"""
BRACKETS = r"( ) { } \sqrt{ } \frac{1}{1+ } x^{ } \left( \right) \{ \} \text{ } [ ] | | \boxed{ } \sin( ) -( )"
REPEATED = (
    r"1 ( { } x+1 1, \frac \boxed{ \boxed{1} $ <think> \( 9^ a 1/ ** é ½ ° \text{and} #### \, - ! \sqrt{2}+ 1e5 0. ~"
)
POWERS = (
    r"{}^{{{}}} {}^{{{}^{{9^{{9}}}}}} 10^{{10^{{{}}}}} {}**9**{} {}^{} (x+1)^{{{}}} e^{{{}}} \sqrt[{}]{{{}}} 1.5e{}"
)
FACTORIALS = r"""{}! ({}!)! {}!!! \binom{{{}}}{{{}}} \frac{{1}}{{{}!}} \prod_{{k=1}}^{{{}}}k \sum_{{k=1}}^{{{}}}k^2
    x!{}! \log{}!"""
AROUND = ["\\boxed{%s}", "So $\\boxed{%s}$.", "The answer is %s", "%s", "The answer is $%s$.", "#### %s"]
RUN = [
    "__import__('os').system('touch {}')",
    "open('{}', 'w').write('1')",
    "exec(\"open('{}', 'w')\")",
    "lambda: open('{}', 'w')",
    r"\write18{{touch {}}}",
    "$(touch {})",
    "Symbol('x').__class__.__init__.__globals__['open']('{}', 'w')",
]


def soup(rng: random.Random, canary: Path) -> str:
    return "".join(rng.choice(PIECES.split()) + rng.choice(["", " "]) for _ in range(rng.randrange(1, 30)))


def nested(rng: random.Random, canary: Path) -> str:
    opening, closing = rng.choice(list(zip(*[iter(BRACKETS.split())] * 2, strict=True)))
    depth = rng.choice([3, 8, 20, 100, 5000])
    return opening * depth + rng.choice(["1", "x", ""]) + closing * (depth - rng.randrange(2))


def power(rng: random.Random, canary: Path) -> str:
    base, exponent = rng.randrange(2, 10 ** rng.randrange(1, 12)), rng.randrange(10 ** rng.randrange(1, 14))
    forms = (
        "{}^{{{}}} {}^{{{}^{{9^{{9}}}}}} 10^{{10^{{{}}}}} {}**9**{} {}^{} (x+1)^{{{}}} e^{{{}}} \\sqrt[{}]{{{}}} 1.5e{}"
    )
    return rng.choice(forms.split()).format(base, exponent)


def factorial(rng: random.Random, canary: Path) -> str:
    number = rng.randrange(10 ** rng.randrange(1, 9))
    return rng.choice(FACTORIALS.split()).format(number, number // 2)


def signs(rng: random.Random, canary: Path) -> str:
    ranges = [(32, 127), (0xA0, 0x2FFF), (0x1D400, 0x1D7FF), (1, 0xD7FF), (0xE000, 0x10FFFF)]
    return "".join(chr(rng.randrange(*rng.choice(ranges))) for _ in range(rng.randrange(1, 60)))


def long(rng: random.Random, canary: Path) -> str:
    piece = rng.choice(REPEATED.split())
    return piece * (rng.choice([1500, 20_000, 100_000]) // len(piece))


def program(rng: random.Random, canary: Path) -> str:
    return rng.choice(RUN).format(canary)


KINDS: dict[Callable[[random.Random, Path], str], int] = {
    soup: 40, nested: 12, power: 12, factorial: 12, signs: 12, long: 6, program: 6
}  # fmt: skip


@pytest.mark.slow
def test_ten_thousand_odd_answers_are_judged_and_none_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, canary = random.Random(20), tmp_path / "canary"
    items = []
    for _ in range(ANSWERS):
        answer = rng.choices(list(KINDS), list(KINDS.values()))[0](rng, canary)
        around = rng.choice(AROUND)
        items.append((around.replace("%s", answer), rng.choice(GOLDS.split()), "maths"))
    pool.close_helpers()
    monkeypatch.setattr(pool, "CPU_SECONDS", 1.0)
    reasons: Counter[str] = Counter(verdict.reason for verdict in grade_many(items, workers=2))
    pool.close_helpers()
    assert reasons.total() == ANSWERS
    assert set(reasons) <= set(REASONS)
    assert reasons["wrong"] > ANSWERS / 2
    assert not canary.exists()
