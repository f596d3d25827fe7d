"""Which arms belong to which table, in an order that is no process's own."""

from __future__ import annotations

import os
import subprocess
import sys

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
