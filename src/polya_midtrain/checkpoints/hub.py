"""A checkpoint of the hub, at a pinned revision."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError

SMALL = ["*.json", "*.txt", "*.model", "*.jinja"]  # configuration and tokenizer
WEIGHTS = ["*.safetensors"]
FOLDERS = ["*/*"]  # other formats of the same weights; all that is used lies at the top


def chat_model(name: str, revision: str, folder: Path) -> None:
    """As `snapshot`, of a model that is talked to: one without a chat template is refused before its weights come."""
    describe(name, revision, folder, chat=True)
    snapshot(name, revision, folder)


def snapshot(name: str, revision: str, folder: Path) -> None:
    """Download the weights, configuration and tokenizer of ``name`` at ``revision`` into ``folder``."""
    _download(name, revision, folder, [*SMALL, *WEIGHTS])
    if not any(folder.glob("*.safetensors")):
        raise UserError(
            f"params.yaml: {name}@{revision} has no weights as safetensors; take a model that has, correct id"
        )
    # The client's record of the download holds times: the same snapshot would have another hash every time.
    shutil.rmtree(folder / ".cache", ignore_errors=True)


def describe(name: str, revision: str, folder: Path, *, chat: bool) -> None:
    """Download configuration and tokenizer, some megabytes, and look at what they promise.

    They need the same permission as the weights: where this ends well, `snapshot` (``chat``: `chat_model`) may begin.
    """
    configuration(name, revision, folder, SMALL)
    if chat and not has_chat_template(folder):
        raise UserError(
            f"params.yaml: {name}@{revision}: its tokenizer has no chat template; take an instruction-tuned model"
        )


def configuration(name: str, revision: str, folder: Path, more: Sequence[str] = ()) -> None:
    """Download a model's configuration, and what else matches ``more``."""
    _download(name, revision, folder, ["config.json", *more])
    if not (folder / "config.json").exists():
        raise UserError(
            f"params.yaml: {name}@{revision} has no config.json, so it is no model of transformers; correct id"
        )


def opened(folder: Path) -> None:
    """Open weights and settings, which says of most torn files that they are; ValueError or `SafetensorError`."""
    from safetensors import safe_open

    for file in sorted(folder.glob(WEIGHTS[0])):
        with safe_open(file, "pt"):
            pass
    for file in sorted(folder.glob("*.json")):
        json.loads(file.read_text(encoding="utf-8"))


def same_end(folder: Path, where: str) -> None:
    """Refuse a model whose answers end otherwise than its tokenizer says: mid-training would teach the tokenizer's end,
    which ends nothing where answers are sampled. A model may have several ends (Llama 3.2 has three)."""
    file = next(file for name in ("generation_config.json", "config.json") if (file := folder / name).exists())
    ends = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id")
    tokenizer = policy.load_tokenizer(folder)
    known = ends if isinstance(ends, list) else [ends]
    if tokenizer.eos_token_id is None:
        raise UserError(f"{where}: its tokenizer has no end token; set eos_token in tokenizer_config.json")
    if ends is not None and tokenizer.eos_token_id not in known:
        names = ", ".join(map(str, tokenizer.convert_ids_to_tokens(known)))
        raise UserError(
            f"{where}: its answers end with {names} ({file.name}), and its tokenizer with {tokenizer.eos_token}; "
            "set eos_token of tokenizer_config.json to the token that ends an answer, or take another model"
        )


def has_chat_template(folder: Path) -> bool:
    """Whether the tokenizer comes with a chat template, inside of its settings or beside them."""
    settings = folder / "tokenizer_config.json"
    inside = settings.exists() and json.loads(settings.read_text(encoding="utf-8")).get("chat_template")
    return bool(inside) or (folder / "chat_template.jinja").exists()


def _download(name: str, revision: str, folder: Path, patterns: list[str]) -> None:
    """The files of a repository that match; each way in which the hub can refuse is one line with its remedy."""
    import httpx
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"{constants.ENDPOINT}/{name}"
    try:
        snapshot_download(name, revision=revision, local_dir=folder, allow_patterns=patterns, ignore_patterns=FOLDERS)
    except GatedRepoError as error:  # a kind of RepositoryNotFoundError
        raise UserError(
            f"params.yaml: {name} is gated: accept its licence at {page}, then set HF_TOKEN to a token of that account"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(
            f"params.yaml: the hub has no model {name!r} (or HF_TOKEN may not read it); correct id, see {page}"
        ) from error
    except RevisionNotFoundError as error:
        raise UserError(
            f"params.yaml: {name} has no revision {revision!r}; take a commit of {page}/commits/main"
        ) from error
    except (LocalEntryNotFoundError, ConnectionError, httpx.TransportError) as error:
        # No network, or HF_HUB_OFFLINE. What the client says is about its cache, which is not used here.
        raise UserError(
            f"params.yaml: cannot reach the hub for {name}@{revision} ({type(error).__name__}); check the network "
            "and HF_HUB_OFFLINE, and run again"
        ) from error
    except (httpx.HTTPError, OSError, RuntimeError) as error:  # RuntimeError: of hf_xet, which transfers the weights
        cause = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise UserError(
            f"params.yaml: cannot download {name}@{revision}: {cause}; check the network and HF_TOKEN, and run again"
        ) from error
