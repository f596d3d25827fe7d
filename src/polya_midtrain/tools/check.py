"""What `polya check` does, before anything runs: settings, catalogues, one's own questions and models, and with the hub
its models and the lengths of prompts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from polya_midtrain import grading
from polya_midtrain import params as settings
from polya_midtrain.checkpoints import folder, policy
from polya_midtrain.checkpoints import hub as models
from polya_midtrain.params import FileSet, FolderModel, HubSet, Params, QuestionSet, yamlfile
from polya_midtrain.prompting import heuristics
from polya_midtrain.prompting.heuristics import Catalogue, Exemplar
from polya_midtrain.prompting.lengths import check_teacher, context
from polya_midtrain.question_sets import filters, own
from polya_midtrain.stages import prompts, questions


def files(paths: Sequence[Path]) -> None:
    """Read settings and the catalogues that they name as a stage would; a line for each."""
    for path in paths:
        params = settings.load(path)
        with settings.named(path):
            catalogue = heuristics.load(params.prompts.catalogue)
            catalogue.first(params.generate.heuristics)
            exemplars(params.prompts.catalogue, catalogue)
            own_questions(params)
            for name in ("base", "teacher", "reward"):
                if isinstance(model := getattr(params, name), FolderModel):
                    folder.checked(model, name)
                    if name == "base":
                        models.same_end(model.path, f"params.yaml: {name}.path: {model.path}")
        typer.echo(f"{path}: profile {params.profile}, {len(params.arms)} arms, {len(catalogue.heuristics)} heuristics")


def exemplars(path: Path, catalogue: Catalogue) -> None:
    """Refuse a catalogue with a worked example whose response does not reach its answer."""
    places: list[tuple[list[Any], Exemplar]] = [(["plain", i], one) for i, one in enumerate(catalogue.plain)]
    for index, entry in enumerate(catalogue.heuristics):
        places += [(["heuristics", index, "exemplars", i], one) for i, one in enumerate(entry.exemplars)]
    verdicts = grading.grade_many([(one.response, one.answer, own.KIND) for _, one in places], 1)
    for (place, one), verdict in zip(places, verdicts, strict=True):
        if not verdict.correct:
            what = f"its response does not reach {one.answer!r} ({verdict.reason}); correct one of the two"
            raise yamlfile.refusal(path, path.read_text(encoding="utf-8"), [*place, "answer"], what)


def own_questions(params: Params) -> None:
    """Make or read the sets that need no public data; say where a question has several answers."""
    specs = questions.sets_of(params.questions)
    made: dict[str, QuestionSet] = {n: spec for n, spec in specs.items() if not isinstance(spec, FileSet | HubSet)}
    _, dropped = questions.build(made, params.questions.seed)
    for name, reasons in dropped.items():
        if several := reasons.get(filters.CONFLICT):
            typer.echo(f"questions.{name}: {several} rows are left out: the same question with different answers")


def hub(params: Params) -> None:
    """Ask the hub for every model of ``params``, then hold all prompts against a base or teacher of the hub."""
    talkers = {name: getattr(params, name) for name in ("base", "teacher", "reward")}
    wanted = {name: model for name, model in talkers.items() if model.kind == "hub"}
    if params.diversity.embedding.kind == "hub":
        wanted["embedding"] = params.diversity.embedding
    with tempfile.TemporaryDirectory() as root:
        for name, model in wanted.items():
            models.describe(model.id, model.revision, Path(root, name), chat=name in talkers)
            if name == "base":
                models.same_end(Path(root, name), f"params.yaml: {model.id}@{model.revision}")
            typer.echo(f"{model.id}@{model.revision}: the hub has it, and it can be read")
        if {"base", "teacher"} & set(wanted):
            lengths(params, Path(root))


def lengths(params: Params, root: Path) -> None:
    """Hold all prompts against the models whose configuration and tokenizer are in ``root``."""
    sets, _ = questions.build(questions.sets_of(params.questions), params.questions.seed)
    questions.decontaminate(sets)
    catalogue = heuristics.load(params.prompts.catalogue)
    if (base := root / "base").exists():
        found = prompts.measured(sets, policy.load_tokenizer(base), params, catalogue)
        prompts.check_base(found, context(base), params)
        longest = max((one for rows in found.values() for one in rows), key=lambda one: one.tokens)
        typer.echo(f"{len(found)} question sets: all prompts fit with their answers; {longest}, the most of all")
    if (teacher := root / "teacher").exists():
        encoder, limit = policy.load_tokenizer(teacher), context(teacher)
        check_teacher(sets["mid"], encoder, limit, params.distil.max_tokens, params.prompts, catalogue)
