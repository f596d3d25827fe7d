"""A finished study, made up: results of every stage, from which the tables' own code makes the tables."""

from __future__ import annotations

import importlib
import json
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.ledger import report
from polya_midtrain.ledger.lines import Ledger, Line
from polya_midtrain.params import Arm, Params, Tables, studies
from polya_midtrain.results import composition as results
from polya_midtrain.results import modes
from polya_midtrain.results.small import PHASES
from polya_midtrain.stages import figures, page
from polya_midtrain.tables import registry
from polya_midtrain.tables.diversity.page import PER_QUESTION, VENDI
from polya_midtrain.tables.row import Row
from polya_midtrain.tables.shared import render
from polya_midtrain.tables.shared.study import OVER_QUESTIONS

ROOT = Path(__file__).resolve().parents[2]
SAMPLES, QUESTIONS, STEPS = 72, 5, 12
HALVES = {
    "vanilla-half": Arm(traces="none", rl_epochs=0.5),
    "n16-half": Arm(traces="heuristics", n=16, rl_epochs=0.5),
}
COMBINATIONS = ["double+halve", "split+tens", "count+split"]


def study(seeds: list[int], arms: list[str] | None = None) -> Params:
    """Profile tiny with one base, these seeds and arms, a few resamples, and two benchmarks to judge."""
    full = settings.load(ROOT / "profiles/tiny.yaml")
    return full.model_copy(
        update={
            "seeds": seeds,
            "bases": [{}],
            "arms": {arm: full.arms[arm] for arm in arms} if arms else full.arms | HALVES,
            "tables": Tables(ks=[1, 4, 16, 64], resamples=100, seed=1, confidence=0.95, means={}),
            "compose": full.compose.model_copy(update={"benchmarks": list(full.questions.benchmarks)[:2]}),
        }
    )


def fill(params: Params) -> None:
    """Write results/ of all stages into the working folder, the tables made from them, and a ledger."""
    rng = np.random.default_rng(1)
    hardness = {
        name: rng.uniform(0.002, 0.02, size=QUESTIONS)
        for name in params.questions.benchmarks | params.questions.transfer
    }
    cards = {}
    for arm in params.arms:
        _counts(params, arm, hardness, rng)
        _curves(params, arm, rng)
        _modes(params, arm, rng)
        cards[arm] = _card(params, arm)
    _json(paths.TRAINING_SETS, cards)
    _composition(params, rng)
    for name in registry.TABLES:
        build = importlib.import_module(f"polya_midtrain.tables.{name}.table").build
        rows, shown = _diversity(params) if name == "diversity" else build(params)
        _text(paths.TABLES / f"{name}.csv", render.csv_text(rows))
        _text(paths.TABLES / f"{name}.json", shown.text())
        _text(paths.TABLES / f"{name}.md", render.markdown(shown))
        _text(paths.TABLES / f"{name}.tex", render.latex(shown))
    _ledger()
    _json(paths.METRICS / "rl@n1.json", {"seconds": 61.0})
    _json(paths.METRICS / "rl@n4.json", {"seconds": 59.0})


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _json(path: Path, content: Any) -> None:
    _text(path, json.dumps(content))


def _level(params: Params, arm: str, phase: str) -> float:
    """How often an arm is right, as a multiple of the base: more with n, less with wrong traces, more after RL."""
    spec = params.arms[arm]
    gain = {"none": 1.0, "unprompted": 1.5, "wrong": 1.3 - 0.1 * log2(spec.n)}.get(
        spec.traces, 1.6 + 0.1 * log2(spec.n)
    )
    return gain if phase == "before" else 1.0 + 0.8 * gain


def _counts(params: Params, arm: str, hardness: dict[str, Any], rng: np.random.Generator) -> None:
    rows = []
    for phase in PHASES:
        for seed in params.runs:
            for name, chances in hardness.items():
                for number, chance in enumerate(chances):
                    right = int(rng.binomial(SAMPLES, min(0.95, chance * _level(params, arm, phase))))
                    row = {"phase": phase, "seed": seed, "benchmark": name, "question": f"q{number}", "n": SAMPLES}
                    rows.append(row | {"c": right, "truncated": 1, "no_answer": 0})
    _json(
        paths.COUNTS / f"{arm}.json",
        {"arm": arm, "samples": SAMPLES, "decoding": {"temperature": 1.0, "system": ""}, "rows": rows},
    )


