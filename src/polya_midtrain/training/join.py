"""The part of a host that runs no stages: taking its share of every training that the first host launches."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from polya_midtrain import params as settings
from polya_midtrain.errors import UserError
from polya_midtrain.training import hosts, launch


def join(rank: int, say: Callable[[str], None]) -> None:
    """Wait for trainings and take part in them as host ``rank`` (from 1), until interrupted."""
    machine = settings.load().machine
    count = hosts.count(machine)
    if not 1 <= rank < count:
        raise UserError(
            f"params.yaml: machine.accelerate is {machine.accelerate}, with {count} hosts; "
            + (
                f"`polya join` takes 1 to {count - 1}"
                if count > 1
                else "name a file of several, such as machines/two-hosts.yaml"
            )
        )
    say(f"host {rank} of {count} waits for trainings of the first one; Ctrl-C ends it")
    done: hosts.Call | None = None
    while True:
        call = hosts.called()
        if call is None or call == done:
            time.sleep(launch.PAUSE)
            continue
        done = call
        say(f"takes part in {' '.join(call.arguments[:2])}, seed {call.arguments[2]}")
        code = take_part(call, rank)
        say("done" if code == 0 else f"ended with exit code {code}")


def take_part(call: hosts.Call, rank: int) -> int:
    """This host's share of one training; its exit code. A fault is left for the first host, which else would wait."""
    base = launch.base_of(call.arguments)
    output = base.with_name(f"{base.name}-host-{rank}.log")
    with output.open("wb") as stream:
        command = launch.command(settings.load().machine, call.arguments, rank)
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=launch.environment())
        try:
            while process.poll() is None and hosts.called() == call:
                time.sleep(launch.PAUSE)
            with suppress(subprocess.TimeoutExpired):  # the first host has its result, or gave up
                process.wait(launch.PATIENCE)
        finally:
            launch.stop(process)
    code = int(process.returncode)
    if code and hosts.called() == call and not base.with_suffix(".fault").exists():
        launch.leave(base, ".fault", _fault(rank, code, output))
    return code


def _fault(rank: int, code: int, output: Path) -> str:
    return (
        f"host {rank} ({socket.gethostname()}): accelerate launch ended with exit code {code}; what it said is in "
        f"{output}; run it again"
    )
