"""A checkpoint of the hub, at a pinned revision."""

from __future__ import annotations

from pathlib import Path

from polya_midtrain.errors import UserError


def snapshot(name: str, revision: str, folder: Path) -> None:
    """Download the weights, configuration and tokenizer of ``name`` at ``revision`` into ``folder``."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
    try:
        snapshot_download(name, revision=revision, local_dir=folder, allow_patterns=patterns)
    except GatedRepoError as error:
        raise UserError(
            f"params.yaml: {name} is gated: accept its licence on its page of the hub, then set HF_TOKEN"
        ) from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"params.yaml: the hub has no model {name!r} (or HF_TOKEN may not read it); correct id"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        cause = str(error).splitlines()[0][:120]
        raise UserError(
            f"params.yaml: cannot download {name}@{revision}: {cause}; check the network and run again"
        ) from error
