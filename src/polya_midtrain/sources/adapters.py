"""The public sets: where each one lives, and how a row of it becomes a question.

Row counts and checksums are those of the published files. A row parser takes one row of the hub's or of the local
layout and returns `Parsed`; it raises ValueError with a reason where a row does not hold what the set promises.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Row = Mapping[str, Any]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_WHOLE = re.compile(r"\s*(-?[0-9]+)(?:\.0*)?\s*")


@dataclass(frozen=True, slots=True)
class Parsed:
    """``own_id`` is the set's own stable id of the row; "" where it has none and the row's index serves."""

    question: str
    answer: str
    own_id: str = ""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file below the data folder, and the sha256 of the published version."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Split:
    """One split: its name on the hub and its local files, whose rows follow each other."""

    hub: str
    files: tuple[LocalFile, ...]


@dataclass(frozen=True, slots=True)
class Adapter:
    """A public set. ``revision`` None follows the hub's main branch; `load.provenance` records what was read.

    ``kind`` names the grader of its golds.
    """

    name: str
    hub_id: str
    hub_config: str | None
    revision: str | None
    splits: Mapping[str, Split]
    parse: Callable[[Row], Parsed]
    kind: str = "maths"


def text(row: Row, column: str) -> str:
    """A column that holds a string."""
    value = _column(row, column)
    if not isinstance(value, str):
        raise ValueError(f"column {column!r} holds {type(value).__name__}, not text")
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
    _, mark, gold = text(row, "answer").rpartition("####")
    if not mark:
        raise ValueError("column 'answer' has no '####' before the gold")
    return Parsed(text(row, "question"), integer(gold.strip().replace(",", ""), "answer"))


def parse_math500(row: Row) -> Parsed:
    return Parsed(text(row, "problem"), text(row, "answer").strip(), text(row, "unique_id"))


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
    return Parsed(text(row, "question"), ", ".join(bare), str(_column(row, "id")))


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


def _musr(name: str, hub_split: str, file: str, sha256: str) -> Adapter:
    """One of the three splits of MuSR, each a set of its own here."""
    splits = {"test": _split(hub_split, (f"musr/{file}", sha256))}
    return Adapter(name, "TAUR-Lab/MuSR", None, None, splits, parse_musr, "choice")


def _split(hub: str, *files: tuple[str, str]) -> Split:
    return Split(hub, tuple(LocalFile(path, sha256) for path, sha256 in files))


_ALL = (
    Adapter(
        "gsm8k",
        "openai/gsm8k",
        "main",
        None,
        {
            "train": _split(
                "train", ("gsm8k/train.jsonl", "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465")
            ),
            "test": _split(
                "test", ("gsm8k/test.jsonl", "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14")
            ),
        },
        parse_gsm8k,
    ),
    Adapter(
        "math500",
        "HuggingFaceH4/MATH-500",
        None,
        None,
        {
            "test": _split(
                "test", ("math500/test.jsonl", "35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132")
            )
        },
        parse_math500,
    ),
    Adapter(
        "aime24",
        "HuggingFaceH4/aime_2024",
        None,
        None,
        {
            "test": _split(
                "train", ("aime24/test.jsonl", "af2b8bd2aa911b6333ad0df32f3ca05c7ae8ed10f1731f4372c8ae26990bf7ac")
            )
        },
        parse_aime,
    ),
    Adapter(
        "aime25",
        "math-ai/aime25",
        None,
        None,
        {
            "test": _split(
                "test",
                ("aime25/test2025-I.jsonl", "fcdf97fe9bf3768e586c4f3b3d34d98a763893847e72234aa41e1ed5c67d977a"),
                ("aime25/test2025-II.jsonl", "69d966f7badd83a681d30efa9b4d587b4c692e4892b6ea5dc57d11d3934bf79a"),
            )
        },
        parse_aime,
    ),
    Adapter(
        "amc23",
        "math-ai/amc23",
        None,
        None,
        {
            "test": _split(
                "test", ("amc23/test.jsonl", "43707e1ca784602d8479de24ee8ce36609dbebc46dd152b0b12a46611aa898a4")
            )
        },
        parse_amc23,
    ),
    Adapter(
        "olympiadbench",
        "Hothan/OlympiadBench",
        "OE_TO_maths_en_COMP",
        None,
        {
            "test": _split(
                "train",
                ("olympiadbench/test.jsonl", "bb8c1e38a16ea9eacb77530315a674d883f267fbff79183effc53681b4fcc416"),
            )
        },
        parse_olympiadbench,
    ),
    Adapter(
        "dapo",
        "open-r1/DAPO-Math-17k-Processed",
        "all",
        None,
        {
            "train": _split(
                "train",
                (
                    "dapo_math_17k/dapo_math_17k.parquet",
                    "246ae23df97c9eae8126cb4da780e9a0a31d10110e16eed144bcecbf2132d535",
                ),
            )
        },
        parse_dapo,
    ),
    Adapter(
        "humaneval",
        "openai/openai_humaneval",
        None,
        None,
        {
            "test": _split(
                "test",
                ("humaneval/HumanEval.jsonl.gz", "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"),
            )
        },
        parse_humaneval,
        "code",
    ),
    _musr(
        "musr_murder",
        "murder_mysteries",
        "murder_mystery.csv",
        "ce19b6dc0b953f698e79528c72705804bc97e772a4303734808971f63ce233a7",
    ),
    _musr(
        "musr_object",
        "object_placements",
        "object_placements.csv",
        "98cd17d2c9ea53664e274365e901c90dfcaa40d17547dfbd369f1cd26fd2a81c",
    ),
    _musr(
        "musr_team",
        "team_allocation",
        "team_allocation.csv",
        "ddbef3bb61857a7cc3b73db62fac4605679e1b7ff4357d57fdfcf91f7caaa1f8",
    ),
)

ADAPTERS: Mapping[str, Adapter] = MappingProxyType({adapter.name: adapter for adapter in _ALL})
