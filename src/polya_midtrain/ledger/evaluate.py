"""From an effect with its interval to a verdict: pure functions, the same for every claim.

An effect is a number that the paper says is above zero ("up") or below ("down"): a difference between two arms, a slope
with n, a change by RL. Below, "up" is meant; "down" is the same after a change of sign.

- **replicated**: the interval lies above zero. Where the table also tests the effect among others, Holm's p must be
  below 1 - confidence too.
- **not replicated**, for one of two reasons, which the text names: the interval lies below zero (the opposite; Holm's
  p as before), or it lies below the paper's effect, though not away from zero. The second is a test of equivalence,
  one-sided: an effect as large as the paper's is what the data contradict, a smaller one they do not.
- **inconclusive**: neither, so the interval holds zero and, where the paper's effect is known, that too. Also: no
  interval, one of zero width (all scored the same, which is not certainty; but see `unanimous`), or a single training
  seed, which cannot tell the method from that seed's luck.
- **not tested**: the run has no such arms.

An effect that is there but smaller than the paper's is replicated, and the text says that it is smaller. The paper's
effect is taken in the unit of the table, from another model and other questions: it is a yardstick, not a prediction.

What would decide. An interval narrower than the paper's effect cannot hold both it and zero, so it decides whatever the
truth. Width goes with one over the root of what was sampled; questions and training seeds both add spread, so both have
to grow by ``(width / effect) ** 2``. If the table gives the detectable difference, which knows of the other tests, the
larger of the two takes the width's place. Where the paper's effect is unknown, the estimate stands in for it, and for
the width its distance to the interval's end on zero's side: if the estimate holds, zero is then excluded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Verdict = Literal["replicated", "not replicated", "inconclusive", "not tested"]
VERDICTS: tuple[Verdict, ...] = ("replicated", "not replicated", "inconclusive", "not tested")
Direction = Literal["up", "down"]
MOST = 10_000  # times the size; beyond it a plan is no plan


@dataclass(frozen=True)
class Evidence:
    """An effect as its table has it. ``p`` is Holm's, None where there is no test; ``detectable`` as in `long.Row`.

    ``zero``: the number that means no effect; ``seeds``: training seeds that the effect is pooled over, 0 if no trained
    policy takes part in it.
    """

    what: str
    value: float
    low: float | None
    high: float | None
    questions: int
    seeds: int
    p: float | None = None
    detectable: float | None = None
    zero: float = 0.0


@dataclass(frozen=True)
class Judgement:
    """A verdict, the text that says why, and the effect that it rests on (None for what was not tested)."""

    verdict: Verdict
    reason: str
    evidence: Evidence | None = None


def judge(evidence: Evidence, direction: Direction, paper: float | None, alpha: float) -> Judgement:
    """The verdict on one effect. ``paper``: the size of the paper's effect, above zero, or None if it is unknown."""
    sign = 1.0 if direction == "up" else -1.0
    text = _text(evidence)
    if evidence.low is None or evidence.high is None:
        return Judgement("inconclusive", f"{text} has no interval to judge by", evidence)
    if evidence.low == evidence.high:
        return Judgement("inconclusive", f"{text}: an interval without width means that no spread was seen", evidence)
    if evidence.seeds == 1:
        return Judgement("inconclusive", f"{text}: one training seed cannot tell the method from its luck", evidence)
    low, high = sorted(sign * (end - evidence.zero) for end in (evidence.low, evidence.high))
    tested = evidence.p is None or evidence.p < alpha
    sides = ("above", "below") if direction == "up" else ("below", "above")
    size = "" if paper is None else f"the paper's {evidence.zero + sign * paper:+.3f}"
    if low > 0.0 and tested:
        more = f", but short of {size}" if paper is not None and high < paper else ""
        return Judgement("replicated", f"{text} lies {sides[0]} {evidence.zero:g}, as claimed{more}", evidence)
    if high < 0.0 and tested:
        return Judgement("not replicated", f"{text} lies {sides[1]} {evidence.zero:g}: the opposite", evidence)
    if paper is not None and high < paper:
        smaller = ", though not a smaller effect" if high > 0.0 else ""
        return Judgement("not replicated", f"{text} excludes {size}{smaller}", evidence)
    held = f"cannot be told from {evidence.zero:g}" + (f", nor from {size}" if paper is not None else "")
    return Judgement("inconclusive", f"{text} {held}; {_decisive(evidence, paper)}", evidence)


