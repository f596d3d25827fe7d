"""What the stand-in policies learn by heart: an answer to every question of the run, often the right one.

A dry run tests that all stages fit together, and no science: its questions are those that its models were trained on.
Some answers are wrong on purpose, because arms and tables need wrong ones as well.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polya_midtrain.common import prompts
from polya_midtrain.common.heuristics import Catalogue, Heuristic
from polya_midtrain.common.records import Question
from polya_midtrain.grading.options import LETTERS
from polya_midtrain.params import Prompts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LONGEST = 600  # tokens of a prompt; longer ones are learned ...
RARELY = 0.05  # ... in this share of the draws alone: they cost the most time
HABITS = 4  # heuristics, one of which an answer shows that was asked for none


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as a stage will ask it: the heuristic (None for none) and the prompt's token ids."""

    question: Question
    heuristic: Heuristic | None
    prompt: list[int]


class Lessons:
    """Conversations of a run, answered rightly with probability ``right``.

    ``groups`` are drawn from in equal shares: what is asked in many forms does not push out what is asked in one.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Asked]],
        golds: Sequence[str],
        catalogue: Catalogue,
        tokenizer: PreTrainedTokenizerBase,
        right: float,
    ) -> None:
        self._groups = [
            [chosen for chosen in group if (len(chosen.prompt) > LONGEST) is long]
            for group in groups
            for long in (False, True)
        ]
        self._golds, self._tokenizer, self._right = sorted(set(golds)), tokenizer, right
        self._habits = catalogue.heuristics[:HABITS]

    def draw(self, rng: random.Random) -> tuple[list[int], list[int]]:
        """Token ids of a conversation up to the assistant's turn, and of that turn."""
        rare = rng.random() < RARELY
        groups = [group for place, group in enumerate(self._groups) if group and place % 2 == rare]
        asked = rng.choice(rng.choice(groups or [group for group in self._groups if group]))
        return asked.prompt, prompts.encode_response(self._tokenizer, self.answer(asked, rng))

    def answer(self, asked: Asked, rng: random.Random) -> str:
        """A phrase that gives the heuristic away, and an answer of the question's kind."""
        question, right = asked.question, rng.random() < self._right
        if question.kind == "code":  # a program that runs; it passes where little is asked of it
            return f"    return {rng.choice(['True', 'False', '0', '[]'])}\n"
        if question.kind == "choice":
            held = json.loads(question.answer)
            gold, others = held["answer"], list(LETTERS[: len(held["choices"])])
        else:
            gold, others = question.answer, self._golds
        others = [other for other in others if other != gold]
        said = gold if right or not others else rng.choice(others)
        entry = asked.heuristic or rng.choice(self._habits)
        return f"{(entry.cues or [entry.name])[0].capitalize()}. The answer is \\boxed{{{said}}}."


def of_base(
    sets: Mapping[str, Sequence[Question]],
    settings: Prompts,
    catalogue: Catalogue,
    names: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    right: float,
) -> Lessons:
    """Every question bare, and those that the base answers for others to learn from also under each heuristic."""
    taught = [*sets["mid"], *sets.get("reward", [])]  # a published reward model has no questions of its own
    worked = [_asked(row, name, settings, catalogue, tokenizer) for row in taught for name in ("", *names)]
    every = [row for rows in sets.values() for row in rows]
    bare = [Asked(row, None, prompts.encode(tokenizer, prompts.bare(row.question, settings))) for row in every]
    return Lessons([worked, bare], _golds(every), catalogue, tokenizer, right)


def of_teacher(
    sets: Mapping[str, Sequence[Question]],
    settings: Prompts,
    catalogue: Catalogue,
    tokenizer: PreTrainedTokenizerBase,
    right: float,
) -> Lessons:
    """What the teacher is asked: the mid-training questions without a heuristic."""
    worked = [_asked(row, "", settings, catalogue, tokenizer) for row in sets["mid"]]
    return Lessons([worked], _golds(sets["mid"]), catalogue, tokenizer, right)


def _asked(
    row: Question, name: str, settings: Prompts, catalogue: Catalogue, tokenizer: PreTrainedTokenizerBase
) -> Asked:
    prompt = prompts.encode(tokenizer, prompts.messages(row.question, name, settings, catalogue))
    return Asked(row, catalogue.get(name) if name else None, prompt)


def _golds(rows: Sequence[Question]) -> list[str]:
    return [row.answer for row in rows if row.kind == "maths"]
