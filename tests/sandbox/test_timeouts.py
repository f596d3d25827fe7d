"""Answers that run into their time limit: together they have a bound, after which a stage that is run again goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import BARE, body

from polya_midtrain.errors import UserError
from polya_midtrain.grading import grade_many, pool, timeouts
from polya_midtrain.grading.timeouts import Timeouts

ENDLESS = [(body(f"while True: x = {n}"), BARE, "code") for n in range(2)]
RIGHT = (body("pass"), BARE, "code")


def test_timeouts_end_a_stage_and_the_next_run_goes_on_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "MOST_SECONDS", 0.1)  # each takes a second of the processor
    items = [RIGHT, *ENDLESS, RIGHT]
    file = tmp_path / "trainer-1/timeouts"  # a folder that may not be there yet
    for known in (1, 2):
        with pytest.raises(UserError, match=r"1 answers ran into their time limit .* run it again: it goes on") as said:
            grade_many(items, 1, timeouts=Timeouts(file))
        assert "\n" not in str(said.value)
        assert len(Timeouts(file).known) == known
        assert pool._HELPERS.all == []
    found = grade_many(items, 1, timeouts=Timeouts(file))
    assert [verdict.reason for verdict in found] == ["right", "timeout", "timeout", "right"]


def test_a_known_timeout_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Timeouts(tmp_path / "timeouts")
    kept.add(ENDLESS[0], 1.0)
    monkeypatch.setattr(pool._HELPERS, "run", None)  # nothing is left for a helper
    again = Timeouts(tmp_path / "timeouts")
    assert [verdict.reason for verdict in grade_many([ENDLESS[0]] * 2, 1, timeouts=again)] == ["timeout", "timeout"]
    assert ENDLESS[1] not in again
    assert (*ENDLESS[0][:2], "maths") not in again


def test_timeouts_of_separate_calls_count_together_where_they_share_a_bound() -> None:
    shared = Timeouts()
    shared.add(ENDLESS[0], timeouts.MOST_SECONDS - 1)
    with pytest.raises(UserError, match=r"^grading: 2 answers ran into their time limit and took 60 minutes of the 60"):
        shared.add(ENDLESS[1], 2.0)
