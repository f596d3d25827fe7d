"""The figures: true to the tables, legible without colour, the same bytes again, and one line for what is missing."""

from __future__ import annotations

import csv
import importlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.figures import claims, plots, style, training
from polya_midtrain.ledger.lines import Ledger
from polya_midtrain.params import Params
from polya_midtrain.stages import figures
from polya_midtrain.tables import registry
from polya_midtrain.tables.shared import render

ROOT = Path(__file__).resolve().parents[2]
NAMES = list(registry.FIGURES)
SVG = "{http://www.w3.org/2000/svg}"


def words() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((paths.FIGURES / figures.INDEX).read_text(encoding="utf-8"))
    return found


def rows(table: str) -> list[dict[str, str]]:
    with (paths.TABLES / f"{table}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def pooled(table: str, **wanted: str) -> dict[str, str]:
    found = [row for row in rows(table) if all(row[name] == value for name, value in wanted.items())]
    return max(found, key=lambda row: len(row["seeds"]))


@pytest.fixture
def copy(here: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A copy of the finished study, to be changed."""
    for name in ("results", "reports"):
        shutil.copytree(name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return here


def test_every_figure_is_there_in_both_formats_with_its_words(here: Params) -> None:
    assert list(words()) == NAMES
    for name, entry in words().items():
        root = ElementTree.parse(paths.FIGURES / f"{name}.svg").getroot()
        assert root.tag == f"{SVG}svg"
        assert len(list(root.iter(f"{SVG}path"))) > 20
        header = (paths.FIGURES / f"{name}.png").read_bytes()[:24]
        width, height = struct.unpack(">II", header[16:])
        assert header.startswith(b"\x89PNG")
        assert width == round(style.WIDTH * style.DPI)
        assert height > 300
        for key in ("title", "caption", "alt"):
            assert entry[key].strip()
            assert "nan" not in entry[key].lower().split()
        assert all(Path(source).is_file() for source in entry["sources"])


def test_captions_say_what_the_numbers_rest_on(here: Params) -> None:
    for name, entry in words().items():
        if name not in ("diversity", "claims"):  # what a claim rests on stands in its row of the ledger
            assert "3 training seeds" in entry["caption"], name
        if name not in ("training", "diversity", "claims"):
            assert re.search(r"\b\d+ (questions|branch points)", entry["caption"]), name
            assert "95% interval, " in entry["caption"], name
    assert "35 questions, 72 samples of each" in words()["passk"]["caption"]
    assert re.search(r"as a bar the 95% range of \d+ draws of \d+ traces", words()["diversity"]["caption"])
    assert "from the lowest to the highest" in words()["training"]["caption"]


def test_the_alternative_texts_say_the_numbers_of_the_tables(here: Params) -> None:
    alts = {name: entry["alt"] for name, entry in words().items()}
    for table, phase in (("midtrain", "before"), ("main", "after")):
        at = {arm: pooled(table, arm=arm, metric="pass@k", benchmark="mean", k="64") for arm in ("vanilla", "n4")}
        shown = {arm: f"{float(row['value']):.2f}" for arm, row in at.items()}
        assert f"{phase} RL: vanilla {shown['vanilla']}" in alts["passk"]
        assert re.search(f"{phase} RL: .*n = 4 {shown['n4']}.*vanilla {shown['vanilla']}", alts["by_n"])
    wrong = pooled("correctness", arm="w4", metric="pass@k", benchmark="mean", k="1")
    assert re.search(f"wrong .*n = 4 {float(wrong['value']):.2f}", alts["correctness"])
    change = pooled("budget", arm="t16", metric="relative change", k="64")
    assert f"t16 (n = 16, equal tokens) {float(change['value']):+.1%}" in alts["budget"]
    rate = pooled("composition", arm="n16", metric="composition rate", benchmark="mean", phase="after")
    assert "all chains, after RL: n = 1" in alts["composition"]
    assert f"n = 16 {float(rate['value']):.1%}" in alts["composition"]
    assert re.search(r"double \+ halve [\d.]+%, together in 0 chains of mid-training", alts["composition"])
    assert re.search(r"split \+ tens [\d.]+%, together in 4 chains of mid-training", alts["composition"])
    step = pooled("modes", arm="n16", metric="negative: fitting", phase="before")
    assert f"punished: lost to the other fitting, before RL {float(step['value']):.2f} (closed form" in alts["modes"]
    story = pooled("transfer", arm="star", metric="pass@k", benchmark="story", k="1", phase="after")
    assert re.search(f"story pass@1 after RL: .*star {float(story['value']):.2f}", alts["transfer"])


def test_the_forest_has_each_claim_in_smallest_effects_the_claimed_way(here: Params) -> None:
    with style.style():
        figure = drawn(here, "claims").figure
    (axes,) = figure.axes
    points = {line.get_ydata()[0]: line.get_xdata()[0] for line in axes.lines if line.get_marker() in ("o", "X", "D")}
    assert points == {0: pytest.approx(-0.0642 / 0.05), 1: pytest.approx(-0.1 / 0.05)}  # C2a is claimed to fall
    ends = {line.get_ydata()[0]: list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2}
    assert ends[0] == pytest.approx([-0.118 / 0.05, -0.009 / 0.05])
    assert ends[1] == pytest.approx([-claims.MOST, 0.1 / 0.05])  # -0.3 / 0.05 lies beyond
    arrows = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "<"]
    assert arrows == [-claims.MOST]
    stars = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_marker() == "*"]
    assert stars == [(pytest.approx(0.04 / 0.05), 0)]
    assert [text.get_text() for text in axes.texts] == ["not tested"]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [f"C{number}  statement C{number}: a < b & c" for number in (1, 2, 3)]


def draw(name: str, params: Params) -> style.Drawing | None:
    drawing: style.Drawing | None = importlib.import_module(f"polya_midtrain.figures.{name}").draw(params)
    return drawing


def drawn(params: Params, name: str) -> style.Drawing:
    drawing = draw(name, params)
    assert drawing is not None
    return drawing


def texts(figure: Any) -> Iterator[Text]:
    """Every text that is drawn: titles, axis and tick labels, the legend."""
    for axes in figure.axes:
        yield axes.title
        for axis in (axes.xaxis, axes.yaxis):
            yield axis.label
            low, high = sorted(axis.get_view_interval())
            yield from (tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high)
        yield from axes.texts
    for legend in figure.legends:
        yield from legend.get_texts()


@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_cut_off_or_covers_another(here: Params, name: str) -> None:
    with style.style():
        figure = drawn(here, name).figure
        figure.draw_without_rendering()
        limits = figure.bbox
        shown = [text for text in texts(figure) if text.get_visible() and text.get_text().strip()]
        found = [(text.get_text(), text.get_window_extent()) for text in shown]
    assert len(found) > 10
    assert all(axes.get_title() for axes in figure.axes)
    for text, box in found:
        assert limits.x0 <= box.x0 + 1, text
        assert limits.y0 <= box.y0 + 1, text
        assert box.x1 <= limits.x1 + 1, text
        assert box.y1 <= limits.y1 + 1, text
    for (one, box), (other, second) in combinations(found, 2):
        aside = box.x1 <= second.x0 + 1 or second.x1 <= box.x0 + 1
        assert aside or box.y1 <= second.y0 + 1 or second.y1 <= box.y0 + 1, (one, other)


def lightness(look: style.Look) -> float:
    """CIE L* of a look's colour, from 0 (black) to 100."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(look.colour)]
    y = float(np.dot([0.2126, 0.7152, 0.0722], linear))
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


def test_what_is_compared_differs_without_colour(here: Params) -> None:
    """In grey: by lightness, or by marker and line style."""
    arms = style.arm_looks(here.arms, ["vanilla", "star", "n1", "n4", "n16", "distil"])
    for looks in (style.PHASE_LOOKS, style.TRACE_LOOKS, arms):
        for one, other in combinations(looks.values(), 2):
            assert (one.marker, one.filled) != (other.marker, other.filled) or one.dash != other.dash
    before, after = style.PHASE_LOOKS.values()
    assert lightness(before) - lightness(after) > 20
    assert lightness(style.TRACE_LOOKS["wrong"]) - lightness(style.TRACE_LOOKS["right"]) > 5
    by_n = [lightness(arms[f"n{n}"]) for n in (1, 4, 16)]
    assert by_n == sorted(by_n, reverse=True)
    assert all(lightness(look) < 80 for look in [*arms.values(), before, after])  # dark enough for white paper


def test_the_same_input_gives_the_same_bytes_whatever_the_reader_has_set(copy: Params) -> None:
    before = {path.name: path.read_bytes() for path in sorted(paths.FIGURES.iterdir())}
    with pytest.MonkeyPatch.context() as patch, matplotlib.rc_context({"font.size": 30, "axes.grid": False}):
        patch.setattr(figures, "FIGURES", ("by_n", "transfer"))
        figures.run(copy)
    after = {path.name: path.read_bytes() for path in sorted(paths.FIGURES.iterdir())}
    assert set(after) == {
        "by_n.svg",
        "by_n.png",
        "transfer.svg",
        "transfer.png",
        "figures.json",
        "passk.csv",
        "training.csv",
    }
    for name, content in after.items():
        if name != figures.INDEX:
            assert content == before[name], name
    for name in ("by_n", "transfer"):
        text = before[f"{name}.svg"].decode()
        assert "matplotlib" not in text.replace("www.matplotlib", "").lower().replace("matplotlib.axis", "")
        assert "<dc:date>" not in text


def test_a_study_of_few_arms_and_one_seed_has_the_figures_that_it_can_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Params
) -> None:
    arms = {name: here.arms[name] for name in ("vanilla", "star", "n1", "n4")}
    few = here.model_copy(update={"seeds": [2], "arms": arms})
    origin = Path.cwd()
    monkeypatch.chdir(tmp_path)
    for table in registry.TABLES:
        kept = [
            row | {"method": row["method"].replace(" and seeds", ""), "seeds": row["seeds"] and "2"}
            for row in read(origin / paths.TABLES / f"{table}.csv")
            if row["arm"] in arms and row["seeds"] in ("1+2+3", "")
        ]
        write(paths.TABLES / f"{table}.csv", kept)
    for arm in arms:
        content = json.loads((origin / paths.CURVES / f"{arm}.json").read_text())
        content["seeds"] = {"2": content["seeds"]["2"]}
        target = paths.CURVES / f"{arm}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content))
    ledger = Ledger.read(origin / claims.LEDGER)
    untested = [line.model_copy(update={"verdict": "not tested", "ours": None}) for line in ledger.lines]
    ledger.model_copy(update={"lines": untested}).write(claims.LEDGER)
    figures.run(few)
    assert set(words()) == set(NAMES) - {"budget", "correctness", "map", "claims"}
    assert "1 training seed" in words()["passk"]["caption"]
    assert words()["training"]["caption"].startswith("1 training seed, 12 steps, not smoothed.")
    assert "bootstrap over questions." in words()["passk"]["caption"]
    assert json.loads((paths.METRICS / "figures.json").read_text())["figures"] == len(NAMES) - 4


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write(path: Path, content: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, render.COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(content)


def refusal(params: Params, name: str) -> str:
    with pytest.raises(UserError) as caught:
        draw(name, params)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_missing_table_is_named_with_the_way_to_make_it(copy: Params) -> None:
    for name, table in (("passk", "main"), ("budget", "budget"), ("modes", "modes"), ("diversity", "diversity")):
        (paths.TABLES / f"{table}.csv").unlink()
        assert refusal(copy, name) == f"reports/tables/{table}.csv: missing; run `dvc repro tables@{table}`"


def test_a_table_without_the_rows_of_a_figure_is_refused(copy: Params) -> None:
    for name, table in (("passk", "main"), ("transfer", "transfer"), ("correctness", "correctness")):
        path = paths.TABLES / f"{table}.csv"
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text(header + "\n", encoding="utf-8")
        assert refusal(copy, name).startswith(f"reports/tables/{table}.csv: no row of 'pass@k'")
        path.write_text("\n".join([header, *(line for line in lines if not line.startswith("vanilla,"))]) + "\n")
        if name == "correctness":
            assert "arm vanilla; run `dvc repro tables@correctness`" in refusal(copy, name)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda text: text.replace("n_samples", "samples", 1),
            r"main\.csv:1: its columns are not those of the long format; run",
        ),
        (
            lambda text: text.replace(",share,", ",share,x", 1),
            r"main\.csv:2: \d+ cells for \d+ columns|main\.csv:2: .* which is no number; run",
        ),
        (
            lambda text: re.sub(r"(pass@k,1,)[\d.]+", r"\1nan", text, count=1),
            r"main\.csv:2: value is 'nan', which is no number; run",
        ),
    ],
)
def test_a_malformed_table_is_refused_with_its_line(copy: Params, edit: Any, message: str) -> None:
    path = paths.TABLES / "main.csv"
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    assert re.search(message, refusal(copy, "passk"))


