"""Fixtures that several test files share."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from devices import EACH
from polya_midtrain.errors import UserError
from polya_midtrain.labellers.contract import Chain
from polya_midtrain.runtime import mlflow_store
from polya_midtrain.world import problems, tokenizer
from polya_midtrain.world.families import PLANS

# No verdict depends on how fast this machine is.
settings.register_profile("polya", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("polya")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several processes a file's tests stay in one, and so do all that look at the study of tests/stages, which
    takes a minute to make and would otherwise be made in each."""
    if not config.pluginmanager.hasplugin("xdist"):
        return  # as in the environment of `make test-vllm`
    for item in items:
        group = "study" if "study" in getattr(item, "fixturenames", ()) else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        from polya_midtrain.checkpoints import policy

        try:
            policy.device_of("cuda")
        except UserError as error:  # torch sees no GPU, or the driver is too old
            pytest.skip(str(error))


@pytest.fixture(scope="session", params=EACH)
def device(request: pytest.FixtureRequest) -> str:
    """cpu, and in `make test-gpu` cuda."""
    return str(request.param)


ROOT = Path(__file__).resolve().parents[1]
REWRITTEN = ("params.yaml", "dvc.lock", "results/", "reports/")  # by a run, and committed


def git(*arguments: str) -> bytes:
    """What git says of this repository; a test that asks is skipped where there is none."""
    program = shutil.which("git")
    if program is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    return subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, check=True).stdout


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything as git has it in its last commit, to be read only."""
    folder = tmp_path_factory.mktemp("head")
    with tarfile.open(fileobj=io.BytesIO(git("archive", "HEAD"))) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="session")
def committed(request: pytest.FixtureRequest) -> Path:
    """The project with the run that is committed, to be read only: another may have run here.

    In a downloaded archive it is the project's own folder, until `make repro` was there.
    """
    config = ROOT / ".dvc/config.local"
    if (ROOT / ".git").exists():
        folder: Path = request.getfixturevalue("head")
    elif config.exists() and "no_scm" in config.read_text():
        pytest.skip("a study has run here, and there is no git that has the committed one")
    else:
        folder = ROOT
    if not (folder / "dvc.lock").exists():
        pytest.skip("a checkout without a run")
    return folder


@pytest.fixture(scope="session")
def repository_files(head: Path) -> dict[str, Path]:
    """What is, or with the next commit will be, in the repository: the committed run, and the rest as it is here."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").decode().split("\0")
    found = {name: ROOT / name for name in listed if not name.startswith(REWRITTEN) and (ROOT / name).is_file()}
    names = (path.relative_to(head).as_posix() for path in head.rglob("*") if path.is_file())
    return found | {name: head / name for name in names if name.startswith(REWRITTEN)}


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, made once: that takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    before = Path.cwd()
    os.chdir(folder)
    try:
        mlflow_store.connect()
    finally:
        os.chdir(before)
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def public_sets() -> Path:
    """The folder of the published data sets: POLYA_DATA, else a folder shared/data beside the repository."""
    beside = ROOT.parent / "shared" / "data"
    folder = Path(os.environ.get("POLYA_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"no public data sets: POLYA_DATA names no folder and {beside} does not exist")
    return folder


def tiny_llama(key_heads: int = 2, seed: int = 1) -> Any:
    """A random Llama over the embedded world's vocabulary, its logits spread enough for ties never to decide."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    encoder = tokenizer.build()
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(encoder),
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=key_heads,
            max_position_embeddings=160,
            tie_word_embeddings=True,
            initializer_range=0.25,
            pad_token_id=encoder.pad_token_id,
            bos_token_id=None,
            eos_token_id=encoder.eos_token_id,
        )
    )
    return model.eval()


@pytest.fixture(scope="session", params=[4, 2], ids=["heads", "grouped-heads"])
def tiny_checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random model with its tokenizer; with a key head per query head, and with shared ones."""
    folder = tmp_path_factory.mktemp("tiny") / f"key-heads-{request.param}"
    tiny_llama(request.param).save_pretrained(folder)
    tokenizer.build().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that knows the form of an answer and no mathematics.

    It names a plan, works one operation and boxes 11 or 22: a test whose golds are these two has right and wrong
    answers, traces that follow their heuristic and others that stray, after a second of training.
    """
    import torch

    model, encoder = tiny_llama().train(), tokenizer.build()
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    rng = random.Random(1)
    for _ in range(120):
        texts = []
        for _ in range(24):
            named, used = rng.choice(list(PLANS)), rng.choice(list(PLANS))
            lead = rng.choice([f"by {named}: ", ""])
            used = named if lead and rng.random() < 0.6 else used
            problem, answer = problems.sample(rng, 1), rng.choice(["11", "22"])
            response = f" {problem[0].word} {used} {problem[0].digits[0]}+1=2:{answer} \\boxed{{{answer}}}"
            texts.append(
                f"{tokenizer.QUESTION} {lead}{problems.text(problem)}{tokenizer.ANSWER}{response}{tokenizer.END}"
            )
        batch = encoder(texts, padding=True, return_tensors="pt")
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    folder = tmp_path_factory.mktemp("policy") / "base"
    model.eval().save_pretrained(folder)
    encoder.save_pretrained(folder)
    return folder


Reply = tuple[int, Any, dict[str, str]]  # status, content, headers


class ModelServer:
    """An endpoint on this machine whose model knows the labels of some chains.

    ``faults`` (replies, or seconds to be late) come first, one a request; ``always`` stands in for the model.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.faults: list[Reply | float] = []
        self.always: Callable[[dict[str, Any]], Reply] | None = None
        self._known: dict[str, list[str]] = {}
        lock, server = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    server.requests.append(body | {"path": self.path})
                    server.headers.append(dict(self.headers))
                    fault = server.faults.pop(0) if server.faults else None
                if isinstance(fault, float):
                    time.sleep(fault)
                    fault = None
                status, content, headers = fault or (server.always or server.reply)(body)
                data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # a client that has given up waiting

        self.http = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def learn(self, chains: Sequence[Chain], labels: Sequence[Collection[str]]) -> None:
        """Label these chains so from now on."""
        for chain, used in zip(chains, labels, strict=True):
            self._known[f"Question:\n{chain.question}\n\nSolution:\n{chain.response}"] = sorted(used)

    def reply(self, body: dict[str, Any]) -> Reply:
        """What the model says of the chain in a request."""
        labels = self._known[body["messages"][1]["content"]]
        return 200, {"choices": [{"message": {"content": json.dumps({"heuristics": labels})}}]}, {}


@pytest.fixture
def model_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A server for judge endpoint, which does not wait long between its tries."""
    from polya_midtrain.labellers import endpoint

    monkeypatch.setattr(endpoint, "FIRST_WAIT", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    made = ModelServer()
    yield made
    made.http.shutdown()
    made.http.server_close()
