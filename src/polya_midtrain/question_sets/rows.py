"""How a row of each public set becomes a question.

A parser takes one row of the hub's or of the local layout and returns `Parsed`; it raises ValueError with a reason
where a row does not hold what the set promises.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_WHOLE = re.compile(r"\s*(-?[0-9]+)(?:\.0*)?\s*")
_SCIENTIFIC = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)[eE]([+-]?[0-9]+)")


@dataclass(frozen=True, slots=True)
class Parsed:
    """``own_id`` is the set's own stable id of the row; "" where it has none and the row's index serves."""

    question: str
    answer: str
    own_id: str = ""


def text(row: Row, column: str) -> str:
    """A column that holds a string."""
    value = _column(row, column)
    if not isinstance(value, str):
        raise ValueError(f"column {column!r} holds {type(value).__name__}, not text")
    return value


def filled(row: Row, column: str) -> str:
    """A gold that is text: an empty one would have its question dropped with a count and no word."""
    value = text(row, column).strip()
    if not value:
        raise ValueError(f"column {column!r} is empty: a question without an answer")
    return value


def integer(value: Any, column: str) -> str:
    """An integer gold in plain form: ``"025"`` and ``25.0`` give ``"25"``."""
    match = _WHOLE.fullmatch(str(value))
    if match is None:
        raise ValueError(f"column {column!r} holds {value!r}, not an integer")
    return str(int(match.group(1)))


def _column(row: Row, column: str) -> Any:
    if row.get(column) is None:
        raise ValueError(f"column {column!r} is missing or null (there are: {', '.join(map(str, row))})")
    return row[column]


def parse_gsm8k(row: Row) -> Parsed:
    """The gold stands after ``####``, with thousands commas in some rows."""
    _, mark, last = text(row, "answer").rpartition("####")
    if not mark:
        raise ValueError("column 'answer' has no '####' before the gold")
    return Parsed(text(row, "question"), integer(last.strip().replace(",", ""), "answer"))


def parse_math500(row: Row) -> Parsed:
    return Parsed(text(row, "problem"), filled(row, "answer"), text(row, "unique_id"))


def parse_aime(row: Row) -> Parsed:
    """Golds are 0 to 999, in some copies padded to three digits."""
    return Parsed(text(row, "problem"), integer(_column(row, "answer"), "answer"))


def parse_amc23(row: Row) -> Parsed:
    """Golds are whole numbers stored as floats."""
    return Parsed(text(row, "question"), integer(_column(row, "answer"), "answer"))


def parse_olympiadbench(row: Row) -> Parsed:
    """``final_answer`` is a list, nearly always of one string that may hold several answers, each in dollar signs.

    They are joined by commas without the dollar signs: math-verify compares them as a set. The ``unit`` of 8 rows is
    no part of the gold: a unit in a response's box is dropped by math-verify's normalisation.
    """
    golds = _column(row, "final_answer")
    if not isinstance(golds, list) or not golds or not all(isinstance(gold, str) for gold in golds):
        raise ValueError(f"column 'final_answer' holds {golds!r}, not a list of texts")
    bare = [gold.replace("\\$", "\0").replace("$", "").replace("\0", "\\$").strip() for gold in golds]
    if not all(bare):
        raise ValueError("column 'final_answer' holds an empty text: a question without an answer")
    return Parsed(text(row, "question"), ", ".join(bare), str(_column(row, "id")))


def parse_minerva(row: Row) -> Parsed:
    """Golds are texts, numbers and formulas. ``2.26e-10`` is written as the questions ask for it, ``2.26 \\times
    10^{-10}``: math-verify reads the letter as Euler's number."""
    answer = filled(row, "answer")
    if match := _SCIENTIFIC.fullmatch(answer):
        answer = f"{match[1]} \\times 10^{{{int(match[2])}}}"
    return Parsed(text(row, "question"), answer)


def parse_hmmt(row: Row) -> Parsed:
    """Golds are texts, integers and formulas; ``problem_idx`` counts the problems."""
    return Parsed(text(row, "problem"), filled(row, "answer"), integer(_column(row, "problem_idx"), "problem_idx"))


def parse_dapo(row: Row) -> Parsed:
    """``prompt`` is the question, or a chat whose first message is; the gold is in ``reward_model``."""
    prompt = _column(row, "prompt")
    if isinstance(prompt, list):
        if not prompt or not isinstance(prompt[0], Mapping):
            raise ValueError("column 'prompt' holds no message")
        prompt = text(prompt[0], "content")
    reward = _column(row, "reward_model")
    if not isinstance(prompt, str) or not isinstance(reward, Mapping):
        raise ValueError("column 'prompt' or 'reward_model' is not of the published form")
    return Parsed(prompt, integer(text(reward, "ground_truth"), "ground_truth"))


def parse_humaneval(row: Row) -> Parsed:
    """The question is the source to be completed; the gold holds it too, with the tests and the function's name."""
    prompt, entry = text(row, "prompt"), text(row, "entry_point")
    gold = {"prefix": prompt, "tests": text(row, "test"), "entry": entry}
    return Parsed(prompt, json.dumps(gold), text(row, "task_id"))


def parse_musr(row: Row) -> Parsed:
    """The story, the question and the choices with letters. ``choices`` is a list, in the published files as Python
    writes one; ``answer_choice`` repeats the right one."""
    choices = _column(row, "choices")
    if isinstance(choices, str):
        try:
            choices = ast.literal_eval(choices)
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"column 'choices' holds {choices!r}, not a list") from error
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, str) for choice in choices):
        raise ValueError(f"column 'choices' holds {choices!r}, not a list of texts")
    index = int(integer(_column(row, "answer_index"), "answer_index"))
    if not 0 <= index < len(choices) or choices[index] != text(row, "answer_choice"):
        raise ValueError(f"column 'answer_index' holds {index}, which is not the place of 'answer_choice'")
    choices = [choice.strip() for choice in choices]
    lines = [f"{letter}. {choice}" for letter, choice in zip(_LETTERS, choices, strict=False)]
    question = "\n\n".join([text(row, "narrative").strip(), text(row, "question").strip(), "\n".join(lines)])
    return Parsed(question, json.dumps({"answer": _LETTERS[index], "choices": choices}))
