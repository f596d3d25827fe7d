"""Stage teacher: a stronger model of the same questions, whose answers the distilled arm learns from."""

from __future__ import annotations

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params, WorldBase, WorldTeacher
from polya_midtrain.runtime.stage import stage
from polya_midtrain.training.bases import point_others, train_bases


def run(params: Params) -> None:
    """Write models/teacher/base-B: a base trained on (world), or a model of a package, a folder or the hub."""
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
        outputs={"models": paths.TEACHERS},
        unit="steps",
        tasks=len(params.bases),
    ) as this:
        if isinstance(settings, WorldTeacher):
            from polya_midtrain.world import pretrain

            train_bases(params, this, lambda one: pretrain.train_on(one, settings))
        else:
            from polya_midtrain.checkpoints.fetch import fetch

            fetch(settings, "teacher", this.work / "models" / "base-1")
            point_others(params, this, paths.teacher)
