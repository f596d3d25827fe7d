"""From an effect with its interval to a verdict: pure functions, the same for every claim.

An effect is a number that the paper says is above zero ("up") or below ("down"): a difference between two arms, a slope
with n, a change by RL. Below, "up" is meant; "down" is the same after a change of sign. `Evidence.p` is corrected for
the other tests of its family: of a primary part the family are the primary parts of all claims.

- **replicated**: p is below 1 - confidence, and the interval lies above zero.
- **not replicated**: evidence against the claim, of one of two kinds, which the text names: p and the interval say that
  the effect lies below zero (the opposite), or the interval lies below the smallest effect of interest. The second is a
  test of equivalence, one-sided: an effect of that size is what the data contradict, a smaller one they do not.
- **inconclusive**: neither. Also: no test, no interval, one of zero width (all scored the same, which is not certainty;
  but see `unanimous`), or a single training seed, which cannot tell the method from that seed's luck.
- **not tested**: the run has no such arms, or fails a check that comes first (`checks`).

An effect that is there but smaller than the smallest of interest is replicated, and the text says that it is smaller.
The paper's effect decides nothing: it comes from another model and other questions, and how exact it is is not known.

What would decide. An interval narrower than the smallest effect of interest cannot hold both it and zero. Width goes
with one over the root of what was sampled; questions and training seeds, or bases, both add spread, so both have to
grow by ``(width / effect) ** 2``. If the table gives a larger detectable difference, that takes the width's place. The
effect is fixed before a run, so that the plan does not follow from what was found.

Parts that are not primary decide no claim, and have words of their own for the same: holds, does not hold, open.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Verdict = Literal[
    "replicated", "not replicated", "inconclusive", "not tested", "holds", "does not hold", "open"
]  # the last three of parts that are not primary
VERDICTS: tuple[Verdict, ...] = ("replicated", "not replicated", "inconclusive", "not tested")
WORDS: dict[Verdict, Verdict] = {"replicated": "holds", "not replicated": "does not hold", "inconclusive": "open"}
Direction = Literal["up", "down"]
MOST = 10_000  # times the size; beyond it a plan is no plan


@dataclass(frozen=True)
class Evidence:
    """An effect as its table has it. ``p`` is corrected, None where there is no test; ``detectable`` as in `row.Row`.

    ``zero``: the number that means no effect; ``units``: training seeds or, where there are several, bases that the
    effect is pooled over, 0 if no trained policy takes part in it; ``unit``: which of them.
    """

    what: str
    value: float
    low: float | None
    high: float | None
    questions: int
    units: int
    p: float | None = None
    detectable: float | None = None
    zero: float = 0.0
    unit: str = "training seed"


@dataclass(frozen=True)
class Judgement:
    """A verdict, the text that says why, and the effect that it rests on (None for what was not tested)."""

    verdict: Verdict
    reason: str
    evidence: Evidence | None = None


def judge(evidence: Evidence, direction: Direction, sesoi: float | None, alpha: float) -> Judgement:
    """The verdict on one effect. ``sesoi``: the smallest effect of interest, above zero; None: the part is not primary,
    which then needs no test and is not held against a size."""
    sign = 1.0 if direction == "up" else -1.0
    text = _text(evidence)
    if evidence.low is None or evidence.high is None:
        return Judgement("inconclusive", f"{text} has no interval to judge by", evidence)
    if evidence.low == evidence.high:
        return Judgement("inconclusive", f"{text}: an interval without width means that no spread was seen", evidence)
    if evidence.units == 1:
        return Judgement("inconclusive", f"{text}: one {evidence.unit} cannot tell the method from its luck", evidence)
    if sesoi is not None and evidence.p is None:
        return Judgement("inconclusive", f"{text} has no test", evidence)
    low, high = sorted(sign * (end - evidence.zero) for end in (evidence.low, evidence.high))
    tested = evidence.p is None or evidence.p < alpha
    sides = ("above", "below") if direction == "up" else ("below", "above")
    bound = "" if sesoi is None else f"the smallest effect of interest, {evidence.zero + sign * sesoi:+.4g}"
    if low > 0.0 and tested:
        more = f", but short of {bound}" if sesoi is not None and high < sesoi else ""
        return Judgement("replicated", f"{text} lies {sides[0]} {evidence.zero:g}, as claimed{more}", evidence)
    if high < 0.0 and tested:
        return Judgement("not replicated", f"{text} lies {sides[1]} {evidence.zero:g}: the opposite", evidence)
    if sesoi is None:
        return Judgement("inconclusive", f"{text} cannot be told from {evidence.zero:g}", evidence)
    if high < sesoi:
        smaller = ", though not a smaller one" if high > 0.0 else ""
        return Judgement("not replicated", f"{text} excludes {bound}{smaller}", evidence)
    held = f"cannot be told from {evidence.zero:g}, nor from {bound}"
    return Judgement("inconclusive", f"{text} {held}; {_decisive(evidence, sesoi)}", evidence)


def growth(evidence: Evidence, sesoi: float) -> float:
    """How many times the questions, and the units, would decide; inf where there is no interval."""
    if evidence.low is None or evidence.high is None:
        return math.inf
    ratio = max(evidence.high - evidence.low, evidence.detectable or 0.0) / sesoi
    return max(1.0, ratio * ratio)


def unanimous(evidence: Evidence, alpha: float) -> Evidence:
    """A share that is 0, or 1, at every question, whose resampled interval has no width, with the exact one instead.

    Its other end is ``(alpha / 2) ** (1 / questions)`` (Clopper and Pearson 1934), or 1 less that. That holds for any
    quantity between 0 and 1, not for yes and no alone: its mean is at least the chance of a 1.
    """
    if evidence.value not in (0.0, 1.0) or not evidence.low == evidence.high == evidence.value:
        return evidence
    reach = (alpha / 2.0) ** (1.0 / evidence.questions)
    return (
        replace(evidence, low=reach, high=1.0)
        if evidence.value == 1.0
        else replace(evidence, low=0.0, high=1.0 - reach)
    )


def together(judgements: Sequence[Judgement]) -> Judgement:
    """The verdict on several of which all have to hold, resting on the one that decides it."""
    if len(judgements) == 1:
        return judgements[0]
    order: tuple[Verdict, ...] = ("not replicated", "inconclusive", "replicated")
    decides = min(judgements, key=lambda one: order.index(one.verdict))
    same = sum(one.verdict == decides.verdict for one in judgements)
    return replace(decides, reason=f"{same} of {len(judgements)} as {decides.reason}")


def _text(evidence: Evidence) -> str:
    ends = "" if evidence.low is None or evidence.high is None else f" [{evidence.low:+.3f}, {evidence.high:+.3f}]"
    small = evidence.p is not None and evidence.p < 0.001
    p = "" if evidence.p is None else f" (Holm p {'< 0.001' if small else f'{evidence.p:.3f}'})"
    return f"{evidence.what} {evidence.value:+.3f}{ends}{p}"


def _decisive(evidence: Evidence, sesoi: float) -> str:
    times = growth(evidence, sesoi)
    if times > MOST:
        return f"no size up to {MOST:,} times this one would decide"
    if times == 1.0:
        return "another run of this size may decide"
    questions = f"{math.ceil(times * evidence.questions):,} questions"
    units = f" and {math.ceil(times * evidence.units):,} {evidence.unit}s" if evidence.units else ""
    return f"an interval narrower than that takes {times:.1f} times the size: {questions}{units}"
