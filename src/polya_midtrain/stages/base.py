"""Stage base: the policy that every arm starts from, as a checkpoint folder with its tokenizer."""

from __future__ import annotations

from polya_midtrain import paths
from polya_midtrain.params import Params, WorldBase
from polya_midtrain.runtime.stage import stage
from polya_midtrain.training.bases import One, train_bases


def run(params: Params) -> None:
    """Write models/base/base-B: trained here (world), unpacked (package), copied (folder) or downloaded (hub)."""
    with stage(params, "base", outputs={"models": paths.BASES}, unit="steps", tasks=len(params.bases)) as this:
        if isinstance(params.base, WorldBase):
            from polya_midtrain.world import pretrain

            def train(one: One) -> dict[str, float]:
                settings = params.base_settings(one.number)
                assert isinstance(settings, WorldBase)
                return pretrain.train(one, settings)

            train_bases(params, this, train)
            return
        from polya_midtrain.checkpoints.fetch import fetch

        for number in params.numbers:
            settings = params.base_settings(number)
            assert not isinstance(settings, WorldBase)
            fetch(settings, "base", this.work / "models" / f"base-{number}")
