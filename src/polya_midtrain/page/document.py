"""The page as one HTML text: content, template, style and script put together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from polya_midtrain.figures.claims import LEDGER
from polya_midtrain.ledger.lines import Ledger
from polya_midtrain.page import content, studied
from polya_midtrain.params import Evaluate
from polya_midtrain.tables.registry import TABLES

HERE = Path(__file__).parent
TEMPLATE = "page.html.j2"
VERDICTS = {"replicated": "✓", "not replicated": "✗", "inconclusive": "?", "not tested": "–"}
VERDICTS |= {"holds": "✓", "does not hold": "✗", "open": "?"}  # of parts that decide no claim
PROSE = 60  # letters; no number with its interval has as many
LONG = 24  # rows; a longer table is folded away until it is asked for


def html(profile: str, evaluate: Evaluate, settings: Mapping[str, Any]) -> str:
    """The page of the run whose reports lie in the working folder. ``settings``: the blocks of params.yaml to show."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"duration": content.duration, "kept": kept}
    return environment.get_template(TEMPLATE).render(
        profile=profile,
        evaluate=evaluate,
        blocks=settings,
        ledger=Ledger.read(LEDGER),
        verdicts=VERDICTS,
        studied=studied,
        tables=TABLES,
        ledger_figures=content.ledger_figures(),
        sections=content.sections(),
        long=LONG,
        times=content.seconds(),
        settings=flat(settings),
        css=(HERE / "page.css").read_text(encoding="utf-8"),
        js=(HERE / "page.js").read_text(encoding="utf-8"),
    )


def kept(cell: str) -> str:
    """A cell that breaks before a bracket and nowhere else, so that a table of intervals fits the page; prose does."""
    if len(cell) > PROSE:
        return cell
    return re.sub(r" (?![\[(])", "\N{NO-BREAK SPACE}", cell)


def flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Settings under dotted names, as text, in their order."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping) and value:
        return [pair for key, item in value.items() for pair in flat(item, f"{name}.{key}" if name else str(key))]
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    return [(name, str(value))]
