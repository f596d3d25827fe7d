"""Stage claims: the ledger, from claims.yaml and the tables' CSVs alone."""

from __future__ import annotations

from polya_midtrain import paths
from polya_midtrain.ledger import report, schema
from polya_midtrain.params import Params
from polya_midtrain.runtime.stage import read_seconds, stage
from polya_midtrain.tables import read
from polya_midtrain.tables.shared import render


def run(params: Params) -> None:
    """Write reports/claims.json, claims.csv and claims.md (`ledger.lines`), and the number of claims by verdict.

    The seconds beside a claim are read from results/metrics, which are no input: another run's seconds change no
    verdict. Raises `UserError` for faults of claims.yaml and of the tables that it names.
    """
    with stage(
        params,
        "claims",
        outputs={f"claims.{suffix}": paths.CLAIMS_REPORT.with_suffix(f".{suffix}") for suffix in ("csv", "json", "md")},
        seeds=params.runs,
    ) as this:
        claims = schema.load(paths.CLAIMS)
        names = {part.test.table for claim in claims.claims.values() for part in claim.parts.values()}
        tables = {name: read.read(paths.TABLES / f"{name}.csv") for name in sorted(names)}
        spent = read_seconds(paths.METRICS)
        taken = {name: spent[f"tables@{name}"] for name in tables if f"tables@{name}" in spent}
        ledger = report.ledger(claims, params, tables, taken, sum(spent.values()))
        text = render.markdown(report.page(ledger, params.profile))
        ledger.write(this.work / "claims.json")
        (this.work / "claims.csv").write_text(report.csv_text(ledger), encoding="utf-8", newline="\n")
        (this.work / "claims.md").write_text(text, encoding="utf-8", newline="\n")
        this.numbers |= {verdict.replace(" ", "_"): count for verdict, count in report.tally(ledger).items()}
