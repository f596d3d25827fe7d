"""Stage page: reports/index.html, the ledger, tables and figures of a run in one file that needs no network."""

from __future__ import annotations

from polya_midtrain import paths
from polya_midtrain.page import document
from polya_midtrain.params import Params
from polya_midtrain.runtime.stage import stage


def run(params: Params) -> None:
    """Write reports/index.html from reports/claims.json, reports/tables, reports/figures and stages' wall times.

    Raises `UserError` where one of them is missing or not as its stage writes it.
    """
    blocks = {
        "seeds": params.seeds,
        "bases": params.bases,
        "arms": params.arms,
        "prompts": params.prompts,
        "questions": params.questions,
        "base": params.base,
        "teacher": params.teacher,
        "reward": params.reward,
        "generate": params.generate,
        "distil": params.distil,
        "score": params.score,
        "select": params.select,
        "midtrain": params.midtrain,
        "rl": params.rl,
        "evaluate": params.evaluate,
        "compose": params.compose,
        "diversity": params.diversity,
        "modes": params.modes,
        "tables": params.tables,
    }
    with stage(
        params,
        "page",
        outputs={"index.html": paths.PAGE},
    ) as this:
        text = document.html(params.profile, params.evaluate, blocks)
        (this.work / "index.html").write_text(text, encoding="utf-8", newline="\n")
        this.numbers["bytes"] = len(text.encode())
