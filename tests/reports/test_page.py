"""The page as a file: whole, true to the tables, well formed, escaped, and the same bytes again."""

from __future__ import annotations

import base64
import csv
import gzip
import json
import re
import shutil
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.figures.claims import LEDGER
from polya_midtrain.page import content, document, studied, vector
from polya_midtrain.params import Params
from polya_midtrain.stages import figures, page, tables
from polya_midtrain.tables import read, registry
from polya_midtrain.tables.row import Row, Rows
from polya_midtrain.tables.shared import render

VOID = {"meta", "link", "br", "input", "hr", "img"}


class Element:
    """A tag with what is in it."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag, self.attributes = tag, attributes
        self.children: list[Element | str] = []

    def all(self, *tags: str) -> Iterator[Element]:
        for child in self.children:
            if isinstance(child, Element):
                if child.tag in tags or not tags:
                    yield child
                yield from child.all(*tags)

    def text(self) -> str:
        parts = (child if isinstance(child, str) else child.text() for child in self.children)
        return " ".join("".join(parts).split())


class Tree(HTMLParser):
    """A strict reader: every tag is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]
        self.feed(text)
        self.close()
        assert self.open == [self.root]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attributes]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice"
        element = Element(tag, dict(attributes))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, text: str) -> None:
        self.open[-1].children.append(text)


@pytest.fixture
def text(here: Params) -> str:
    return paths.PAGE.read_text(encoding="utf-8")


@pytest.fixture
def tree(text: str) -> Element:
    return Tree(text).root


