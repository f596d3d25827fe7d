"""Stage teacher: a stronger model of the same questions, whose answers the distilled arm learns from."""

from __future__ import annotations

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params, WorldBase, WorldTeacher
from polya_midtrain.runtime.stage import stage


def run(params: Params) -> None:
    """Write models/teacher: the base trained on (world), unpacked (package), copied (folder) or downloaded (hub)."""
    settings = params.teacher
    world = isinstance(settings, WorldTeacher)
    if world and not isinstance(params.base, WorldBase):
        raise UserError(
            "params.yaml: teacher.kind is world but base.kind is not: this teacher is the embedded base trained on; "
            "give teacher a model of a package, a folder or the hub"
        )
    with stage(
        params,
        "teacher",
        outputs={"model": paths.TEACHER},
        unit="steps",
    ) as this:
        if isinstance(settings, WorldTeacher):
            from polya_midtrain.world import pretrain

            pretrain.train_on(paths.BASE, settings, params.machine, this)
        else:
            from polya_midtrain.checkpoints.fetch import fetch

            fetch(settings, "teacher", this.work / "model")
