"""Where a model that others trained comes from: a Python package, a folder, or the hub."""

from __future__ import annotations

from pathlib import Path

from polya_midtrain.checkpoints import folder, hub, packaged
from polya_midtrain.params import FolderModel, HubBase, PackageBase, RewardHub


def fetch(settings: PackageBase | FolderModel | HubBase | RewardHub, block: str, target: Path) -> None:
    """Write the model that ``block`` of params.yaml names into ``target``, a checkpoint with its tokenizer."""
    if isinstance(settings, PackageBase):
        packaged.unpack(settings, target)
    elif isinstance(settings, FolderModel):
        folder.copy(settings, block, target)
    else:
        hub.chat_model(settings.id, settings.revision, target)
    if block == "base":
        hub.same_end(target, "params.yaml: base")
