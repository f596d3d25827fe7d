"""reports/figures/figures.json: what each figure of a run says in words."""

from __future__ import annotations

import json

from pydantic import RootModel

from polya_midtrain.results.small import Part, Small


class Words(Part):
    """One figure's; ``sources``: the files that it is drawn from."""

    title: str
    caption: str
    alt: str
    sources: list[str]


class Index(RootModel[dict[str, Words]], Small):
    """The file: the figures that the run has, by name."""

    def text(self) -> str:
        """A line a text."""
        return json.dumps(self.model_dump(), indent=1, ensure_ascii=False) + "\n"
