"""A model of one's own, in a folder as transformers saves it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from polya_midtrain.checkpoints import hub, policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import FolderModel


def copy(settings: FolderModel, block: str, folder: Path) -> None:
    """Copy configuration, tokenizer and weights into ``folder``, which is made; see `checked` for what is refused."""
    files = checked(settings, block)
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)


def checked(settings: FolderModel, block: str) -> list[Path]:
    """The files that are the model; ``block`` of params.yaml asks for it. Each fault is a one-line `UserError`."""
    path, where = settings.path, f"params.yaml: {block}.path: {settings.path}"
    if not path.is_dir():
        raise UserError(f"{where}: no such folder; correct path, which counts from the project's root")
    files = sorted({file for pattern in (*hub.SMALL, *hub.WEIGHTS) for file in path.glob(pattern) if file.is_file()})
    if not (path / "config.json").is_file() or not any(path.glob(hub.WEIGHTS[0])):
        raise UserError(
            f"{where} has no config.json or no weights as safetensors; save the model with save_pretrained, "
            "or correct path"
        )
    with policy.readable(path, "copy it again"):
        hub.opened(path)
    if not hub.has_chat_template(path):
        raise UserError(
            f"{where}: its tokenizer has no chat template; save the tokenizer of an instruction-tuned model beside it"
        )
    found = digest(files)
    if found != settings.sha256:
        raise UserError(
            f"{where} holds another model than params.yaml says; if it is meant, set {block}.sha256 to {found}"
        )
    return files


def digest(files: Iterable[Path]) -> str:
    """SHA-256 over the files' own and their names, as `sha256sum` lists them. Reads every byte: seconds per 10 GB."""
    lines = []
    for file in files:
        with file.open("rb") as content:
            lines.append(f"{hashlib.file_digest(content, 'sha256').hexdigest()}  {file.name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()
