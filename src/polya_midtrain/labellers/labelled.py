"""Chains of prose whose heuristics are labelled, read from YAML: data/judges/labelled.yaml, or one's own.

`stages.compose` measures a judge of prose by what the traces were asked for, a noisy label. These labels are an
annotator's reading of each chain; the file says whose, and by which rule.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from polya_midtrain.errors import UserError
from polya_midtrain.labellers.contract import Chain
from polya_midtrain.labellers.validate import Labelled
from polya_midtrain.params import yamlfile
from polya_midtrain.prompting import heuristics


class Entry(BaseModel):
    """One chain: the heuristics ``used``, in the catalogue's ids, and ``why`` in a line.

    ``answer`` is the right one; ``right`` says whether the chain reaches it, which is no business of a judge.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    question: str = Field(min_length=1)
    response: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    right: bool = True
    used: list[str]
    why: str = Field(min_length=1)


class LabelledFile(BaseModel):
    """The whole file. ``catalogue``: the file of heuristics whose ids it uses, seen from the project's root."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    catalogue: Path
    chains: list[Entry] = Field(min_length=1)


def load(path: Path) -> list[Labelled]:
    """The labelled chains of a file, checked against its catalogue; a fault is a one-line error with file and line."""
    found = yamlfile.load(path, LabelledFile)
    known = {entry.id for entry in heuristics.load(found.catalogue).heuristics}

    def fault(where: list[Any], what: str) -> UserError:
        return yamlfile.refusal(path, path.read_text(encoding="utf-8"), where, what)

    ids: set[str] = set()
    for number, chain in enumerate(found.chains):
        if chain.id in ids:
            raise fault(["chains", number, "id"], f"{chain.id!r} is there twice; rename one of the two")
        ids.add(chain.id)
        for place, name in enumerate(chain.used):
            where = ["chains", number, "used", place]
            if name not in known:
                raise fault(where, f"no heuristic {name!r} in {found.catalogue}; correct it, or add it to that file")
            if name in chain.used[:place]:
                raise fault(where, f"{name!r} is there twice; remove one of the two")
    return [Labelled(Chain(entry.question, entry.response), frozenset(entry.used)) for entry in found.chains]
