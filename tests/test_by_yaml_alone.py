"""What anyone can add without code: a 65th heuristic, another model of the hub, another benchmark."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from polya_midtrain import params as settings
from polya_midtrain import paths, start
from polya_midtrain.checkpoints import policy
from polya_midtrain.engine import Output, SamplingParams, opening
from polya_midtrain.errors import UserError
from polya_midtrain.params import HubSet, OwnFile
from polya_midtrain.question_sets import own
from polya_midtrain.records import (
    Completion,
    Graded,
    Question,
    Scored,
    TrainingRow,
    extended,
    read_records,
    write_records,
)
from polya_midtrain.stages import generate, questions, select

ROOT = Path(__file__).resolve().parents[1]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
HEURISTIC = """
  - id: sixty_fifth
    name: Ask a stranger
    idea: "Someone else may see it."
    instruction: "Say first what a stranger would try."
    exemplars:
      - question: "A box holds 3 pens. How many pens do 2 boxes hold?"
        response: "A stranger would double it: 3 x 2 = 6. \\\\boxed{6}"
        answer: "6"
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project root with the committed profiles and catalogues; params.yaml is profile smollm2."""
    for name in ("profiles", "data/heuristics"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    shutil.copy("profiles/smollm2.yaml", "params.yaml")
    return tmp_path


def written(**blocks: Any) -> settings.Params:
    """params.yaml with some blocks or parts of them changed, read again."""
    content = yaml.safe_load(Path("params.yaml").read_text())
    for name, block in blocks.items():
        content[name] = content[name] | block if isinstance(block, dict) else block
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return settings.load()


class Letters:
    """A tokenizer and an engine in one: tokens are bytes, and every answer is 7."""

    chat_template = "bytes"

    def __init__(self) -> None:
        self.tokenizer, self.asked = self, list[str]()

    def apply_chat_template(self, turns: Sequence[dict[str, str]], **_: Any) -> list[int]:
        return list("\n".join(turn["content"] for turn in turns).encode())

    def generate(self, asked: Sequence[list[int]], sampling: SamplingParams, progress: Any) -> list[list[Output]]:
        self.asked += [bytes(prompt).decode() for prompt in asked]
        return [[Output("It is \\boxed{7}.", [1, 2], [-0.1, -0.1], "stop")] * sampling.n for _ in asked]

    def close(self) -> None:
        pass


def test_a_65th_heuristic(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Path("data/heuristics/mine.yaml")
    catalogue.write_text(Path("data/heuristics/polya.yaml").read_text().rstrip("\n") + HEURISTIC)
    params = written(
        machine={"workers": 1},
        prompts={"catalogue": str(catalogue)},
        generate={"heuristics": 65, "samples": 1, "unprompted": 1},
        arms={"n65": {"traces": "heuristics", "n": 65}},
    )
    assert start.main(["check"]) == 0
    engine = Letters()
    monkeypatch.setattr(opening, "open_engine", lambda *_: engine)
    asked = [Question("q0", "How many days has a week?", "7", "maths", "mine")]
    write_records(paths.MID, Question, asked)
    for folder in (paths.PROMPTS, paths.base(1)):
        folder.mkdir(parents=True)
    paths.MID_PROMPTS.write_text("[]")
    generate.run(params)
    (prompt,) = [prompt for prompt in engine.asked if "stranger" in prompt]
    assert prompt.startswith("Say first what a stranger would try.\nA box holds 3 pens.")
    assert prompt.endswith("Say first what a stranger would try.\nHow many days has a week?" + params.prompts.suffix)
    rows = read_records(paths.GENERATED, Completion)
    graded = {"correct": True, "extracted": "7", "reason": "right", "score": 1.0}
    write_records(paths.SCORED, Scored, [extended(row, Scored, **graded) for row in rows])
    write_records(paths.DISTILLED, Graded, [])
    select.run(params)
    learned = [row.heuristic for row in read_records(paths.TRAIN / "n65.parquet", TrainingRow)]
    assert len(learned) == 65
    assert learned[-1] == "sixty_fifth"


@pytest.fixture
def hub(tiny_policy: Path) -> Iterator[str]:
    """The address of a hub with one model, someone/small at `COMMIT`."""
    files = {file.name: file.read_bytes() for file in tiny_policy.iterdir()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_HEAD()

        def do_HEAD(self) -> None:
            path = self.path.partition("?")[0]
            headers = {"X-Repo-Commit": COMMIT}
            name = path.removeprefix(f"/someone/small/resolve/{COMMIT}/")
            if path.startswith("/api/models/someone/small/tree/"):
                listed = [{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in files.items()]
                data = json.dumps(listed).encode()
            elif path.startswith("/api/models/someone/small"):
                siblings = [{"rfilename": name} for name in files]
                data = json.dumps({"id": "someone/small", "sha": COMMIT, "siblings": siblings}).encode()
            elif name in files:
                data = files[name]
                headers["ETag"] = f'"{hashlib.sha256(data).hexdigest()}"'
            else:
                data = b"{}"
                headers["X-Error-Code"] = "RepoNotFound"
            self.send_response(404 if "X-Error-Code" in headers else 200)
            for key, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def with_base(endpoint: str, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`polya` in a process of its own, for the client reads the hub's address when it is imported."""
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["base"] = {"kind": "hub", "id": name, "revision": COMMIT}
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    line = "import sys; from polya_midtrain import cli; sys.exit(cli.execute(sys.argv[1:]))"
    command = [sys.executable, "-c", line, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_another_model_of_the_hub(hub: str, tiny_policy: Path) -> None:
    done = with_base(hub, "someone/small", "stage", "base")
    assert done.returncode == 0, done.stderr
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        assert (paths.base(1) / file).read_bytes() == (tiny_policy / file).read_bytes()
    model, tokenizer = policy.load(paths.base(1), "cpu")
    assert model.config.max_position_embeddings == 160
    assert tokenizer.chat_template
    unknown = with_base(hub, "someone/nobody", "stage", "base")
    assert unknown.returncode == 2
    assert unknown.stderr.splitlines()[-1].startswith("polya: params.yaml: the hub has no model 'someone/nobody'")
    gone = with_base("http://127.0.0.1:9", "someone/small", "stage", "base")  # nothing listens on the discard port
    assert gone.returncode == 2
    assert gone.stderr.splitlines()[-1].startswith("polya: params.yaml: cannot reach the hub for someone/small@")
    assert (paths.base(1) / "model.safetensors").exists(), "what was there stays"


def test_the_plan_of_another_model_of_the_hub(hub: str) -> None:
    done = with_base(hub, "someone/small", "plan")
    assert done.returncode == 0, done.stderr
    assert "not known: the size" not in done.stdout
    gone = with_base("http://127.0.0.1:9", "someone/small", "plan")
    assert gone.returncode == 0, gone.stderr
    assert "not known: the size of base (cannot reach the hub for someone/small@" in " ".join(gone.stdout.split())


# Benchmarks

ROWS = [{"problem": f"What is {n} + 1?", "gold": n + 1} for n in range(4)]


def file_of(rows: Sequence[dict[str, Any]], name: str) -> Path:
    """A file of rows in the form that its name says."""
    path = Path("my") / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


FIELDS = {"question": "problem", "answer": "gold"}


def spec_of(file: Path, **changes: Any) -> dict[str, Any]:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    known = {"source": "file", "path": str(file), "sha256": digest, **FIELDS}
    return known | changes


@pytest.mark.parametrize("name", ["mine.jsonl", "mine.csv", "mine.parquet"])
def test_another_benchmark_of_a_file(name: str) -> None:
    path = file_of(ROWS, name)
    world = {"source": "world", "task": "chain", "parts": [1], "pool": "seen", "count": 4}
    params = written(
        questions={
            "mid": world,
            "reward": world,
            "rl": world,
            "benchmarks": {"mine": spec_of(path, limit=3)},
            "transfer": {"story": world | {"task": "story"}},
        },
        compose={"benchmarks": ["mine"]},
    )
    assert start.main(["check"]) == 0
    questions.run(params)
    rows = read_records(paths.BENCHMARKS / "mine.parquet", Question)
    assert len(rows) == 3
    golds = {row["problem"]: str(row["gold"]) for row in ROWS}
    for row in rows:
        assert (row.answer, row.kind, row.source) == (golds[row.question], "maths", str(path))
        assert row.id.startswith(f"{path}:")
    summary = json.loads((paths.QUESTIONS / "summary.json").read_text())
    assert summary["benchmarks/mine"]["read"] == [{"file": str(path), "sha256": spec_of(path)["sha256"]}]


def test_another_benchmark_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's client reads a folder as it reads a repository."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    path = file_of(ROWS, "test.jsonl")
    spec = {
        "source": "hub",
        "id": str(path.parent.resolve()),
        "revision": COMMIT,
        "split": "test",
        **FIELDS,
    }
    found = own.load("questions.benchmarks.mine", HubSet.model_validate(spec))
    assert [(row.question, row.answer) for row in found] == [(row["problem"], str(row["gold"])) for row in ROWS]
    assert found[2].id == f"{spec['id']}/test:3"
    with pytest.raises(
        UserError, match=r"no-such-set: the hub cannot be read .*; check the network and questions\.rl\.id"
    ):
        own.load("questions.rl", HubSet.model_validate(spec | {"id": str(tmp_path / "no-such-set")}))


@pytest.mark.parametrize(
    ("rows", "changes", "words"),
    [
        (ROWS, {"path": "my/none.jsonl"}, "params.yaml: questions.rl: my/none.jsonl: no such file; correct path"),
        (ROWS, {"sha256": "0" * 64}, "my/mine.jsonl has another sha256 than params.yaml says; if it is meant, set "),
        (
            ROWS,
            {"answer": "solution"},
            "my/mine.jsonl:1: column 'solution' is missing or null (there are: problem, gold)",
        ),
        (
            [*ROWS, {"problem": "?", "gold": " "}],
            {},
            "my/mine.jsonl:5: column 'gold' is empty: a question without an an",
        ),
        ([*ROWS, {"problem": "?", "gold": None}], {}, "my/mine.jsonl:5: column 'gold' is missing or null"),
        (
            [*ROWS, {"problem": 3, "gold": 1}],
            {},
            "my/mine.jsonl:5: column 'problem' holds int, not text; correct the file",
        ),
    ],
)
def test_bad_files_are_one_line(rows: list[dict[str, Any]], changes: dict[str, Any], words: str) -> None:
    spec = OwnFile.model_validate(spec_of(file_of(rows, "mine.jsonl"), **changes))
    with pytest.raises(UserError) as caught:
        own.load("questions.rl", spec)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            FIELDS | {"source": "file", "path": "a.jsonl", "sha256": "1"},
            "give the file's sha256, 64 hexadecimal digits: `sha256sum",
        ),
        (
            FIELDS | {"source": "file", "path": "a.txt", "sha256": "0" * 64},
            "a.txt is no .jsonl, .jsonl.gz, .csv or .parquet file",
        ),
        (FIELDS | {"source": "file", "path": "a.jsonl"}, "sha256: missing; add it"),
        (
            FIELDS | {"source": "hub", "id": "a/b", "revision": "main", "split": "test"},
            "a branch or a tag can move; give the full hash of a commit",
        ),
    ],
)
def test_what_is_not_pinned_is_refused(spec: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["questions"]["benchmarks"]["mine"] = spec
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert start.main(["check"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("polya: params.yaml:")
    assert words in error
    assert error.count("\n") == 1


def test_an_answer_is_text_as_one_writes_it() -> None:
    assert [own.gold({"a": value}, "a") for value in (7, 7.0, 0.5, " x ")] == ["7", "7", "0.5", "x"]
    with pytest.raises(ValueError, match="holds bool, not text"):
        own.gold({"a": True}, "a")


def test_a_published_reward_model_needs_no_questions(capsys: pytest.CaptureFixture[str]) -> None:
    content = yaml.safe_load(Path("profiles/smoke.yaml").read_text())
    del content["questions"]["reward"]
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert start.main(["check"]) == 2
    assert "a reward model that is trained needs questions of its own; add questions.reward" in capsys.readouterr().err
    content["reward"] = {"kind": "hub", "id": "a/b", "revision": COMMIT}
    content["select"]["adherence"] = "none"  # a threshold takes pairs held out of a training here
    Path("params.yaml").write_text(yaml.safe_dump(content))
    questions.run(settings.load())
    assert read_records(paths.REWARD_QUESTIONS, Question) == []


def test_a_row_of_a_csv_file_is_named_by_its_line() -> None:
    path = file_of([{"problem": "two\nlines?", "gold": 1}, {"problem": "?", "gold": ""}], "mine.csv")
    with pytest.raises(UserError, match=r"^my/mine\.csv:4: column 'gold' is empty: a question without an answer"):
        own.load("questions.rl", OwnFile.model_validate(spec_of(path)))
