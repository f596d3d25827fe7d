"""Stage claims: the ledger, from claims.yaml, the tables' CSVs and the name of the text that fixed the rules."""

from __future__ import annotations

import hashlib

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.ledger import report, schema
from polya_midtrain.params import Params
from polya_midtrain.runtime.stage import read_seconds, stage
from polya_midtrain.tables import read
from polya_midtrain.tables.shared import render

LATER = ("figures", "claims", "page")  # stages that are not before this one, or not always


def run(params: Params) -> None:
    """Write reports/claims.json, claims.csv and claims.md (`ledger.lines`), and the number of claims by verdict.

    The seconds beside a claim are read from results/metrics, which are no input: another run's seconds change no
    verdict. Those of `LATER` stages are left out, which may be an earlier run's. Raises `UserError` for faults of
    claims.yaml and of the tables that it names.
    """
    with stage(
        params,
        "claims",
        outputs={f"claims.{suffix}": paths.CLAIMS_REPORT.with_suffix(f".{suffix}") for suffix in ("csv", "json", "md")},
        seeds=params.runs,
    ) as this:
        claims = schema.load(paths.CLAIMS)
        tables = {name: read.read(paths.TABLES / f"{name}.csv") for name in claims.tables}
        spent = {name: took for name, took in read_seconds(paths.METRICS).items() if name not in LATER}
        taken = {name: spent[f"tables@{name}"] for name in tables if f"tables@{name}" in spent}
        ledger = report.ledger(claims, params, tables, taken, sum(spent.values()), _rules())
        text = render.markdown(report.page(ledger, params.profile))
        ledger.write(this.work / "claims.json")
        (this.work / "claims.csv").write_text(report.csv_text(ledger), encoding="utf-8", newline="\n")
        (this.work / "claims.md").write_text(text, encoding="utf-8", newline="\n")
        this.numbers |= {verdict.replace(" ", "_"): count for verdict, count in report.tally(ledger).items()}


def _rules() -> str:
    """The file of the rules, with the hash by which git knows its content: the same in every clone and archive."""
    try:
        content = paths.RULES.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{paths.RULES}: missing; restore it from git, every ledger names it") from error
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return f"{paths.RULES}, git blob {blob} (`git rev-parse HEAD:{paths.RULES}` prints that of a commit)."