def test_curves_that_make_no_curve_are_refused(copy: Params) -> None:
    path = paths.CURVES / "star.json"
    content = json.loads(path.read_text())
    first = content["seeds"]["1"]
    for seeds, message in (
        ({"1": first[:1]}, "seeds: fewer than two steps, which make no curve"),
        ({"1": first, "2": first[1:]}, "seeds: the seeds do not have the same steps"),
        ({"1": [{"step": 1}, {"step": 2}]}, "seeds.1.0: no 'entropy'"),
        ({}, "seeds: the seeds do not have the same steps"),
    ):
        path.write_text(json.dumps({"arm": "star", "seeds": seeds}))
        assert (
            refusal(copy, "training") == f"results/curves/star.json:1: {message}; delete the file and run `dvc repro`"
        )
    path.unlink()
    assert refusal(copy, "training") == (
        "results/curves/star.json: missing, and arm 'star' is in params.yaml; run `dvc repro`"
    )


def test_a_refusal_leaves_the_earlier_figures_as_they_were(copy: Params) -> None:
    before = {path.name: path.read_bytes() for path in sorted(paths.FIGURES.iterdir())}
    (paths.TABLES / "modes.csv").unlink()
    with pytest.raises(UserError, match=r"modes\.csv: missing; run"):
        figures.run(copy)
    assert {path.name: path.read_bytes() for path in sorted(paths.FIGURES.iterdir())} == before


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40), st.integers(1, 50))
def test_smoothing_stays_within_the_values_and_does_nothing_to_a_level_or_at_one_step(
    values: list[float], window: int
) -> None:
    window = min(window, len(values))
    smooth = training.moving_mean(np.array(values), window)
    assert len(smooth) == len(values)
    assert min(values) - 1e-9 <= smooth.min()
    assert smooth.max() <= max(values) + 1e-9
    assert training.moving_mean(np.array(values), 1) == pytest.approx(values)
    assert training.moving_mean(np.full(len(values), 3.0), window) == pytest.approx([3.0] * len(values))


