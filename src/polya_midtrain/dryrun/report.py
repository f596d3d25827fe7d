"""What a dry run has shown: the stages that passed and their time, and what stood in for what."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from polya_midtrain import paths
from polya_midtrain.params import Params
from polya_midtrain.runtime import yamlfile
from polya_midtrain.runtime.progress import duration
from polya_midtrain.runtime.stage import by_stage, read_seconds

FILE = "REPORT.md"


def done(folder: Path) -> list[str]:
    """The stages that DVC has recorded in the copy."""
    lock = folder / "dvc.lock"
    return list(yamlfile.content(lock)["stages"]) if lock.exists() else []


def write(folder: Path, params: Params, small: Params, absent: list[str], seconds: float) -> str:
    """REPORT.md beside the copy; its text."""
    text = "\n".join(
        [*head(folder, params, small, absent, seconds), "", *stages(folder), "", *answers(folder, small), ""]
    )
    (folder.parent / FILE).write_text(text, encoding="utf-8")
    return text


def head(folder: Path, params: Params, small: Params, absent: list[str], seconds: float) -> list[str]:
    """What was walked, and with what in place of what."""
    stand = [f"{block} {_name(getattr(params, block))}" for block in ("base", "teacher", "reward")]
    if params.diversity.embedding != small.diversity.embedding:
        stand.append(f"embedding {_name(params.diversity.embedding)}")
    if params.compose.endpoint is not None:
        stand.append(f"judge {params.compose.endpoint.model}")
    lines = [
        f"# Dry run of profile {params.profile}: passed in {duration(seconds)}",
        "",
        f"{len(done(folder))} stages, {len(small.arms)} arms, {small.generate.heuristics} heuristics, "
        f"{len(small.seeds)} seeds. The numbers in its tables are those of stand-ins that learned the questions by "
        "heart: they say that the stages fit together, and nothing else.",
        "",
        f"- Stand-ins for: {', '.join(stand)}.",
        f"- Not walked: {_unwalked(params)}.",
    ]
    if absent:
        lines.append(f"- Left out, because POLYA_DATA lacks their files: {', '.join(absent)}.")
    return [*lines, f"- Its tables and page: {folder / paths.PAGE}."]


def stages(folder: Path) -> list[str]:
    """How often each stage ran, and its seconds, over its arms or tables."""
    runs = Counter(name.partition("@")[0] for name in done(folder))
    spent = by_stage(read_seconds(folder / paths.METRICS))
    order = yamlfile.content(folder / "dvc.yaml")["stages"]
    lines = [f"| {name} | {runs[name]} | {spent.get(name, 0.0):.0f} |" for name in order if name in runs]
    return ["| stage | runs | seconds |", "| --- | --- | --- |", *lines]


def answers(folder: Path, small: Params) -> list[str]:
    """What came through: the training sets' sizes, and how the answers to every evaluated set were graded."""
    cards = json.loads((folder / paths.TRAINING_SETS).read_text(encoding="utf-8")).values()
    sizes = sorted((card["rows"], card["arm"]) for card in cards if card["rows"])
    (fewest, first), (most, last) = sizes[0], sizes[-1]
    graded: dict[str, Counter[str]] = {}
    for arm in small.arms:
        for row in json.loads((folder / paths.COUNTS / f"{arm}.json").read_text(encoding="utf-8"))["rows"]:
            graded.setdefault(row["benchmark"], Counter()).update({name: row[name] for name in ("n", "c", "no_answer")})
    lines = [f"| {name} | {sums['n']} | {sums['c']} | {sums['no_answer']} |" for name, sums in sorted(graded.items())]
    return [
        f"Training sets have {fewest} rows ({first}) to {most} ({last}). Answers, over all arms, phases and seeds:",
        "",
        "| set | answers | right | without an answer |",
        "| --- | --- | --- | --- |",
        *lines,
    ]


def _name(model: Any) -> str:
    return str(getattr(model, "id", None) or getattr(model, "package", None) or getattr(model, "path", model.kind))


def _unwalked(params: Params) -> str:
    found = ["the hub itself, its licences and tokens", "the models' own weights, tokenizers and templates"]
    if params.machine.engine == "vllm":
        found.append("vLLM")
    if params.machine.processes > 1:
        found.append(f"training in {params.machine.processes} processes")
    if params.machine.device != "cpu":
        found.append("the GPU")
    return ", ".join(found)