def _curves(params: Params, arm: str, rng: np.random.Generator) -> None:
    seeds = {
        str(seed): [
            {
                "step": step,
                "reward": round(0.3 + 0.02 * step + rng.normal(0, 0.02), 4),
                "entropy": round(0.12 - 0.005 * step + rng.normal(0, 0.002), 4),
                "length": round(30 + rng.normal(0, 1), 3),
            }
            for step in range(1, STEPS + 1)
        ]
        for seed in params.runs
    }
    _json(paths.CURVES / f"{arm}.json", {"arm": arm, "seeds": seeds})


def _card(params: Params, arm: str) -> dict[str, Any]:
    spec = params.arms[arm]
    rows = 0 if spec.traces == "none" else 40 if spec.match else 40 * spec.n
    wrong = {"wrong": rows, "mixed": rows // 2}.get(spec.traces, 0)
    return {
        "arm": arm,
        "rows": rows,
        "tokens": 30 * rows + 10 * spec.n,
        "questions": min(rows, 40 // spec.n if spec.match else 40),
        "questions_asked": 60,
        "bases": 1,
        "follow": None,
        "rows_per_heuristic": {},
        "mean_score": 1.5 if spec.traces in ("right", "wrong", "mixed") else None,
        "right": rows - wrong,
        "wrong": wrong,
    }


def _composition(params: Params, rng: np.random.Generator) -> None:
    names, seeds = params.compose.benchmarks, len(params.runs)
    asked = {
        name: results.Asked(
            questions=[f"q{number}" for number in range(QUESTIONS)],
            parts=[2] * QUESTIONS,
            needs=[1, 2, 1, 2, 1],
            single=0,
        )
        for name in names
    }

    def arm_result(arm: str) -> results.ArmResult:
        n = params.arms[arm].n
        trained = params.arms[arm].traces != "none"

        def phase(level: float) -> results.PhaseCounts:
            def matrix(share: float) -> dict[str, list[list[int]]]:
                return {name: rng.binomial(SAMPLES, share, size=(seeds, QUESTIONS)).tolist() for name in names}

            fields = {name: matrix(0.02) for name in results.FIELDS}
            fields |= {"correct": matrix(0.5), "composed": matrix(level * (0.1 + 0.08 * log2(n)))}
            for name in names:
                right = np.minimum(fields["correct"][name], fields["composed"][name]) // 2
                fields["composed_correct"][name] = right.tolist()
                fields["new"][name] = fields["new_correct"][name] = (right // 2).tolist()
            return results.PhaseCounts(**fields, distinct=len(COMBINATIONS))

        def frequency(count: int) -> results.Frequency:
            return results.Frequency(
                chains=count * seeds * QUESTIONS * len(names),
                correct=count,
                by_seed={name: [count * QUESTIONS] * seeds for name in names},
                by_question={name: [count * seeds] * QUESTIONS for name in names},
            )

        return results.ArmResult(
            midtraining=results.Trained(
                rows=40 if trained else 0,
                questions=20 if trained else 0,
                composed=4 if trained else 0,
                combinations={COMBINATIONS[1]: 4} if trained else {},
            ),
            before=phase(1.0),
            after=phase(1.8),
            frequent={
                name: results.Frequent(
                    midtraining=4 if trained and place == 1 else 0,
                    before=frequency(2),
                    after=frequency(12 - 3 * place),
                )
                for place, name in enumerate(COMBINATIONS)
            },
        )

    document = results.Composition(
        judge="world",
        samples=SAMPLES,
        decoding={"temperature": 1.0},
        seeds=params.runs,
        benchmarks=asked,
        validation=results.Validation(
            label="what the writer did",
            habits={},
            chains=50,
            heuristics={"double": [40, 2, 3], "halve": [30, 1, 0]},
            confused={"double": {"halve": 1}},
            composed=[20, 1, 2, 27],
        ),
        arms={arm: arm_result(arm) for arm in studies.main(params.arms)},
    )
    _text(paths.COMPOSITION, document.text())


def _diversity(params: Params) -> tuple[list[Row], render.Page]:
    """The table itself: its results would need traces to embed."""
    rows = []
    for kernel in ("plans", "shapes"):
        for arm, spec in params.arms.items():
            shown = {} if spec.traces == "none" else {VENDI: (2.0 + log2(spec.n), "range of 50 draws of 64 traces")}
            if arm in ("n16", "distil"):
                shown[PER_QUESTION] = (2.5 if arm == "n16" else 1.9, OVER_QUESTIONS)
            rows += [
                Row(
                    arm=arm,
                    phase="training",
                    benchmark="" if kernel == "plans" else kernel,
                    metric=metric,
                    k=None,
                    value=value,
                    low=value - 0.1,
                    high=value + 0.1,
                    unit="score",
                    n_questions=40,
                    n_samples=0,
                    seeds="",
                    paper=None,
                    method=f"{method}; kernel: {kernel}",
                )
                for metric, (value, method) in shown.items()
            ]
    shown_rows = [[row.arm, f"{row.value:.2f}"] for row in rows]
    grid = render.Grid(caption="Training sets", header=["arm", "score"], rows=shown_rows)
    return rows, render.Page(title="Diversity of training sets", grids=[grid], notes=["A note."])


def _modes(params: Params, arm: str, rng: np.random.Generator) -> None:
    n = params.arms[arm].n
    rows = []
    for phase in PHASES:
        for seed in params.runs:
            for number in range(QUESTIONS):
                known = {"modes": min(n, 4), "fitting_modes": min(n, 3), "effective": 1.0 + 0.4 * log2(n)}
                known |= {"effective": known["effective"] + rng.uniform(0, 0.1), "fitting": 0.8, "unfit": 0.1}
                for step in modes.STEPS:
                    moved = rng.uniform(0.05, 0.15) * (-1 if step.startswith("negative") else 1)
                    others = min(n, 3) - (step in ("positive", "negative"))
                    risen = 0 if step == "positive" else others
                    one = {"moved": moved, "fitting": -0.6 * moved, "unfit": -0.3 * moved, "others": others}
                    one |= {"risen": risen, "table_moved": 1.1 * moved, "table_fitting": -0.7 * moved}
                    one |= {"table_unfit": -0.2 * moved, "table_risen": risen}
                    known |= {f"{step}.{name}": value for name, value in one.items()}
                rows.append([phase, seed, f"q{number}", *(round(float(known[name]), 6) for name in modes.COLUMNS[3:])])
    file = modes.ModesFile(arm=arm, **params.modes.model_dump(), columns=list(modes.COLUMNS), rows=rows)
    _text(paths.MODES / f"{arm}.json", file.text())


def _ledger() -> None:
    def line(name: str, verdict: Any, table: str, effect: tuple[float, float, float] | None = None) -> Line:
        ends = effect or (None, None, None)
        part = name[-1].isalpha()
        return Line(
            claim=name,
            role="" if not part else "primary" if name[-1] == "a" else "secondary",
            statement=f"statement {name}: a < b & c",
            paper="unknown" if part else "see its parts",
            ours=ends[0],
            low=ends[1],
            high=ends[2],
            sesoi=0.05 if name[-1] == "a" else None,
            direction="down" if name == "C2a" else "up" if part else "",
            paper_size=0.04 if name == "C1a" else None,
            p=0.0021 if name == "C1a" else None,
            p_holm=0.0168 if name == "C1a" else None,
            verdict=verdict,
            reason=f"why {name}",
            premise="In the paper's premise: no." if name == "C1" else "",
            command=f"dvc repro tables@{table.split(',')[0]}",
            seconds=3.0 if part else None,
            table=table,
        )

    lines = [
        line("C1", "not replicated", "main, midtrain"),
        line("C1a", "not replicated", "main", (-0.0642, -0.118, -0.009)),
        line("C1b", "holds", "midtrain"),
        line("C2", "inconclusive", "modes"),
        line("C2a", "inconclusive", "modes", (0.1, -0.1, 0.3)),
        line("C3", "not tested", "budget"),
        line("C3a", "not tested", "budget"),
    ]
    ledger = Ledger(lines=lines, notes=["A note on the ledger."])
    _text(paths.CLAIMS_REPORT, report.csv_text(ledger))
    _text(paths.CLAIMS_REPORT.with_suffix(".json"), ledger.text())
    _text(paths.CLAIMS_REPORT.with_suffix(".md"), render.markdown(report.page(ledger, "tiny")))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Params]:
    """The folder of a study of three seeds and all arms, its figures and its page; read only."""
    folder = tmp_path_factory.mktemp("finished")
    params = study([1, 2, 3])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fill(params)
        figures.run(params)
        page.run(params)
    return folder, params


@pytest.fixture
def here(finished: tuple[Path, Params], monkeypatch: pytest.MonkeyPatch) -> Params:
    """The finished study, its folder being the working one."""
    monkeypatch.chdir(finished[0])
    return finished[1]
