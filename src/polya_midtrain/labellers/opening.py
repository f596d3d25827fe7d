"""Open the judge that params.yaml names."""

from __future__ import annotations

from pathlib import Path

from polya_midtrain.errors import UserError
from polya_midtrain.labellers.contract import Judge
from polya_midtrain.labellers.cues import CueJudge
from polya_midtrain.labellers.world import WorldJudge
from polya_midtrain.params import Compose
from polya_midtrain.prompting.heuristics import Catalogue
from polya_midtrain.world.families import PLANS

CACHE = Path(".judged")  # replies of judge endpoint


def open_judge(settings: Compose, catalogue: Catalogue, source: Path) -> Judge:
    """The judge of a kind. ``source`` is the catalogue's file: a catalogue that the kind cannot read is its fault."""
    if settings.endpoint is not None:
        from polya_midtrain.labellers.endpoint import EndpointJudge

        return EndpointJudge(settings.endpoint, catalogue, CACHE)
    if settings.judge == "world":
        strange = [entry.id for entry in catalogue.heuristics if entry.id not in PLANS]
        if strange:
            raise UserError(
                f"{source}: heuristic {strange[0]!r} is no plan of the embedded world, whose operations judge world "
                "reads; set compose.judge to cues in params.yaml"
            )
        return WorldJudge(entry.id for entry in catalogue.heuristics)
    silent = [entry.id for entry in catalogue.heuristics if not entry.cues]
    if silent:
        raise UserError(
            f"{source}: heuristic {silent[0]!r} lists no cues, the phrases that judge cues looks for; add `cues:` to it"
        )
    return CueJudge({entry.id: entry.cues for entry in catalogue.heuristics})