def growth(evidence: Evidence, paper: float | None) -> float:
    """How many times the questions, and the training seeds, would decide; inf where there is no effect to plan for."""
    if evidence.low is None or evidence.high is None:
        return math.inf
    width = evidence.high - evidence.low
    if paper is None:
        paper = abs(evidence.value - evidence.zero)
        width = evidence.value - evidence.low if evidence.value > evidence.zero else evidence.high - evidence.value
    if paper == 0.0:
        return math.inf
    ratio = max(width, evidence.detectable or 0.0) / paper
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


def widened(evidence: Evidence, comparisons: int, alpha: float) -> Evidence:
    """The effect with Bonferroni's interval for one of several looked at; as it is where Holm's p corrects already.

    Each end moves away from the value by the ratio of the normal quantiles at ``alpha / comparisons`` and ``alpha``.
    """
    if evidence.low is None or evidence.high is None or evidence.p is not None or comparisons < 2:
        return evidence
    from scipy.special import ndtri

    ratio = float(ndtri(alpha / comparisons / 2.0) / ndtri(alpha / 2.0))
    low, high = (evidence.value + ratio * (end - evidence.value) for end in (evidence.low, evidence.high))
    return replace(evidence, low=low, high=high)


def together(judgements: Sequence[Judgement], rule: Literal["all", "any"]) -> Judgement:
    """The verdict on several at once, resting on the one that decides it.

    "all" is replicated if every one is, and not replicated if one is not; "any" the other way round. Else it is
    inconclusive; and not tested if none was.
    """
    tested = [one for one in judgements if one.verdict != "not tested"]
    if not tested or len(judgements) == 1:
        return judgements[0]
    order: tuple[Verdict, ...] = ("not replicated", "inconclusive", "replicated")
    decides = (min if rule == "all" else max)(tested, key=lambda one: order.index(one.verdict))
    verdict = decides.verdict
    untested = len(judgements) - len(tested)
    if untested and verdict == ("replicated" if rule == "all" else "not replicated"):
        reason = f"{untested} of {len(judgements)} could not be tested; {decides.reason}"
        return Judgement("inconclusive", reason, decides.evidence)
    same = sum(one.verdict == verdict for one in judgements)
    return Judgement(verdict, f"{same} of {len(judgements)} {verdict}, such as {decides.reason}", decides.evidence)


def _text(evidence: Evidence) -> str:
    ends = "" if evidence.low is None or evidence.high is None else f" [{evidence.low:+.3f}, {evidence.high:+.3f}]"
    small = evidence.p is not None and evidence.p < 0.001
    p = "" if evidence.p is None else f" (Holm p {'< 0.001' if small else f'{evidence.p:.3f}'})"
    return f"{evidence.what} {evidence.value:+.3f}{ends}{p}"


def _decisive(evidence: Evidence, paper: float | None) -> str:
    times = growth(evidence, paper)
    if times > MOST:
        return f"no size up to {MOST:,} times this one would decide"
    if times == 1.0:
        return "another run of this size may decide"
    target = "narrower than the paper's effect" if paper is not None else "that decides, if the estimate holds,"
    questions = f"{math.ceil(times * evidence.questions):,} questions"
    seeds = f" and {math.ceil(times * evidence.seeds):,} training seeds" if evidence.seeds else ""
    return f"an interval {target} takes {times:.1f} times the size: {questions}{seeds}"
