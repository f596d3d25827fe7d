"""A set of one's own as questions: a file, or a data set of the hub, described by params.yaml alone."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from polya_midtrain.errors import UserError
from polya_midtrain.params import HubSet, OwnFile
from polya_midtrain.question_sets import load as published
from polya_midtrain.question_sets.rows import Row, filled, text
from polya_midtrain.records import Question

_NO_NUMBER = re.compile(r"[-+]?(nan|inf|infinity)", re.IGNORECASE)
KIND = "maths"  # what grades its answers


def load(name: str, spec: OwnFile | HubSet) -> list[Question]:
    """The questions in the set's order; ids are the places of their rows. ``name``: the setting (questions.rl).

    Each fault is one line: a missing file, one with another sha256, a field that is not there, a row without an answer.
    """
    where, remedy = f"params.yaml: {name}", "correct the file, or its fields' names in params.yaml"
    if isinstance(spec, OwnFile):
        _check(where, spec)
        rows, source = published.file_rows(spec.path, remedy), spec.path.as_posix()
    else:
        wrong = f"check the network and {name}.id, revision, config and split in params.yaml"
        rows = published.hub_rows(spec.id, spec.config, spec.split, spec.revision, wrong)
        source, remedy = spec.id, f"correct {name}.question and answer in params.yaml, or take another set"
    questions = []
    for place, row in rows:
        try:
            questions.append(Question(place, text(row, spec.question), gold(row, spec.answer), KIND, source))
        except ValueError as error:
            raise UserError(f"{place}: {error}; {remedy}") from error
    return questions


def gold(row: Row, column: str) -> str:
    """An answer as text: a number as it is written, 7.0 as 7."""
    value = row.get(column)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        value = int(value)
    found = str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else filled(row, column)
    if _NO_NUMBER.fullmatch(found):
        raise ValueError(f"column {column!r} holds {found}, which no answer equals")
    return found


def provenance(spec: OwnFile | HubSet) -> list[dict[str, Any]]:
    """What `load` reads."""
    if isinstance(spec, OwnFile):
        return [{"file": spec.path.as_posix(), "sha256": spec.sha256}]
    return [{"hub": spec.id, "config": spec.config, "split": spec.split, "revision": spec.revision}]


def _check(where: str, spec: OwnFile) -> None:
    """Refuse a file that is not the one that the settings name."""
    if not spec.path.is_file():
        raise UserError(f"{where}: {spec.path}: no such file; correct path, which counts from the project's root")
    digest = hashlib.sha256(spec.path.read_bytes()).hexdigest()
    if digest != spec.sha256:
        raise UserError(f"{where}: {spec.path} has another sha256 than params.yaml says; if it is meant, set {digest}")
