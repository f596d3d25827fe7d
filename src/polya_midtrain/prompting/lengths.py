"""Whether every prompt with its answer fits: the model's context, and the limits that training sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polya_midtrain.errors import UserError
from polya_midtrain.params import Prompts
from polya_midtrain.prompting import prompts
from polya_midtrain.prompting.heuristics import Catalogue
from polya_midtrain.records import Question

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TRIED = 16  # of a set's longest questions, which are put to every heuristic: the others would take minutes of rendering


@dataclass(frozen=True, slots=True)
class Longest:
    """The longest prompt of a set in one condition, in tokens: a heuristic's id, "" without one, None if bare."""

    question: str
    heuristic: str | None
    tokens: int

    def __str__(self) -> str:
        under = {None: "", "": " with its worked examples"}.get(self.heuristic, f" under heuristic {self.heuristic}")
        return f"question {self.question}{under} takes {self.tokens} prompt tokens"


@dataclass(frozen=True, slots=True)
class Budget:
    """Tokens that a prompt and an ``answer`` behind it may take together; None: the model has no such limit.

    ``answered``: the setting that bounds the answer, "" where the budget is the prompt's alone; ``name``: what sets the
    limit; ``remedy``: what to change beside shorter questions.
    """

    tokens: int | None
    name: str
    answer: int
    answered: str
    remedy: str


def longest(
    tokenizer: PreTrainedTokenizerBase,
    asked: Sequence[Question],
    names: Sequence[str],
    settings: Prompts,
    catalogue: Catalogue,
) -> list[Longest]:
    """The longest bare prompt of a set, and the longest under each of ``names`` ("" for none); nothing of no question.

    Conditions add the same text to every question, so only those that are longest bare are tried with them.
    """
    sizes = {
        question: len(
            prompts.encode(tokenizer, prompts.bare(question.question, settings, question.kind)),
        )
        for question in asked
    }
    most = sorted(sizes, key=lambda question: -sizes[question])[:TRIED]
    found = [Longest(question.id, None, sizes[question]) for question in most[:1]]
    for name in names:
        of_name = [
            Longest(
                question.id,
                name,
                len(
                    prompts.encode(
                        tokenizer,
                        prompts.messages(question.question, name, settings, catalogue, question.kind),
                    )
                ),
            )
            for question in most
        ]
        found += sorted(of_name, key=lambda one: -one.tokens)[:1]
    return found


def context(checkpoint: Path) -> int | None:
    """The most tokens that a model was made for, by its config.json; None where that does not say."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    found = config.get("max_position_embeddings", config.get("text_config", {}).get("max_position_embeddings"))
    return None if found is None else int(found)


def check(name: str, found: Sequence[Longest], budget: Budget) -> None:
    """Refuse the longest prompt of set ``name`` (mid, benchmarks/amc23) if it is above the budget, in one line."""
    if budget.tokens is None or not found:
        return
    worst = max(found, key=lambda one: one.tokens)
    whole = worst.tokens + budget.answer
    if whole <= budget.tokens:
        return
    answer = f", with {budget.answered} {budget.answer} {whole}" if budget.answered else ""
    place = f"questions.{name.replace('/', '.')}"
    raise UserError(
        f"params.yaml: {place}: {worst}{answer}, {budget.name} is {budget.tokens}; {budget.remedy}, or take shorter "
        f"questions (lower {place}.max_chars)"
    )


def check_teacher(
    asked: Sequence[Question],
    tokenizer: PreTrainedTokenizerBase,
    limit: int | None,
    most: int,
    settings: Prompts,
    catalogue: Catalogue,
) -> None:
    """Refuse mid-training questions that with ``most`` tokens of the teacher's do not fit its context ``limit``."""
    fits = "the context of the teacher (max_position_embeddings)"
    budget = Budget(limit, fits, most, "distil.max_tokens", "lower it, or prompts.plain_shots")
    check("mid", longest(tokenizer, asked, [""], settings, catalogue), budget)