def test_the_curves_for_dvc_plots_are_those_of_the_tables(here: Params, tmp_path: Path) -> None:
    plots.write(here, tmp_path)
    found = read(tmp_path / "passk.csv")
    for row in found:
        table, phase = ("midtrain", "before") if row["panel"] == "before RL" else ("main", "after")
        source = pooled(table, arm=row["arm"], metric="pass@k", benchmark="mean", k=row["k"], phase=phase)
        assert float(row["share"]) == float(source["value"])
    assert len(found) == 2 * 8 * len(here.tables.ks)
    curve = json.loads((paths.CURVES / "n4.json").read_text())["seeds"]
    third = next(row for row in read(tmp_path / "training.csv") if (row["arm"], row["step"]) == ("n4", "3"))
    assert float(third["reward"]) == pytest.approx(np.mean([seed[2]["reward"] for seed in curve.values()]), abs=1e-6)


def test_missing_values_of_a_curve_are_left_out_and_counted_in_the_caption(copy: Params) -> None:
    path = paths.CURVES / "n16.json"
    content = json.loads(path.read_text())
    for seed in content["seeds"].values():
        for place in (0, 4):
            seed[place]["reward"] = None  # no seed has a value here
    content["seeds"]["1"][6]["entropy"] = None
    path.write_text(json.dumps(content))
    with style.style():
        drawing = training.draw(copy)
        style.save(drawing, paths.FIGURES, "training")
    missing = 2 * len(content["seeds"]) + 1
    assert f" {missing} values were no finite numbers and are left out. " in drawing.caption
    assert "nan" not in drawing.alt
    plots.write(copy, paths.FIGURES)
    drawn = [row for row in read(paths.FIGURES / "training.csv") if row["arm"] == "n16"]
    assert [row["reward"] == "" for row in drawn[:6]] == [True, False, False, False, True, False]
    others = [seed[6]["entropy"] for name, seed in content["seeds"].items() if name != "1"]
    assert float(drawn[6]["entropy"]) == pytest.approx(np.mean(others), abs=1e-6)


