"""The progress line: what it says, how often, on a terminal and in a log."""

from __future__ import annotations

import io
import re

import pytest

from polya_midtrain.runtime.progress import LOG_SECONDS, Progress, duration, stage_line


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def line(stream: io.StringIO, clock: Clock, **options: object) -> Progress:
    return Progress("rl", arm="n4", seeds=[1, 2], unit="steps", tasks=2, stream=stream, clock=clock, **options)


def test_line_names_stage_arm_seeds_amount_rate_and_time_left() -> None:
    clock = Clock()
    progress = line(io.StringIO(), clock)
    clock.now = 10.0
    progress.update(0, 30, 100, "reward 0.4")
    progress.update(0, 40, 100, "reward 0.5")
    progress.update(1, 10, 100, "reward 0.5")
    # 10 steps since the first report of task 0: what was done before it (30, resumed) does not count as speed.
    assert progress.line() == "rl n4 seeds 1,2: 50/200 steps, 1 steps/s, 0:10, 2:30 left, reward 0.5"


def test_a_task_that_has_not_begun_is_expected_to_be_like_the_others() -> None:
    clock = Clock()
    progress = line(io.StringIO(), clock)
    clock.now = 1.0
    progress.update(0, 0, 80)
    assert "0/160 steps" in progress.line()
    assert "left" not in progress.line()


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = line(stream, clock)
    for second in range(1, 61):
        clock.now = float(second)
        progress.update(0, second, 60)
    progress.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 60 // LOG_SECONDS + 1
    assert lines[0].startswith("rl n4 seeds 1,2: 15/120 steps, ")
    assert lines[-1] == "rl n4 seeds 1,2: 60/120 steps, done in 1:00"


def test_a_terminal_gets_one_line_that_is_redrawn() -> None:
    clock, stream = Clock(), Terminal()
    progress = line(stream, clock)
    for tenth in range(1, 21):
        clock.now = tenth / 10
        progress.update(0, tenth, 20)
    progress.close()
    assert "20/40 steps, done in 0:02" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1, "the line stays where it is until the end"


def test_the_last_line_says_how_a_stage_ended(capsys: pytest.CaptureFixture[str]) -> None:
    with stage_line("select", arm="n1"):
        pass
    assert re.fullmatch(r"select n1: done in \d:\d\d\n", capsys.readouterr().err)
    with pytest.raises(ValueError, match="no"), stage_line("select", seeds=[3]) as progress:
        progress.update(0, 1, 4)
        raise ValueError("no")
    assert re.fullmatch(r"select seed 3: 1/4, stopped in \d:\d\d\n", capsys.readouterr().err)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3600, "1:00:00")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
