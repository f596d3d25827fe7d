"""Which arms belong to which table, in an order that is no process's own."""

from __future__ import annotations

import os
import subprocess
import sys

from polya_midtrain.params import Arm, Match, studies

ORDER = """
from polya_midtrain.params import studies
from polya_midtrain.params import Arm, Match
arms = {f"target{i}": Arm(traces="heuristics", n=1) for i in range(6)}
arms |= {f"b{i}": Arm(traces="heuristics", n=2, match=Match(rows=f"target{i}")) for i in range(6)}
print(studies.budget(arms, "rows"), studies.budget(arms, "tokens"))
"""


def test_arms_of_equal_n_stand_in_the_order_of_the_settings_in_every_process() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", ORDER],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {str([f"target{i}" for i in range(6)] + [f"b{i}" for i in range(6)]) + " []\n"}


def test_an_arm_with_an_amount_of_rl_of_its_own_is_of_the_map_alone() -> None:
    usual = {
        "vanilla": Arm(traces="none"),
        "star": Arm(traces="unprompted", n=1),
        "n1": Arm(traces="heuristics", n=1),
        "n4": Arm(traces="heuristics", n=4),
        "distil": Arm(traces="teacher", n=4, match=Match(rows="n4")),
        "b4": Arm(traces="heuristics", n=4, match=Match(rows="n1")),
        "w4": Arm(traces="wrong", n=4),
    }
    long = {f"{name}-long": arm.model_copy(update={"rl_epochs": 4.0}) for name, arm in usual.items()}
    both = {name: arm for pair in zip(reversed(long.items()), usual.items(), strict=True) for name, arm in pair}
    for family in (studies.main, studies.by_n, studies.correctness, studies.stars, studies.distilled, studies.taught):
        assert set(family(both)) == set(family(usual)) > set()
    assert studies.budget(both, "rows") == studies.budget(usual, "rows")
    assert studies.by_amount(usual, 1.0) == {}
    found = studies.by_amount(both, 1.0)
    assert list(found) == [1.0, 4.0]
    assert [names[0] for names in found.values()] == ["vanilla", "vanilla-long"]
    assert (set(found[1.0]), set(found[4.0])) == (set(studies.main(usual)), set(long))
    assert [studies.most(both, names) for names in found.values()] == ["n4", "n4-long"]
    assert studies.most(both, ["vanilla", "star-long", "b4"]) is None
