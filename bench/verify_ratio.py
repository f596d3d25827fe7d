"""verify_ratio: answers/s of `grade_many` over math-verify in a plain loop, with identical verdicts.

Both sides grade the same model-like answers to real golds (GSM8K test, MATH-500, AIME, AMC, OlympiadBench) side by
side in one run, in rounds of alternating order. Both get the same text to judge, the last box of a response where it
has one, so the ratio is speed alone. A first round, which is not counted, loads the libraries and warms the parser's
caches on both sides.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from polya_midtrain.grading import grade_many
from polya_midtrain.grading.maths import boxed, last_boxed
from polya_midtrain.grading.pool import close_helpers
from polya_midtrain.question_sets.load import load

BENCHMARKS = ("gsm8k", "math500", "aime24", "aime25", "amc23", "olympiadbench")
WORKERS = 2
ROUNDS = 4
QUESTIONS = 90  # per round
SAMPLES = 16  # responses per question, as in one GRPO step of the paper; evaluation takes more, which repeat more

Item = tuple[str, str, str]


def measure(data: Path | None) -> dict[str, Any]:
    """Rates in answers per second, their ratio, and how many verdicts differ (0).

    ``data`` is the folder of the public sets; without it the golds are generated.
    """
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    rng = random.Random(0)
    golds = _golds(data, rng)
    rng.shuffle(golds)
    seconds = {"ours": 0.0, "plain": 0.0}
    answers = disagreements = 0
    for index in range(ROUNDS + 1):
        items = _responses(golds[index * QUESTIONS : (index + 1) * QUESTIONS], golds, rng)
        sides: list[tuple[str, Callable[[list[Item]], list[bool]]]] = [("ours", _ours), ("plain", _plain)]
        results = {}
        for name, grade in sides if index % 2 else reversed(sides):
            start = time.perf_counter()
            results[name] = grade(items)
            seconds[name] += (time.perf_counter() - start) if index else 0.0
        answers += len(items) if index else 0
        disagreements += sum(a != b for a, b in zip(results["ours"], results["plain"], strict=True))
    close_helpers()
    return {
        "verify_ratio": seconds["plain"] / seconds["ours"],
        "answers_per_second": answers / seconds["ours"],
        "plain_answers_per_second": answers / seconds["plain"],
        "answers": answers,
        "disagreements": disagreements,
        "workers": WORKERS,
        "golds": "generated" if data is None else "public sets",
    }


def _ours(items: list[Item]) -> list[bool]:
    return [verdict.correct for verdict in grade_many(items, WORKERS)]


def _plain(items: list[Item]) -> list[bool]:
    """math-verify as its documentation shows it, with its own timeouts."""
    from math_verify import parse, verify

    verdicts = []
    for response, gold, _ in items:
        content = last_boxed(response)
        answer = parse(response if content is None else boxed(content))
        verdicts.append(verify(parse(boxed(gold)), answer))
    return verdicts


def _golds(data: Path | None, rng: random.Random) -> list[str]:
    if data is not None:
        return [question.answer for name in BENCHMARKS for question in load(name, "test", data)]
    forms: list[Callable[[int, int], str]] = [  # about as many plain numbers as the public sets hold
        *[lambda a, b: str(a * b)] * 9,
        lambda a, b: f"\\frac{{{a}}}{{{b + 7}}}",
        lambda a, b: f"{a}\\sqrt{{{b}}}",
        lambda a, b: f"({a}, {b})",
        lambda a, b: f"{a}x + {b}",
        lambda a, b: f"{a},{b}",
    ]
    return [rng.choice(forms)(rng.randrange(2, 60), rng.randrange(2, 60)) for _ in range((ROUNDS + 1) * QUESTIONS)]


def _responses(batch: list[str], golds: list[str], rng: random.Random) -> list[Item]:
    """`SAMPLES` responses per gold: about half right, in several notations; the wrong ones come from a handful of slips
    per question, as models' do: mostly the gold's form with another number in it."""
    items = []
    for gold in batch:
        slips = [_slip(gold, rng), _slip(gold, rng), _slip(gold, rng), rng.choice(golds), str(rng.randrange(100))]
        for _ in range(SAMPLES):
            answer = _notation(gold, rng) if rng.random() < 0.5 else rng.choice(slips)
            steps = f"First, ${rng.randrange(9)} + {rng.randrange(9)}$ gives a part; then we combine the parts."
            ending = rng.choices(
                [
                    f"The answer is $\\boxed{{{answer}}}$.",
                    f"So \\boxed{{{rng.randrange(9)}}} at first, but in the end \\boxed{{{answer}}}.",
                    f"The final answer is ${answer}$.",
                    "and so we go on with the next",
                ],
                weights=[88, 4, 4, 4],
            )[0]
            items.append((f"{steps} {ending}", gold, "maths"))
    rng.shuffle(items)
    return items


def _slip(gold: str, rng: random.Random) -> str:
    """The gold with one of its numbers changed."""
    numbers = list(re.finditer(r"(?<![_\d])(?<!_\{)\d+", gold))  # a base stays: math-verify does not read it
    if not numbers:
        return str(rng.randrange(100))
    number = rng.choice(numbers)
    return gold[: number.start()] + str(int(number.group()) + rng.randrange(1, 9)) + gold[number.end() :]


def _notation(gold: str, rng: random.Random) -> str:
    return rng.choice([gold, gold, gold, gold.replace("\\frac", "\\dfrac"), f" {gold} ", gold.replace(",", ", ")])
