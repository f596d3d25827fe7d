"""The page in a browser: headless Chromium, without a network."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polya_midtrain import paths
from polya_midtrain.page import document
from polya_midtrain.params import Params
from polya_midtrain.tables import registry

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "no browser: install Debian's packages chromium and chromium-driver"
PHONE = 375  # pixels

# The contrast of every element that has text of its own, with the ground that it stands on (WCAG 2.2, 1.4.3).
CONTRAST = """
const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
const luminance = ([r, g, b]) => {
  const part = (c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
};
const ground = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const found = parse(getComputedStyle(one).backgroundColor);
    if (found.length === 3 || found[3] === 1) return found;
  }
  return [255, 255, 255];
};
const faint = [];
for (const element of document.body.querySelectorAll(":not(svg *, script, style)")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || !element.getClientRects().length) continue;
  const [one, other] = [luminance(parse(getComputedStyle(element).color)), luminance(ground(element))];
  const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  if (ratio < 4.5) faint.push([element.tagName, element.textContent.slice(0, 40), ratio]);
}
return faint;
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if BROWSER is None or DRIVER is None:
        pytest.skip(MISSING)
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: Any, finished: tuple[Path, Params]) -> Any:
    """The page, freshly opened at the width of a desk, with the logs of before thrown away."""
    resize(browser, 1200)
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get((finished[0] / paths.PAGE).as_uri())
    return browser


