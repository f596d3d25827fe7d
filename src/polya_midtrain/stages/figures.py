"""Stage figures: every figure of the study as SVG and PNG, from the tables' CSVs and the training curves alone."""

from __future__ import annotations

import importlib

from polya_midtrain import paths
from polya_midtrain.figures import plots, style
from polya_midtrain.figures.words import Index
from polya_midtrain.params import Params
from polya_midtrain.runtime.stage import stage
from polya_midtrain.tables.registry import FIGURES

INDEX = "figures.json"


def run(params: Params) -> None:
    """Write reports/figures/NAME.{svg,png}, their words to figures.json, and the CSVs that `dvc plots show` draws.

    A figure of arms that params.yaml does not have is left out. Raises `UserError` for a table or curve that is
    missing, malformed or too small for its figure.
    """
    with stage(
        params,
        "figures",
        outputs={"figures": paths.FIGURES},
        unit="figures",
    ) as this:
        folder = this.work / "figures"
        folder.mkdir(exist_ok=True)
        words = {}
        for done, name in enumerate(FIGURES):
            this.line.update(0, done, len(FIGURES))
            with style.style():
                drawing = importlib.import_module(f"polya_midtrain.figures.{name}").draw(params)
                if drawing is None:  # this profile has no such arms
                    continue
                style.save(drawing, folder, name)
            words[name] = drawing.words
        this.line.update(0, len(FIGURES), len(FIGURES))
        Index(words).write(folder / INDEX)
        plots.write(params, folder)
        this.numbers["figures"] = len(words)
