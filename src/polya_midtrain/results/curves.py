"""results/curves/ARM.json: what training by RL logged at each step."""

from __future__ import annotations

from polya_midtrain.results.small import OfArm


class Curves(OfArm):
    """Per training seed its steps: ``step``, and the quantities that were measured there, None where no finite one."""

    seeds: dict[str, list[dict[str, int | float | None]]]
