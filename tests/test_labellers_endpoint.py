"""The judge behind an endpoint, against a small server on this machine: what it asks, keeps, retries and refuses."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from polya_midtrain import params
from polya_midtrain.errors import UserError
from polya_midtrain.labellers import endpoint, validate
from polya_midtrain.labellers.contract import Chain
from polya_midtrain.labellers.endpoint import EndpointJudge
from polya_midtrain.labellers.opening import open_judge
from polya_midtrain.labellers.validate import Habits
from polya_midtrain.labellers.world import WorldJudge
from polya_midtrain.params import Compose, Endpoint
from polya_midtrain.prompting import heuristics
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


def settings(url: str, **changed: Any) -> Endpoint:
    return Endpoint(**REST | {"url": url} | changed)


def judge(server: Any, cache: Path, **changed: Any) -> EndpointJudge:
    return EndpointJudge(settings(server.url, **changed), CATALOGUE, cache)


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
    EndpointJudge(settings(server.url), other, tmp_path).labels(CHAINS[:5])
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
    # On a busy machine other replies may be late, too, so that there are tries for them.
    late = {"timeout": 0.3, "tries": 100} if name == "no reply in time" else {}
    found = judge(server, tmp_path, parallel=1, **late).labels(CHAINS[:1])
    assert found == RULES[:1]
    assert len(server.requests) == 3 or (late and len(server.requests) > 3)


WRITTEN = {
    "in fences": "```json\n{}\n```",
    "in fences and between prose": "It works by:\n\n```\n{}\n```\nThat is all.",
    "behind prose": 'First I thought {{"heuristics": ["magic"]}}, a draft {{of sorts}}. {}',
    "behind its reasoning": '<think>{{"heuristics": []}}?</think>\n{} ',
    "with other fields": '{{"why": {{"a": 1}}, "answer": 0}}\n{}',
}


@pytest.mark.parametrize("name", WRITTEN)
def test_the_last_json_of_a_reply_counts(server: Any, tmp_path: Path, name: str) -> None:
    text = WRITTEN[name].format(json.dumps({"heuristics": sorted(RULES[0]), "sure": {"of": "it"}}))
    server.always = lambda _: (200, {"choices": [{"message": {"content": text}}]}, {})
    assert judge(server, tmp_path, tries=1).labels(CHAINS[:1]) == RULES[:1]


def test_the_limit_of_a_reply_goes_by_the_name_that_the_settings_give(server: Any, tmp_path: Path) -> None:
    judge(server, tmp_path, max_tokens=None, max_completion_tokens=99).labels(CHAINS[:1])
    assert server.requests[0]["max_completion_tokens"] == 99
    assert "max_tokens" not in server.requests[0]
    for both in ({"max_tokens": None}, {"max_completion_tokens": 20}):
        with pytest.raises(ValidationError, match="give max_tokens or, where the model wants that"):
            settings(server.url, **both)


def test_a_redirect_is_named_and_the_key_stays_here(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "open-sesame")
    server.faults = [(308, "", {"Location": "https://user:pass-word@elsewhere.example/v1/?api_key=abc"})]
    with pytest.raises(
        UserError, match=r"it redirects to 'https://elsewhere\.example/v1/\?api_key=\.\.\.'; if you trust"
    ):
        judge(server, tmp_path).labels(CHAINS[:1])
    assert len(server.requests) == 1


def chunks(content: bytes, pause: float = 0.0) -> tuple[str, socket.socket]:
    """A server that sends ``content`` again and again, until nobody listens; its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, suppress(OSError):
                client.recv(100_000)
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    client.sendall(content)
                    time.sleep(pause)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}", listener


@pytest.mark.parametrize(("content", "pause"), [(b" ", 0.02), (b" " * 100_000, 0.0)])
def test_a_reply_without_end_is_left(tmp_path: Path, content: bytes, pause: float) -> None:
    url, listener = chunks(content, pause)
    with listener, pytest.raises(UserError, match=r"no reply \(TimeoutError\)|are not the JSON asked for"):
        EndpointJudge(settings(url, tries=1, timeout=1.0), CATALOGUE, tmp_path).labels(CHAINS[:1])