def test_smoothing_goes_over_missing_values() -> None:
    found = training.moving_mean(np.array([1.0, np.nan, 3.0, np.nan, np.nan, np.nan]), 3)
    assert found == pytest.approx([1.0, 2.0, 3.0, 3.0, np.nan, np.nan], nan_ok=True)


@pytest.mark.slow
def test_dvc_plots_show_draws_them(here: Params, tmp_path: Path) -> None:
    shutil.copytree(paths.FIGURES, tmp_path / paths.FIGURES)
    shutil.copytree(ROOT / ".dvc/plots", tmp_path / ".dvc/plots")
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"plots": pipeline["plots"]}))
    environment = os.environ | {"DVC_NO_ANALYTICS": "true"}

    def dvc(*arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    dvc("init", "--no-scm", "-f", "-q")
    shutil.copytree(ROOT / ".dvc/plots", tmp_path / ".dvc/plots", dirs_exist_ok=True)
    shown = json.loads(dvc("plots", "show", "--json"))["data"]
    assert list(shown) == [next(iter(entry)) for entry in pipeline["plots"]]
    assert all(entry[0]["content"]["spec"]["mark"] for entry in shown.values())  # our template, not DVC's own
    values = next(iter(shown.values()))[0]["content"]["data"]["values"]
    assert {value["arm"] for value in values} >= {"vanilla", "n16"}
    assert all(0.0 <= float(value["share"]) <= 1.0 for value in values)
