"""Reward, entropy and completion length by RL step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polya_midtrain.figures.data import count, curves
from polya_midtrain.figures.style import BAND, Drawing, arm_looks, legend, panels
from polya_midtrain.params import Params, studies
from polya_midtrain.tables.row import in_words

PANELS = {
    "reward": ("reward", "share of right answers"),
    "entropy": ("entropy", "nats a token"),
    "length": ("completion length", "tokens"),
}
SMOOTHED = 8  # a curve is smoothed over this part of its steps


def draw(params: Params) -> Drawing:
    """Each arm's mean over its training runs, with a band from the lowest to the highest.

    Of the arms by n the smallest and the largest: the bands of more would hide each other.
    """
    between = studies.by_n(params.arms)[1:-1]
    arms = [arm for arm in studies.main(params.arms) if arm not in between]
    looks = arm_looks(params.arms, arms)
    figure, axes = panels(1, len(PANELS), 3.3)
    ends: dict[str, list[str]] = {name: [] for name in PANELS}
    missing = 0
    for arm in arms:
        found = curves(arm, list(PANELS))
        steps = next(iter(found.values()))["step"]
        window = max(1, len(steps) // SMOOTHED)
        for one, quantity in zip(axes, PANELS, strict=True):
            raw = np.array([curve[quantity] for curve in found.values()])
            missing += int(np.isnan(raw).sum())
            smooth = np.ma.masked_invalid([moving_mean(seed, window) for seed in raw])
            mean, look = smooth.mean(axis=0), looks[arm]
            one.fill_between(steps, smooth.min(axis=0), smooth.max(axis=0), color=look.colour, alpha=BAND, linewidth=0)
            one.plot(
                steps,
                mean,
                color=look.colour,
                linestyle=look.dash,
                marker=look.marker or "none",
                markevery=(0, max(1, len(steps) // 5)),
                markersize=4,
                label=arm,
            )
            there = mean.compressed()
            ends[quantity].append(
                f"{arm} {there[0]:.3g} to {there[-1]:.3g}" if len(there) else f"{arm} nowhere measured"
            )
    for one, (name, unit) in zip(axes, PANELS.values(), strict=True):
        one.set_title(name)
        one.set_ylabel(unit)
        one.set_xlabel("RL step")
    legend(figure, axes, columns=6)
    words = "; ".join(f"{PANELS[quantity][0]}: {', '.join(parts)}" for quantity, parts in ends.items())
    drawn = in_words([int(run) for run in found])
    of_runs = f"Mean over {drawn}, with a band from the lowest to the highest" if len(found) > 1 else drawn
    smoothed = f"smoothed over {count(window, 'step')}" if window > 1 else "not smoothed"
    return Drawing(
        figure,
        "Training curves of RL",
        f"{of_runs}, {count(len(steps), 'step')}, {smoothed}. Each step asks its own "
        "questions, so the reward of single steps varies. "
        f"{f'{missing:,} values were no finite numbers and are left out. ' if missing else ''}"
        f"{'Not shown: ' + ', '.join(between) + '. ' if between else ''}The axes do not start at 0.",
        f"Three charts by RL step. From the first to the last step, {words}.",
        tuple(f"results/curves/{arm}.json" for arm in arms),
    )


def moving_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """A centred moving mean over what the window has: less at both ends, and where values are missing (NaN)."""
    kernel, there = np.ones(window), ~np.isnan(values)
    sums, counts = (np.convolve(one, kernel, "same") for one in (np.where(there, values, 0.0), there.astype(float)))
    return np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0.5)