DEEP = "[" * 200_000
HOSTILE = {
    "deep": DEEP,
    "deep inside": {"choices": [{"message": {"content": '{"heuristics": ' + DEEP}}]},
    "many beginnings": {"choices": [{"message": {"content": '{"a":' * 150_000}}]},
    "a number of many digits": {"choices": [{"message": {"content": '{"heuristics": ' + "9" * 100_000 + "}"}}]},
    "no UTF-8": "\udcff".encode(errors="surrogatepass").decode("latin-1"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_reply_is_an_unreadable_one(server: Any, tmp_path: Path, name: str) -> None:
    server.always = lambda _: (200, HOSTILE[name], {})
    with pytest.raises(UserError, match="1 of 1 replies of m are not the JSON asked for"):
        judge(server, tmp_path, tries=2).labels(CHAINS[:1])


def test_a_compressed_reply_does_not_grow(server: Any, tmp_path: Path) -> None:
    bomb = gzip.compress(b" " * 30_000_000).decode("latin-1")
    server.always = lambda _: (200, bomb, {"Content-Encoding": "gzip"})
    with pytest.raises(UserError, match="not the JSON asked for"):
        judge(server, tmp_path, tries=1).labels(CHAINS[:1])
    assert server.headers[0]["Accept-Encoding"] == "identity"


def test_many_unreadable_replies_stop_the_run_at_once(server: Any, tmp_path: Path) -> None:
    server.always = lambda _: says("?")
    with pytest.raises(UserError, match=f"of {len(set(CHAINS))} replies of m are not"):
        judge(server, tmp_path, tries=1, parallel=1).labels(CHAINS)
    assert len(server.requests) < len(set(CHAINS))


def test_neither_control_characters_nor_the_key_get_out(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "open-sesame")
    judge(server, tmp_path).labels(CHAINS[:2])
    server.always = lambda _: (401, "\x1b]0;mine\x07\x1b[2J no, \u202e open-sesame\u2028 is wrong", {})
    with pytest.raises(UserError) as caught:
        judge(server, tmp_path).labels(CHAINS[:3])
    message = str(caught.value)
    assert message.isprintable()
    assert "no, [OPENAI_API_KEY] is wrong" in " ".join(message.split())
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"open-sesame" not in kept
    monkeypatch.setenv("OPENAI_API_KEY", "open\nsesame")
    with pytest.raises(UserError, match=r"^OPENAI_API_KEY: it holds characters that no key has; set it again$"):
        judge(server, tmp_path).labels(CHAINS[:3])


def test_replies_are_kept_as_json_and_a_broken_line_is_passed_over(server: Any, tmp_path: Path) -> None:
    judge(server, tmp_path).labels(CHAINS[:4])
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    lines = [json.loads(line) for line in path.read_text().splitlines() if line]
    assert sorted(map(tuple, (labels for _, labels in lines))) == sorted(tuple(sorted(one)) for one in RULES[:4])
    path.write_bytes(b"\x80\x04K\x01.\n" + path.read_bytes()[:-20] + b"\n" + DEEP.encode())
    assert judge(server, tmp_path).labels(CHAINS[:4]) == RULES[:4]
    assert len(server.requests) == 5, "the one whose line was cut"
    assert judge(server, tmp_path).labels(CHAINS[:4]) == RULES[:4]
    assert len(server.requests) == 5


def test_a_folder_that_takes_no_replies_is_one_line(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError, match=r"file/\.judged/replies\.jsonl: replies cannot be kept here \(Not a directory\)"
    ):
        judge(server, tmp_path / "file/.judged").labels(CHAINS[:1])


ADDRESSES = [
    "http://user:pass-word@host/v1",
    "http://host/v1?key=pass-word",
    "ftp://host",
    "http://",
    "http://[::",
    "http://a b",
]


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_holds_no_secret_and_an_error_does_not_show_it(url: str, tmp_path: Path) -> None:
    content = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text())
    block = REST | {"url": url}
    content["compose"] |= {"judge": "endpoint", "endpoint": block}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"params.yaml:\d+: compose\.endpoint\.url: ") as caught:
        params.load(tmp_path / "params.yaml")
    assert "pass-word" not in str(caught.value)


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
    nobody = EndpointJudge(settings("http://127.0.0.1:9/v1", tries=2), CATALOGUE, tmp_path)
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
    assert str(EndpointJudge(settings(server.url), other, tmp_path)) != first


def test_params_open_it(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = {"judge": "endpoint", "benchmarks": ["pairs"], "labelled": 1, "seed": 1}
    made = open_judge(
        Compose.model_validate(block | {"endpoint": REST | {"url": server.url}}),
        CATALOGUE,
        SOURCE,
    )
    assert made.labels([CHAINS[0], Chain(*CHAINS[1])]) == RULES[:2]
    assert set(CATALOGUE.first(16)) == set(PLANS)
    for wrong in (block, block | {"judge": "world", "endpoint": REST | {"url": server.url}}):
        with pytest.raises(ValidationError, match="give both or neither"):
            Compose.model_validate(wrong)
