"""The hosts of one training: what accelerate's configuration file says of them, and how the first calls the others.

Only the first host runs stages. All see the same project folder (a shared file system): there the first one leaves a
call for each training that it launches, and the others, which `polya join` has waiting, take part in it. A host's rank
comes from that command, so that params.yaml and the configuration file are the same everywhere.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import Machine
from polya_midtrain.runtime import scratch

CALL = scratch.ROOT / "launch.json"


@dataclass(frozen=True, slots=True)
class Call:
    """A training that is being launched: ``name`` is never given twice, ``arguments`` are those of training.launch."""

    name: str
    arguments: list[str]


def count(machine: Machine) -> int:
    """The hosts of a training. `UserError` for a configuration that would fail, or that this package cannot save."""
    hosts = 1
    if machine.accelerate is not None:
        hosts = _checked(machine.accelerate, machine.processes)
    if policy.device_of(machine.device) == "cuda":
        import torch

        here, found = machine.processes // hosts, torch.cuda.device_count()
        if found < here:
            raise UserError(
                f"params.yaml: machine.processes {machine.processes} asks for {here} GPUs on each of {hosts} hosts and "
                f"torch sees {found} on this one; lower it"
            )
    return hosts


def _checked(file: Path, processes: int) -> int:
    found = _read(file)
    hosts, sharded = int(found.num_machines), str(found.distributed_type).endswith("FSDP")
    version, form = (found.fsdp_config.get(name) for name in ("fsdp_version", "fsdp_state_dict_type"))
    faults = []
    if processes % hosts:
        faults.append(f"num_machines {hosts} does not divide machine.processes {processes} of params.yaml")
    if hosts > 1 and not (found.main_process_ip and found.main_process_port):
        faults.append("several hosts need main_process_ip and a main_process_port")
    # Otherwise the shares of the weights would become no checkpoint, and no model to sample.
    if sharded and version != 2:
        faults.append("fsdp_config needs fsdp_version 2")
    if sharded and form != "FULL_STATE_DICT":
        faults.append("fsdp_config needs fsdp_state_dict_type FULL_STATE_DICT")
    if faults:
        raise UserError(f"{file}: {faults[0]}; correct it")
    return hosts


def _read(file: Path) -> Any:
    """accelerate's own reading of its configuration file."""
    from accelerate.commands.config import load_config_from_file

    try:
        return load_config_from_file(str(file))
    except FileNotFoundError as error:
        raise UserError(f"{file}: no such file; name one of machines/ as machine.accelerate in params.yaml") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{file}: no configuration of accelerate ({reason}); take one of machines/") from error


@contextmanager
def calling(arguments: Sequence[str]) -> Iterator[None]:
    """Call the other hosts to a training for as long as the block runs."""
    CALL.parent.mkdir(exist_ok=True)
    draft = CALL.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(Call(secrets.token_hex(8), list(arguments)))))
    draft.replace(CALL)
    try:
        yield
    finally:
        CALL.unlink(missing_ok=True)


def called() -> Call | None:
    """The training that the first host calls for, if there is one."""
    try:
        return Call(**json.loads(CALL.read_text()))
    except FileNotFoundError:
        return None
