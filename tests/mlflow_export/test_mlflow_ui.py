"""`mlflow ui` on loopback: it takes the runs of `polya sync`, and a browser shows what there is to compare."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from polya_midtrain.runtime import mlflow_store
from polya_midtrain.tools.mlflow_export import command

ROOT = Path(__file__).resolve().parents[2]
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
STEPS = 24  # of RL in the made-up study
PATIENCE = 600  # seconds; a page takes two on an idle machine

NAME = "study.example"
NAMED = {  # as docs/mlflow.md has it, and this machine
    "MLFLOW_SERVER_ALLOWED_HOSTS": f"{NAME},{NAME}:*,127.0.0.1:*",
    "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": f"https://{NAME}",
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(outputs: Path, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that stands in for a remote one, to which a clone of the study was synced, twice."""
    home, clone = tmp_path_factory.mktemp("server"), tmp_path_factory.mktemp("client") / "clone"
    shutil.copytree(outputs, clone)
    shutil.copy(empty_store, home / "mlflow.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    options += [
        "--backend-store-uri",
        f"sqlite:///{home}/mlflow.db",
        "--artifacts-destination",
        str(home / "artifacts"),
    ]
    # A session of its own, to end with all of its workers.
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "ui", *options],
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"} | NAMED,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        try:
            eventually(lambda: urllib.request.urlopen(f"{address}/health", timeout=10).status == 200)
            patch.chdir(clone)
            patch.setenv("MLFLOW_TRACKING_URI", address)
            assert [command.sync()[1].split(" from")[0] for _ in range(2)] == [
                "17 runs added and 0 completed",
                "0 runs added and 0 completed",
            ]
            yield address
        finally:
            os.killpg(process.pid, 15)
            process.wait()


@pytest.fixture(scope="module")
def browser(server: str) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if BROWSER is None or DRIVER is None:
        pytest.skip("no browser: install Debian's packages chromium and chromium-driver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    options.page_load_strategy = "none"
    loopback = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", loopback):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(PATIENCE)
    size = {"width": 1400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield driver
    driver.quit()


def eventually(condition: Callable[[], Any]) -> Any:
    """What ``condition`` returns once it is true; on a busy machine a server or a page takes its time."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            found = condition()
        except Exception:  # not there yet: the driver, the server and the page have errors of their own for that
            found = None
        if found:
            return found
        assert time.monotonic() < end, "nothing after all that time"
        time.sleep(0.5)


def opened(browser: Any, address: str, *wanted: str) -> str:
    """The text of a page, once all of ``wanted`` were on it; it is scrolled through, since tables draw what is seen."""
    browser.get("about:blank")
    browser.get(address)
    seen: set[str] = set()

    def complete() -> str:
        text = str(browser.execute_script("return document.body.innerText"))
        seen.update(line.strip() for line in text.splitlines())
        browser.execute_script(
            "for (const box of document.querySelectorAll('*')) if (box.scrollHeight > box.clientHeight + 20)"
            " box.scrollTop += box.clientHeight / 2;"
        )
        return text if all(any(one in line for line in seen) for one in wanted) else ""

    eventually(complete)
    return "\n".join(seen)


def policies() -> dict[str, str]:
    """The ids of the runs of the first seed's policies after RL, by arm."""
    client = mlflow_store.connect()
    query = "tags.stage = 'evaluate' and tags.phase = 'after' and tags.seed = '1'"
    found = client.search_runs([mlflow_store.experiment(client)], query)
    return {run.data.tags["arm"]: run.info.run_id for run in found}


def test_a_server_has_the_files_too(server: str) -> None:
    client = mlflow_store.connect()
    (run,) = client.search_runs([mlflow_store.experiment(client)], "tags.stage = 'tables@main'")
    assert {one.path for one in client.list_artifacts(run.info.run_id)} == {"main.csv", "main.md"}
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")


def test_pages_behind_a_host_name_are_served_where_it_is_allowed(server: str) -> None:
    assert all(f"{setting}=" in (ROOT / "docs/mlflow.md").read_text() for setting in NAMED)

    def asked(host: str, origin: str) -> int:
        address, data = f"{server}/ajax-api/2.0/mlflow/experiments/search", b'{"max_results": 1}'
        headers = {"Host": host, "Origin": origin, "Content-Type": "application/json"}
        try:
            return int(urllib.request.urlopen(urllib.request.Request(address, data, headers), timeout=60).status)
        except urllib.error.HTTPError as error:
            return error.code

    assert asked(NAME, f"https://{NAME}") == asked(f"{NAME}:8080", f"https://{NAME}") == 200
    assert asked("other.example", f"https://{NAME}") == asked(NAME, "https://other.example") == 403


def test_the_run_table_is_filtered_by_arm(server: str, browser: Any) -> None:
    number = mlflow_store.experiment(mlflow_store.connect())
    query = quote("tags.arm = 'n4' and tags.stage = 'evaluate' and tags.phase = 'after'")
    text = opened(browser, f"{server}/#/experiments/{number}/runs?searchFilter={query}", "matching runs", "n4 after RL")
    assert "n4 after RL, seed 1" in text
    assert "n4 after RL, seed 2" in text
    assert "vanilla" not in text


def test_the_address_that_make_ui_prints_shows_the_policies(server: str, browser: Any) -> None:
    number = mlflow_store.experiment(mlflow_store.connect())
    (path,) = re.findall(r"^ui: POLICIES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    text = opened(
        browser, f"{server}/#/experiments/{number}/{path}", "matching runs", "n4 after RL", "vanilla after RL"
    )
    assert "before RL" not in text


def test_vanilla_and_n4_are_compared(server: str, browser: Any) -> None:
    client, runs = mlflow_store.connect(), policies()
    number = mlflow_store.experiment(client)
    chosen = [runs["vanilla"], runs["n4"]]
    scores = [client.get_run(one).data.metrics["pass_at_64"] for one in chosen]
    where = f"runs={quote(json.dumps(chosen))}&experiments={quote(json.dumps([number]))}"
    named = [f"{arm} after RL, seed 1" for arm in ("vanilla", "n4")]
    opened(browser, f"{server}/#/compare-runs?{where}", "Comparing 2 Runs", *named, "pass_at_64", "reward")
    # The charts of both: bars of what is one number, lines of what has steps.
    query = quote("attributes.run_id IN (" + ", ".join(f"'{one}'" for one in chosen) + ")")
    charts = f"{server}/#/experiments/{number}/runs?compareRunsMode=CHART&searchFilter={query}"
    opened(browser, charts, "2 matching runs", "pass_at_64")
    box = "input[placeholder*='Search metric charts']"
    eventually(lambda: browser.find_element("css selector", box)).send_keys("^(pass_at_64|reward)$")
    drawn = (
        "return [...document.querySelectorAll('.js-plotly-plot')]"
        ".flatMap(plot => plot.data.map(trace => [[...trace.x || []], [...trace.y || []]]))"
    )

    def complete() -> list[Any]:
        traces = browser.execute_script(drawn)
        lines = [
            trace for number, trace in enumerate(traces) if len(trace[0]) == STEPS and trace not in traces[:number]
        ]
        bars = [value for trace in traces if trace not in lines for axis in trace for value in axis]
        return lines if len(lines) == len(chosen) and all(score in bars for score in scores) else []

    lines = eventually(complete)
    for one in chosen:
        points = sorted((point.step, point.value) for point in client.get_metric_history(one, "reward"))
        assert [[step for step, _ in points], [value for _, value in points]] in lines
