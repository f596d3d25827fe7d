"""Loading and saving policies: the one place that knows about devices and number formats."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from polya_midtrain.checkpoints.shapes import Model, of_config
from polya_midtrain.errors import UserError
from polya_midtrain.runtime import workers

POINTER = "same-as.txt"
Purpose = Literal["read", "train"]
DRIVER = Path("/proc/driver/nvidia/version")
DRIVERS = {"12": 525, "13": 580}  # the oldest driver that each CUDA runs on (NVIDIA, CUDA Compatibility)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def device_of(wanted: str) -> str:
    """ "cpu" or "cuda" for the setting auto, cpu or cuda. Asking for a GPU that is not there is a one-line error, and
    so is one that would be left idle because its driver is too old."""
    import torch

    # A process that has asked CUDA can fork none that uses it.
    here = torch.cuda.is_initialized() or not torch.backends.cuda.is_built()
    available = torch.cuda.is_available() if here else workers.apart(torch.cuda.is_available)
    if wanted != "cpu" and not available:
        check_driver(torch.version.cuda)
    if wanted == "cuda" and not available:
        raise UserError("params.yaml: machine.device is cuda but torch sees no GPU; set it to cpu or auto")
    return "cuda" if wanted != "cpu" and available else "cpu"


def check_driver(cuda: str | None) -> None:
    """Refuse a host whose NVIDIA driver is too old for torch's version of CUDA, in one line."""
    needed, found = DRIVERS.get((cuda or "").partition(".")[0]), driver()
    if needed and found and int(found.partition(".")[0]) < needed:
        raise UserError(
            f"the NVIDIA driver of this host is {found}, and CUDA {cuda} of this torch needs {needed} or newer: "
            "renew it, take torch (or an image) for an older CUDA, or set machine.device in params.yaml to cpu"
        )


def driver() -> str:
    """The version of this host's NVIDIA driver; "" without one."""
    try:
        found = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", DRIVER.read_text(encoding="utf-8"))
    except OSError:
        return ""
    return found[1] if found else ""


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


def precision(path: Path, device: str, purpose: Purpose) -> torch.dtype:
    """The number format that a checkpoint's weights are opened in: float32 to be trained, and for everything on a CPU.

    A GPU reads and samples a model in the format that it is stored in, most often bfloat16. A gradient step needs
    float32 there, too: bfloat16 has 8 binary digits, in which steps as small as ours are lost.
    """
    import torch

    return torch.float32 if purpose == "train" or device == "cpu" else stored_dtype(path)


def load(
    path: Path, device: str, auto_class: str = "AutoModelForCausalLM", purpose: Purpose = "train", **kwargs: Any
) -> tuple[Any, Any]:
    """Model and tokenizer of a checkpoint folder, in the `precision` of the purpose (read: to sample, score, embed)."""
    import transformers

    tokenizer = load_tokenizer(path)
    dtype = precision(path, device, purpose)
    with readable(path):
        model = getattr(transformers, auto_class).from_pretrained(path, dtype=dtype, **kwargs)
    return model.to(device).eval(), tokenizer


def empty_copy(model: PreTrainedModel, device: torch.device, dtype: torch.dtype) -> Any:
    """A model of the same shape, to be sampled, whose weights have yet to be written."""
    import copy

    import torch
    import transformers
    from transformers.initialization import no_init_weights

    with no_init_weights(), torch.device(device):
        made = transformers.AutoModelForCausalLM.from_config(copy.deepcopy(model.config), dtype=dtype)
    made.tie_weights()  # which initialising would have done
    made.generation_config = model.generation_config
    return made.eval()


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
    """Write a checkpoint folder in ``dtype`` (the format that the base came in).

    Weights leave a GPU one by one, for a copy of the model beside Adam's state may not fit there.
    """
    import copy

    moved: dict[int, torch.Tensor] = {}  # by storage, so that tied weights stay one
    weights = {}
    for name, tensor in model.state_dict().items():
        place = tensor.data_ptr()
        if place not in moved:
            moved[place] = tensor.cpu().to(dtype) if tensor.is_floating_point() else tensor.cpu()
        weights[name] = moved[place]
    model.save_pretrained(path, state_dict=weights)
    config = copy.deepcopy(model.config)
    config.dtype = dtype  # not of the model in hand
    config.save_pretrained(path)
    tokenizer.save_pretrained(path)


def shape(path: Path) -> Model:
    """The shape of a checkpoint folder's model."""
    check(path)
    return of_config(str(path), json.loads((path / "config.json").read_text()))


def stored_dtype(path: Path) -> torch.dtype:
    """The number format that a checkpoint folder is stored in."""
    import torch

    config = json.loads((path / "config.json").read_text())
    named = config.get("dtype") or config.get("torch_dtype")  # the latter in checkpoints from before transformers 5
    dtype = getattr(torch, named or "float32")
    assert isinstance(dtype, torch.dtype)
    return dtype