def resize(browser: Any, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def column(page: Any, table: str, number: int) -> list[str]:
    """The cells of a column, from the top."""
    script = (
        "return [...document.querySelector(arguments[0]).tBodies[0].rows].map(r => r.cells[arguments[1]].innerText)"
    )
    return [str(text).strip() for text in page.execute_script(script, table, number)]


def leading(text: str) -> float:
    return float(text.split("[")[0])


def press(page: Any, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(page).send_keys(*keys).perform()


def focused(page: Any) -> str:
    return str(page.execute_script("return document.activeElement.innerText")).strip()


def test_it_opens_without_an_error_and_without_a_request(page: Any) -> None:
    page.execute_script("document.querySelectorAll('.more')[0].click()")
    assert page.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert len(asked) == 1
    assert asked[0].startswith("file:///")
    assert asked[0].endswith("reports/index.html")


def test_every_figure_has_a_name_and_a_description_for_a_screen_reader(page: Any) -> None:
    tree = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    images = [node for node in tree if node.get("role", {}).get("value") in ("image", "img")]
    names = [node["name"]["value"] for node in images]
    assert len(names) == len(registry.FIGURES)
    assert all(len(name) > 100 for name in names)  # title and description
    assert any("pass@64 after RL: vanilla" in name for name in names)
    assert all(page.execute_script("return [...document.querySelectorAll('svg')].map(s => s.clientHeight > 100)"))


def test_a_click_sorts_by_number_up_then_down_then_as_it_was(page: Any) -> None:
    table = "#main table"
    before = column(page, table, 1)
    button = page.find_elements("css selector", f"{table} thead button")[1]
    head = "return document.querySelectorAll(arguments[0])[1].getAttribute('aria-sort')"
    for direction in ("ascending", "descending", None):
        button.click()
        assert page.execute_script(head, f"{table} thead th") == direction
        found = column(page, table, 1)
        wanted = before if direction is None else sorted(before, key=leading, reverse=direction == "descending")
        assert [leading(text) for text in found] == [leading(text) for text in wanted]
    assert column(page, table, 1) == before


def test_sorting_another_column_moves_the_mark_and_unknown_values_stay_last(page: Any) -> None:
    table = "#main table"
    heads = page.find_element("css selector", table).find_elements("css selector", "thead th")
    heads[1].find_element("css selector", "button").click()
    for direction in ("ascending", "descending"):
        page.execute_script("arguments[0].firstChild.click()", heads[-1])
        marks = [head.get_attribute("aria-sort") for head in heads]
        assert marks == [None] * (len(heads) - 1) + [direction]
        found = column(page, table, len(heads) - 1)
        known = [text for text in found if text != "-"]
        assert known == sorted(known, reverse=direction == "descending")
        assert 0 < len(known) < len(found)
        assert found == known + ["-"] * (len(found) - len(known))


def test_names_are_sorted_as_people_count(page: Any) -> None:
    page.execute_script("document.querySelector('#main table thead button').click()")
    assert column(page, "#main table", 0) == ["distil", "n1", "n4", "n16", "s1", "star", "star16", "vanilla"]


def test_the_keyboard_reaches_and_sorts(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    press(page, Keys.TAB)
    assert focused(page) == "Skip to the ledger"
    left = page.execute_script("return document.activeElement.getBoundingClientRect().left")
    assert left >= 0  # it has come into view
    press(page, Keys.ENTER)
    press(page, Keys.TAB)
    assert focused(page).startswith("Claim")
    outline = page.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    press(page, Keys.ENTER)
    press(page, Keys.SPACE)
    assert column(page, "#ledger table", 0) == ["C3", "C2", "C1"]
    press(page, Keys.TAB, Keys.TAB)
    press(page, Keys.ENTER)
    verdicts = ["inconclusive", "not replicated", "not tested"]
    assert [text.split(" ", 1)[1] for text in column(page, "#ledger table", 2)] == verdicts


@pytest.mark.parametrize("width", [320, PHONE, 800])
def test_a_narrow_screen_never_scrolls_sideways_but_its_tables_do(page: Any, width: int) -> None:
    resize(page, width)
    page.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.execute_script("document.querySelectorAll('.more').forEach(one => one.click())")
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    wide = page.execute_script(
        "return [...document.querySelectorAll('*:not(.scroll *):not(svg *)')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.skip'))"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert wide == []
    scroll = (
        "const box = [...document.querySelectorAll('.scroll:has(.sortable)')]"
        ".find(b => b.scrollWidth > b.clientWidth + 90); box.scrollLeft = 90; return box.scrollLeft"
    )
    assert page.execute_script(scroll) == 90
    boxes = "return [...document.querySelectorAll('.scroll')]"
    for scrolls, stop in page.execute_script(
        f"{boxes}.map(b => [b.scrollWidth > b.clientWidth + 1, b.tabIndex === 0])"
    ):
        assert scrolls == stop  # only what scrolls is a stop for the tab key


def test_on_a_common_screen_every_table_fits(page: Any) -> None:
    resize(page, 1280)
    page.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    wide = page.execute_script(
        "return [...document.querySelectorAll('.scroll:has(table)')].filter(b => b.scrollWidth > b.clientWidth + 1)"
        ".map(b => [b.querySelector('caption').innerText, b.scrollWidth])"
    )
    assert wide == []


def test_on_a_phone_the_ledger_needs_no_scrolling_at_all(page: Any) -> None:
    resize(page, PHONE)
    boxes = (
        "return [...document.querySelectorAll('#ledger .scroll:not(.drawing)')].map(b => b.scrollWidth - b.clientWidth)"
    )
    assert page.execute_script(boxes) == [0, 0]
    roles = [
        node.get("role", {}).get("value") for node in page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    ]
    assert roles.count("rowheader") >= 7  # the cards are still a table to a screen reader


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(page: Any, scheme: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        ground = page.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
        assert page.execute_script(CONTRAST) == []
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_numbers_can_be_looked_up_in_the_page(page: Any, finished: tuple[Path, Params]) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    page.execute_script("document.querySelector('#budget .more').click()")
    WebDriverWait(page, 10).until(lambda driver: driver.find_elements("css selector", "#budget .rows tbody tr"))
    page.switch_to.active_element.send_keys("t16 relative 64")
    lines = (finished[0] / paths.TABLES / "budget.csv").read_text(encoding="utf-8").splitlines()
    wanted = [line.split(",") for line in lines if line.startswith("t16,") and ",relative change,64," in line]
    rows = (
        "return [...document.querySelectorAll('#budget .rows tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    assert len(wanted) == 1
    found = page.execute_script(rows)
    assert [",".join(row) for row in found] == [",".join(row).replace('"', "") for row in wanted]
    assert page.find_element("css selector", "#budget .rows [role=status]").text == "1 rows"
    head = page.execute_script(
        "return [...document.querySelectorAll('#budget .rows thead th')].map(h => h.textContent)"
    )
    assert head == lines[0].split(",")


def test_long_tables_are_folded_away_but_not_on_paper(page: Any) -> None:
    rows = "return [...document.querySelectorAll('main section[id] .sortable')]"
    folded = page.execute_script(f"{rows}.map(t => [t.tBodies[0].rows.length, !t.checkVisibility()])")
    assert any(hidden for _, hidden in folded)
    assert all(
        hidden == (count > document.LONG) for count, hidden in folded[:-2]
    )  # the last are the run's settings, times
    page.print_page()
    assert all(page.execute_script(f"{rows}.map(t => t.checkVisibility())"))


def test_it_prints(page: Any) -> None:
    pdf = base64.b64decode(page.print_page())
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") + pdf.count(b"/Type /Page/") >= 5
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        hidden = "return ['nav', '.more', '.files'].map(s => document.querySelector(s).getClientRects().length)"
        assert page.execute_script(hidden) == [0, 0, 0]
        resize(page, 700)  # about a sheet's text
        cut = "return [...document.querySelectorAll('table')].filter(t => t.scrollWidth > 701)"
        assert page.execute_script(f"{cut}.map(table => table.caption.innerText)") == []
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