@pytest.fixture
def copy(here: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A copy of the finished study, to be changed."""
    for name in ("results", "reports"):
        shutil.copytree(name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return here


def one(root: Element, tag: str, **attributes: str) -> Element:
    found = [e for e in root.all(tag) if all(e.attributes.get(name) == value for name, value in attributes.items())]
    assert len(found) == 1, (tag, attributes, len(found))
    return found[0]


def cells(table: Element) -> list[list[str]]:
    return [[cell.text() for cell in row.all("th", "td")] for row in table.all("tr")]


def test_every_table_and_every_figure_has_its_place(here: Params, tree: Element) -> None:
    sections = [section.attributes["id"] for section in one(tree, "main").all("section")]
    assert sections == ["ledger", "studied", *registry.TABLES, "settings"]
    assert {figure.attributes["id"] for figure in tree.all("figure")} == {f"figure-{name}" for name in registry.FIGURES}
    assert paths.FIGURES / figures.INDEX == content.INDEX


def test_the_document_is_well_formed(text: str, tree: Element) -> None:
    assert text.startswith("<!doctype html>\n")
    assert one(tree, "html").attributes["lang"] == "en-GB"
    assert one(tree, "meta", name="viewport").attributes["content"] == "width=device-width, initial-scale=1"
    headings = [int(element.tag[1]) for element in tree.all("h1", "h2", "h3", "h4")]
    assert headings.count(1) == 1
    assert headings[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(headings))
    ids = [element.attributes["id"] for element in tree.all() if "id" in element.attributes]
    assert len(set(ids)) == len(ids)
    for element in tree.all():
        for name in ("aria-labelledby", "href", "xlink:href"):
            value = element.attributes.get(name) or ""
            wanted = value.split() if name == "aria-labelledby" else [value[1:]] if value.startswith("#") else []
            assert set(wanted) <= set(ids), (element.tag, value)
        for value in element.attributes.values():
            assert set(re.findall(r"url\(#([^)]+)\)", value or "")) <= set(ids)


def test_every_table_is_named_and_its_heads_say_what_they_head(tree: Element) -> None:
    found = list(tree.all("table"))
    assert len(found) > 20
    for table in found:
        assert one(table, "caption").text()
        assert all(head.attributes["scope"] == "col" for head in one(table, "thead").all("th"))
        for row in one(table, "tbody").all("tr"):
            first, *rest = row.all("th", "td")
            assert (first.tag, first.attributes["scope"]) == ("th", "row")
            assert {cell.tag for cell in rest} <= {"td"}
        assert len({len(row) for row in cells(table)}) == 1


def test_nothing_is_fetched_from_elsewhere_and_every_link_leads_to_a_file(text: str, tree: Element) -> None:
    scripts = [element for element in tree.all("script", "link", "img", "iframe") if "src" in element.attributes]
    assert scripts == []
    policy = one(tree, "meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    links = [element.attributes["href"] or "" for element in tree.all("a", "link")]
    files = [link for link in links if not link.startswith(("#", "data:"))]
    assert len(files) > 40
    assert all((paths.PAGE.parent / link).is_file() for link in files)
    assert "@import" not in text
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert len(text.encode()) < 3_000_000


def test_the_ledger_comes_first_and_says_what_the_csv_says(tree: Element) -> None:
    main = one(tree, "main")
    first = next(main.all("section"))
    assert first.attributes["id"] == "ledger"
    assert "Of 3 claims: 1 not replicated, 1 inconclusive, 1 not tested." in first.text()
    whole, parts = first.all("table")
    with paths.CLAIMS_REPORT.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    shown = {row[0]: row for table in (whole, parts) for row in cells(table)[1:]}
    assert list(shown) == ["C1", "C2", "C3", "C1a", "C1b", "C2a", "C3a"]
    for row in rows:
        assert row["statement"] == f"statement {row['claim']}: a < b & c"
        around = ("Secondary: " if row["role"] == "secondary" else "Primary: " if row["role"] else "", row["premise"])
        assert shown[row["claim"]][1] == f"{around[0]}{row['statement']} {around[1]}".rstrip()
        assert shown[row["claim"]][2].endswith(row["verdict"])
        assert row["reason"] in shown[row["claim"]]
    assert shown["C1a"][4] == "-0.064 [-0.118, -0.009]"
    assert shown["C1b"][4] == "-"
    assert shown["C1a"][5:7] == ["0.05", "0.0021; 0.0168"]
    assert shown["C1b"][5:7] == ["-", "-"]
    assert shown["C1a"][8] == "dvc repro tables@main (3 s); see main"
    assert "A note on the ledger." in first.text()


def test_every_grid_and_note_of_the_readable_tables_is_there(here: Params, tree: Element) -> None:
    for name in registry.TABLES:
        section = one(tree, "section", id=name)
        source = render.Page.read(paths.TABLES / f"{name}.json")
        assert next(section.all("h2")).text() == " ".join(source.title.split())
        found = list(section.all("table"))
        assert [one(table, "caption").text() for table in found] == [grid.caption for grid in source.grids]
        for table, grid in zip(found, source.grids, strict=True):
            squeezed = [[" ".join(cell.split()) for cell in row] for row in [grid.header, *grid.rows]]
            assert cells(table) == squeezed
        notes = [item.text() for item in next(section.all("ul")).all("li")]
        assert notes == [" ".join(note.split()) for note in source.notes]
        assert f"dvc repro tables@{name}" in section.text()


def test_the_long_tables_are_inside_to_the_byte(tree: Element) -> None:
    for name in registry.TABLES:
        link = one(tree, "a", download=f"{name}.csv.gz").attributes["href"] or ""
        original = (paths.TABLES / f"{name}.csv").read_bytes()
        assert gzip.decompress(base64.b64decode(link.removeprefix("data:application/gzip;base64,"))) == original
        numbers = original.count(b"\n") - 1
        assert f"All {numbers} numbers" in one(tree, "section", id=name).text()


def test_every_figure_has_a_text_for_those_who_cannot_see_it(tree: Element) -> None:
    words = json.loads((paths.FIGURES / figures.INDEX).read_text(encoding="utf-8"))
    for name, entry in words.items():
        figure = one(tree, "figure", id=f"figure-{name}")
        svg = one(figure, "svg")
        title, description, *_ = svg.all()
        assert svg.attributes["role"] == "img"
        assert svg.attributes["aria-labelledby"] == f"{title.attributes['id']} {description.attributes['id']}"
        assert (title.tag, title.text()) == ("title", entry["title"])
        assert (description.tag, description.text()) == ("desc", " ".join(entry["alt"].split()))
        assert " ".join(entry["caption"].split()) in one(figure, "figcaption").text()
        assert "width" not in svg.attributes
        assert not list(svg.all("style", "metadata", "script"))


def test_the_settings_and_times_of_the_run_are_there(here: Params, tree: Element) -> None:
    text = one(tree, "section", id="settings").text()
    assert f"{here.evaluate.samples} samples a question, temperature 1, top_p 1" in text
    settings_, times = (dict(cells(table)[1:]) for table in one(tree, "section", id="settings").all("table"))
    assert settings_["seeds"] == "1, 2, 3"
    assert settings_["arms.b4.match.rows"] == "n1"
    assert settings_["rl.learning_rate"] == str(here.rl.learning_rate)
    assert times["rl"] == "2 min"  # of two arms together
    assert "Profile tiny: 18 arms; training seeds 1, 2, 3;" in one(tree, "header").text()


def test_what_was_studied_is_said_of_every_arm_and_set(here: Params, tree: Element) -> None:
    section = one(tree, "section", id="studied")
    told = dict(cells(next(section.all("table")))[1:])
    assert list(told) == list(here.arms)
    assert told["vanilla"] == "no mid-training: RL alone"
    assert told["n1"] == "its own right answers that follow their heuristic, under one heuristic a question"
    assert told["n16"] == "its own right answers that follow their heuristic, under 16 heuristics a question"
    assert told["b4"].endswith("under 4 heuristics a question; as many rows as n1, of fewer questions")
    assert len(set(told.values())) == len(told)
    for name, one_set in (here.questions.benchmarks | here.questions.transfer).items():
        assert f"{name} ({studied.size(one_set)})" in section.text()
    assert f"{here.base.layers} layers" in section.text()


def test_the_forest_stands_beside_the_ledger(tree: Element) -> None:
    assert one(one(tree, "section", id="ledger"), "figure").attributes["id"] == "figure-claims"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("0.346 [0.271, 0.420]", "0.346 [0.271,_0.420]"),
        ("+0.1 [-0.1, +0.2] (paper 0.5)", "+0.1 [-0.1,_+0.2] (paper_0.5)"),
        ("too few rows", "too_few_rows"),
        ("prose " * 20, "prose " * 20),
    ],
)
def test_a_cell_breaks_before_a_bracket_alone(cell: str, shown: str) -> None:
    assert document.kept(cell) == shown.replace("_", "\N{NO-BREAK SPACE}")


def test_what_the_tables_say_is_text_and_never_markup(copy: Params) -> None:
    hostile = "<script>alert(1)</script> & \"quoted\" 'x' {{ 7*7 }}"
    grid = render.Grid(caption=hostile, header=[hostile, "b"], rows=[[hostile, hostile]])
    render.Page(title=hostile, grids=[grid], notes=[hostile]).write(paths.TABLES / "main.json")
    index = paths.FIGURES / figures.INDEX
    words = json.loads(index.read_text(encoding="utf-8"))
    words["passk"] |= {"title": hostile, "caption": hostile, "alt": hostile}
    index.write_text(json.dumps(words), encoding="utf-8")
    page.run(copy)
    tree = Tree(paths.PAGE.read_text(encoding="utf-8")).root
    assert len(list(tree.all("script"))) == 1
    section = one(tree, "section", id="main")
    assert next(section.all("h2")).text() == hostile
    assert cells(next(section.all("table"))) == [[hostile, "b"], [hostile, hostile]]
    assert next(one(tree, "figure", id="figure-passk").all("desc")).text() == hostile


def test_two_runs_give_the_same_bytes_and_a_profile_without_a_figure_still_has_its_page(copy: Params) -> None:
    before = paths.PAGE.read_bytes()
    page.run(copy)
    assert paths.PAGE.read_bytes() == before
    index = paths.FIGURES / figures.INDEX
    words = json.loads(index.read_text(encoding="utf-8"))
    del words["budget"]
    index.write_text(json.dumps(words), encoding="utf-8")
    (paths.FIGURES / "budget.svg").unlink()
    page.run(copy)
    tree = Tree(paths.PAGE.read_text(encoding="utf-8")).root
    assert len(list(tree.all("figure"))) == len(registry.FIGURES) - 1
    assert json.loads((paths.METRICS / "page.json").read_text())["bytes"] == paths.PAGE.stat().st_size


def test_a_new_table_is_a_module_and_a_line_of_the_registry(copy: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(params: Params) -> tuple[list[Row], render.Page]:
        [row] = Rows(read.read(paths.TABLES / "main.csv")).find("pass@k", arm="vanilla", benchmark="mean", k=1)
        grid = render.Grid(caption="One cell", header=["arm", "pass@1"], rows=[["vanilla", f"{row.value:.3f}"]])
        return [row], render.Page(title="The newest table", grids=[grid], notes=["Short."])

    module = ModuleType("polya_midtrain.tables.newest.table")
    monkeypatch.setattr(module, "build", build, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(registry.TABLES, "newest", registry.Table(paths.COUNTS))
    tables.run(copy, "newest")
    assert [path.name for path in sorted(paths.TABLES.glob("newest.*"))] == [
        f"newest.{suffix}" for suffix in ("csv", "json", "md", "tex")
    ]
    page.run(copy)
    section = one(Tree(paths.PAGE.read_text(encoding="utf-8")).root, "section", id="newest")
    assert next(section.all("h2")).text() == "The newest table"
    assert cells(next(section.all("table")))[0] == ["arm", "pass@1"]


@pytest.mark.parametrize(
    ("path", "damage", "message"),
    [
        ("reports/claims.json", None, "reports/claims.json: missing; run `dvc repro`"),
        (
            "reports/claims.json",
            '{"lines": []}',
            "reports/claims.json:1: notes: Field required; delete",
        ),
        ("reports/tables/modes.json", None, "reports/tables/modes.json: missing; run `dvc repro`"),
        ("reports/tables/modes.json", '{"title": 1}', "reports/tables/modes.json:1: title: Input should be a valid"),
        ("reports/tables/modes.csv", None, "reports/tables/modes.csv: missing; run `dvc repro tables@modes`"),
        ("reports/figures/figures.json", None, "reports/figures/figures.json: missing; run `dvc repro`"),
        (
            "reports/figures/figures.json",
            '{"passk": {}}',
            "reports/figures/figures.json:1: passk.title: Field req",
        ),
        ("reports/figures/passk.svg", None, "reports/figures/passk.svg: missing; run `dvc repro figures`"),
        ("reports/figures/passk.svg", "<svg", "reports/figures/passk.svg:1: not an SVG"),
        ("reports/figures/passk.svg", "<html/>", "reports/figures/passk.svg:1: not an SVG"),
        ("results/metrics/rl@n1.json", "{", "results/metrics/rl@n1.json:1: not the numbers of a stage"),
    ],
)
def test_a_missing_or_foreign_file_is_one_line_and_the_earlier_page_stays(
    copy: Params, path: str, damage: str | None, message: str
) -> None:
    before = paths.PAGE.read_bytes()
    if damage is None:
        Path(path).unlink()
    else:
        Path(path).write_text(damage, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        page.run(copy)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert paths.PAGE.read_bytes() == before


def test_a_verdict_that_there_is_not_is_refused_with_its_line(copy: Params) -> None:
    text = LEDGER.read_text(encoding="utf-8")
    LEDGER.write_text(text.replace('"inconclusive"', '"perhaps"', 1), encoding="utf-8")
    with pytest.raises(UserError, match=r"reports/claims\.json:5: lines\.3\.verdict: Input should be 'replicated', "):
        page.run(copy)


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]))


@st.composite
def pages(draw: st.DrawFn) -> render.Page:
    def grid() -> render.Grid:
        width = draw(st.integers(1, 4))
        row = st.lists(words, min_size=width, max_size=width)
        return render.Grid(caption=draw(words), header=draw(row), rows=draw(st.lists(row, max_size=3)))

    grids = [grid() for _ in range(draw(st.integers(0, 3)))]
    return render.Page(title=draw(words), grids=grids, notes=draw(st.lists(words, max_size=3)))


@settings(deadline=None)
@given(pages())
def test_a_table_is_read_back_as_it_was_written(page: render.Page) -> None:
    assert render.Page.model_validate_json(page.text()) == page


def test_a_row_that_is_not_as_long_as_its_header_is_refused() -> None:
    with pytest.raises(ValueError, match="not as long as its header"):
        render.Grid(caption="c", header=["a", "b"], rows=[["1"]])


def test_the_ids_of_two_figures_never_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    path.write_text(
        f'<svg xmlns="{vector.SVG}" xmlns:xlink="{vector.XLINK}" width="9pt"><style>*{{}}</style>'
        '<defs><path id="m"/></defs><use xlink:href="#m" clip-path="url(#m)"/></svg>'
    )
    found = vector.inline(path, "fig", "T & t", "<alt>")
    assert 'id="fig-m"' in found
    assert 'xlink:href="#fig-m"' in found
    assert 'clip-path="url(#fig-m)"' in found
    assert "T &amp; t" in found
    assert "<style" not in found


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (12, "12 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (7560, "2.1 h")]
)
def test_durations_are_told_in_a_readers_unit(seconds: float, text: str) -> None:
    assert content.duration(seconds) == text
