"""The public sets: where each one lives, at which commit of the hub, and which parser reads its rows.

Row counts and checksums are those of the published files. The parsers are in `rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from polya_midtrain.question_sets import rows
from polya_midtrain.question_sets.rows import Parsed, Row


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file below the data folder, and the sha256 of the published version; None where none was at hand to hash."""

    path: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Split:
    """One split: its name on the hub and its local files, whose rows follow each other."""

    hub: str
    files: tuple[LocalFile, ...]


@dataclass(frozen=True, slots=True)
class Adapter:
    """A public set. ``revision`` is the commit of the hub's repository that is read; `load.provenance` records it.

    ``kind`` names the grader of its golds.
    """

    name: str
    hub_id: str
    hub_config: str | None
    revision: str
    splits: Mapping[str, Split]
    parse: Callable[[Row], Parsed]
    kind: str = "maths"


_MUSR_COMMIT = "7c365b439a222150f317764d4f16ae6c96d7d94a"


def _musr(name: str, hub_split: str, file: str, sha256: str) -> Adapter:
    """One of the three splits of MuSR, each a set of its own here."""
    splits = {"test": _split(hub_split, (f"musr/{file}", sha256))}
    return Adapter(name, "TAUR-Lab/MuSR", None, _MUSR_COMMIT, splits, rows.parse_musr, "choice")


def _split(hub: str, *files: tuple[str, str | None]) -> Split:
    return Split(hub, tuple(LocalFile(path, sha256) for path, sha256 in files))


_ALL = (
    Adapter(
        "gsm8k",
        "openai/gsm8k",
        "main",
        "740312add88f781978c0658806c59bc2815b9866",
        {
            "train": _split(
                "train", ("gsm8k/train.jsonl", "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465")
            ),
            "test": _split(
                "test", ("gsm8k/test.jsonl", "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14")
            ),
        },
        rows.parse_gsm8k,
    ),
    Adapter(
        "math500",
        "HuggingFaceH4/MATH-500",
        None,
        "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        {
            "test": _split(
                "test", ("math500/test.jsonl", "35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132")
            )
        },
        rows.parse_math500,
    ),
    Adapter(
        "aime24",
        "HuggingFaceH4/aime_2024",
        None,
        "2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
        {
            "test": _split(
                "train", ("aime24/test.jsonl", "af2b8bd2aa911b6333ad0df32f3ca05c7ae8ed10f1731f4372c8ae26990bf7ac")
            )
        },
        rows.parse_aime,
    ),
    Adapter(
        "aime25",
        "math-ai/aime25",
        None,
        "563bb8404243c5f09de6ec262f2db674fe5bce9b",
        {
            "test": _split(
                "test",
                ("aime25/test2025-I.jsonl", "fcdf97fe9bf3768e586c4f3b3d34d98a763893847e72234aa41e1ed5c67d977a"),
                ("aime25/test2025-II.jsonl", "69d966f7badd83a681d30efa9b4d587b4c692e4892b6ea5dc57d11d3934bf79a"),
            )
        },
        rows.parse_aime,
    ),
    Adapter(
        "amc23",
        "math-ai/amc23",
        None,
        "80815d37005feb82cd7f8fbc6901d5d3eff43057",
        {
            "test": _split(
                "test", ("amc23/test.jsonl", "43707e1ca784602d8479de24ee8ce36609dbebc46dd152b0b12a46611aa898a4")
            )
        },
        rows.parse_amc23,
    ),
    Adapter(
        "olympiadbench",
        "Hothan/OlympiadBench",
        "OE_TO_maths_en_COMP",
        "91184b52131e7fc9455fef848035173aea8cc01a",
        {
            "test": _split(
                "train",
                ("olympiadbench/test.jsonl", "bb8c1e38a16ea9eacb77530315a674d883f267fbff79183effc53681b4fcc416"),
            )
        },
        rows.parse_olympiadbench,
    ),
    Adapter(
        "minerva",
        "math-ai/minervamath",
        None,
        "ee46ddc498933b1977577953250ca5c66be64f96",
        {"test": _split("test", ("minerva/test.jsonl", None))},
        rows.parse_minerva,
    ),
    Adapter(
        "hmmt25",
        "MathArena/hmmt_feb_2025",
        None,
        "6fdc4277120810ff75aa22d2d5489b91f7a262a1",
        {"test": _split("train", ("hmmt25/train-00000-of-00001.parquet", None))},
        rows.parse_hmmt,
    ),
    Adapter(
        "dapo",
        "open-r1/DAPO-Math-17k-Processed",
        "all",
        "31dd309567e3da778038cc87d868b6097a3ccf68",
        {
            "train": _split(
                "train",
                (
                    "dapo_math_17k/dapo_math_17k.parquet",
                    "246ae23df97c9eae8126cb4da780e9a0a31d10110e16eed144bcecbf2132d535",
                ),
            )
        },
        rows.parse_dapo,
    ),
    Adapter(
        "humaneval",
        "openai/openai_humaneval",
        None,
        "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
        {
            "test": _split(
                "test",
                ("humaneval/HumanEval.jsonl.gz", "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"),
            )
        },
        rows.parse_humaneval,
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
