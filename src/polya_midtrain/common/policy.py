"""Loading and saving policies: the one place that knows about devices and number formats."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polya_midtrain.errors import UserError

POINTER = "same-as.txt"

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def device_of(wanted: str) -> str:
    """ "cpu" or "cuda" for the setting auto, cpu or cuda; asking for a GPU that is not there is a one-line error."""
    import torch

    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UserError("params.yaml: machine.device is cuda but torch sees no GPU; set it to cpu or auto")
    return "cuda" if wanted != "cpu" and available else "cpu"


def need_gpus(wanted: int, why: str) -> None:
    """Refuse a host with fewer than ``wanted`` GPUs, in one line. Asking for their number opens none of them."""
    import torch

    found = torch.cuda.device_count()
    if found < wanted:
        raise UserError(
            f"params.yaml: machine asks for {wanted} GPUs ({why}) and torch sees {found}; lower what it asks for"
        )


def quiet() -> None:
    """One thread, no hub traffic, no library progress bars: called before models are loaded in a stage."""
    import torch
    from transformers.utils import logging

    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")


def load(path: Path, device: str, auto_class: str = "AutoModelForCausalLM", **kwargs: Any) -> tuple[Any, Any]:
    """Model and tokenizer of a checkpoint folder, in float32 (weights are stored smaller, see `save`)."""
    import torch
    import transformers

    tokenizer = load_tokenizer(path)
    with readable(path):
        model = getattr(transformers, auto_class).from_pretrained(path, dtype=torch.float32, **kwargs)
    return model.to(device).eval(), tokenizer


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint folder alone."""
    import transformers

    check(path)
    with readable(path):
        found: PreTrainedTokenizerBase = transformers.AutoTokenizer.from_pretrained(path)
    return found


@contextmanager
def readable(path: Path, remedy: str = "delete it and run `dvc repro` again") -> Iterator[None]:
    """Say in one line that a file of a checkpoint is torn, empty or not what its name says."""
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: not a checkpoint that can be read ({reason}); {remedy}") from error


def check(path: Path) -> None:
    """Refuse a folder that holds no checkpoint."""
    if not (path / "config.json").exists():
        raise UserError(
            f"{path}: no checkpoint here; run `dvc repro` (it makes every input of a stage before the stage)"
        )


def resolve(path: Path) -> Path:
    """The checkpoint folder behind ``path``, which may hold a pointer (see `point`) in place of weights."""
    pointer = path / POINTER
    return Path(pointer.read_text().strip()) if pointer.exists() else path


def point(path: Path, target: Path) -> None:
    """Make ``path`` stand for another checkpoint: an arm without mid-training starts RL from the base itself."""
    path.mkdir(parents=True, exist_ok=True)
    (path / POINTER).write_text(target.as_posix() + "\n")


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: Path, dtype: torch.dtype) -> None:
    """Write a checkpoint folder in ``dtype`` (the format that the base came in)."""
    import copy

    stored = model if model.dtype == dtype else copy.deepcopy(model).to(dtype)
    stored.save_pretrained(path)
    tokenizer.save_pretrained(path)


def stored_dtype(path: Path) -> torch.dtype:
    """The number format that a checkpoint folder is stored in."""
    import json

    import torch

    config = json.loads((path / "config.json").read_text())
    named = config.get("dtype") or config.get("torch_dtype")  # the latter in checkpoints from before transformers 5
    dtype = getattr(torch, named or "float32")
    assert isinstance(dtype, torch.dtype)
    return dtype
