"""The judge behind an endpoint, against a small server on this machine: what it asks, keeps, retries and refuses."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from polya_midtrain.common import heuristics
from polya_midtrain.errors import UserError
from polya_midtrain.judges import endpoint, validate
from polya_midtrain.judges.build import open_judge
from polya_midtrain.judges.contract import Chain
from polya_midtrain.judges.endpoint import EndpointJudge
from polya_midtrain.judges.validate import Habits
from polya_midtrain.judges.world import WorldJudge
from polya_midtrain.params import Compose, Endpoint
from polya_midtrain.world.families import PLANS

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "data/heuristics/world.yaml"
CATALOGUE = heuristics.load(SOURCE)
NAMES = CATALOGUE.first(16)
CHAINS = [item.chain for item in validate.world_chains(NAMES, 40, [1, 2, 3], 1, Habits())]
RULES = WorldJudge(NAMES).labels(CHAINS)
REST: dict[str, Any] = {"model": "m", "temperature": 0.0, "max_tokens": 256, "timeout": 60.0, "tries": 6, "parallel": 8}

Reply = tuple[int, Any, dict[str, str]]


def says(labels: Any) -> Reply:
    """A reply of the form that endpoints give."""
    return 200, {"choices": [{"message": {"content": json.dumps({"heuristics": labels})}}]}, {}


@pytest.fixture
def server(model_server: Any) -> Any:
    """The model labels as the rule-based judge does."""
    model_server.learn(CHAINS, RULES)
    return model_server


def judge(server: Any, cache: Path, **changed: Any) -> EndpointJudge:
    return EndpointJudge(Endpoint(**REST | {"url": server.url} | changed), CATALOGUE, cache)


def test_its_labels_are_the_models_in_order_and_each_chain_is_asked_once(server: Any, tmp_path: Path) -> None:
    assert judge(server, tmp_path).labels([*CHAINS, *CHAINS[:7]]) == [*RULES, *RULES[:7]]
    assert len(server.requests) == len(set(CHAINS))
    assert judge(server, tmp_path).labels([]) == []


def test_measured_on_labelled_chains_it_is_as_good_as_the_rules_that_the_model_follows(
    server: Any, tmp_path: Path
) -> None:
    labelled = validate.world_chains(NAMES, 40, [1, 2, 3], 1, Habits())
    ours = validate.measure(judge(server, tmp_path), labelled, NAMES)
    assert ours == validate.measure(WorldJudge(NAMES), labelled, NAMES)
    assert sum(hits for hits, _, _ in ours["heuristics"].values()) > 30


def test_a_second_run_asks_nothing_and_one_with_other_settings_asks_all(server: Any, tmp_path: Path) -> None:
    judge(server, tmp_path).labels(CHAINS[:5])
    assert judge(server, tmp_path).labels(CHAINS[:5]) == RULES[:5]
    assert len(server.requests) == 5
    judge(server, tmp_path, temperature=0.5).labels(CHAINS[:5])
    assert len(server.requests) == 10
    other = CATALOGUE.model_copy(update={"heuristics": CATALOGUE.heuristics[::-1]})
    EndpointJudge(Endpoint(**REST, url=server.url), other, tmp_path).labels(CHAINS[:5])
    assert len(server.requests) == 15


def test_the_request_holds_catalogue_chain_and_form_and_nothing_of_the_answer(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "open-sesame")
    judge(server, tmp_path, temperature=0.25, max_tokens=99).labels(CHAINS[:1])
    (request,) = server.requests
    assert (request["path"], request["model"]) == ("/v1/chat/completions", "m")
    assert (request["temperature"], request["max_tokens"]) == (0.25, 99)
    system, user = (message["content"] for message in request["messages"])
    for entry in CATALOGUE.heuristics:
        assert f"- {entry.id}: {entry.name}. {entry.idea}\n" in system
    assert user == f"Question:\n{CHAINS[0].question}\n\nSolution:\n{CHAINS[0].response}"
    schema = request["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["heuristics"]["items"]["enum"] == sorted(NAMES)
    assert server.headers[0]["Authorization"] == "Bearer open-sesame"
    assert b"open-sesame" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


PASSING = {
    "too many requests": (429, "slow down", {"Retry-After": "0.05"}),
    "a server's fault": (500, "oops", {}),
    "a proxy's fault": (503, "<html>", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
    "no JSON": (200, "{", {}),
    "JSON of another form": (200, {"error": "x"}, {}),
    "text and no JSON inside": (200, {"choices": [{"message": {"content": "forward, I think"}}]}, {}),
    "nothing inside": (200, {"choices": [{"message": {"content": None}}]}, {}),
    "an id that is none": says(["forward", "magic"]),
    "no list": says("forward"),
    "no reply in time": 1.0,
}


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_fault_is_tried_again(server: Any, tmp_path: Path, name: str) -> None:
    server.faults = [PASSING[name], PASSING[name]]
    found = judge(server, tmp_path, timeout=0.3, parallel=1).labels(CHAINS[:1])
    assert found == RULES[:1]
    assert len(server.requests) == 3


def test_it_waits_as_long_as_it_is_told_to(server: Any, tmp_path: Path) -> None:
    server.faults = [(429, "", {"Retry-After": "0.4"})]
    start = time.monotonic()
    judge(server, tmp_path).labels(CHAINS[:1])
    assert time.monotonic() - start >= 0.4


@pytest.mark.parametrize(("status", "tries"), [(401, 1), (404, 1), (429, 3), (500, 3)])
def test_a_lasting_fault_is_one_line_and_what_was_judged_is_kept(
    server: Any, tmp_path: Path, status: int, tries: int
) -> None:
    judge(server, tmp_path).labels(CHAINS[:4])
    server.requests.clear()
    server.always = lambda _: (status, "no\nway", {})
    with pytest.raises(UserError) as caught:
        judge(server, tmp_path, tries=3, parallel=1).labels(CHAINS[:5])
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"params.yaml: compose.endpoint: {server.url}: status {status}")
    assert len(server.requests) == tries
    server.always = None
    assert judge(server, tmp_path).labels(CHAINS[:5]) == RULES[:5]
    assert len(server.requests) == tries + 1


def test_an_endpoint_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "FIRST_WAIT", 0.01)
    nobody = EndpointJudge(Endpoint(**REST | {"url": "http://127.0.0.1:9/v1", "tries": 2}), CATALOGUE, tmp_path)
    with pytest.raises(UserError, match=r"http://127.0.0.1:9/v1: no reply \(ConnectError\), 2 times"):
        nobody.labels(CHAINS[:1])


def test_few_unreadable_replies_are_no_labels_and_many_stop_the_run(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "UNREADABLE", 0.03)
    bad = CHAINS[3].response
    usual = dict(zip([chain.response for chain in CHAINS], RULES, strict=True))

    def reply(body: dict[str, Any]) -> Reply:
        text = body["messages"][1]["content"].partition("Solution:\n")[2]
        return says("?") if text == bad else says(sorted(usual[text]))

    server.always = reply
    found = judge(server, tmp_path, tries=2).labels(CHAINS)
    assert found == [
        frozenset() if chain.response == bad else labels for chain, labels in zip(CHAINS, RULES, strict=True)
    ]
    asked = len(server.requests)
    judge(server, tmp_path, tries=2).labels(CHAINS)
    assert len(server.requests) == asked + 2  # that chain alone, again
    with pytest.raises(UserError, match="1 of 10 replies of m are not the JSON asked for"):
        judge(server, tmp_path, tries=2).labels(CHAINS[:10])


def test_results_name_the_model_and_the_prompt(server: Any, tmp_path: Path) -> None:
    first = str(judge(server, tmp_path))
    assert first.startswith("m (temperature 0, prompt ")
    other = CATALOGUE.model_copy(update={"heuristics": CATALOGUE.heuristics[:3]})
    assert str(EndpointJudge(Endpoint(**REST, url=server.url), other, tmp_path)) != first


def test_params_open_it(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = {"judge": "endpoint", "benchmarks": ["pairs"], "labelled": 1, "seed": 1}
    made = open_judge(Compose.model_validate(block | {"endpoint": REST | {"url": server.url}}), CATALOGUE, SOURCE)
    assert made.labels([CHAINS[0], Chain(*CHAINS[1])]) == RULES[:2]
    assert set(CATALOGUE.first(16)) == set(PLANS)
    for wrong in (block, block | {"judge": "world", "endpoint": REST | {"url": server.url}}):
        with pytest.raises(ValidationError, match="give both or neither"):
            Compose.model_validate(wrong)
