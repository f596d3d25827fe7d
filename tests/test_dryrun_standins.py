"""The stand-ins of a dry run: their form, what they learn, and the server in place of the hub and the judge."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from polya_midtrain.common import heuristics, policy, prompts
from polya_midtrain.common.records import Question
from polya_midtrain.dryrun import lessons, models, standins, tokenizer
from polya_midtrain.dryrun.loopback import Loopback, serving
from polya_midtrain.embeddings import hub as embeddings
from polya_midtrain.grading import grade_many
from polya_midtrain.grading.verdict import NO_ANSWER
from polya_midtrain.judges.contract import Chain
from polya_midtrain.judges.cues import CueJudge
from polya_midtrain.judges.endpoint import EndpointJudge
from polya_midtrain.params import Endpoint, HubEmbedding, Machine, Prompts
from polya_midtrain.pretrained import hub
from polya_midtrain.reward_model import RewardModel

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "data/heuristics/polya.yaml"
CATALOGUE = heuristics.load(SOURCE)
SETTINGS = Prompts(
    catalogue=SOURCE, system="", suffix="\nPut the final answer in \\boxed{}.", suffixes={}, shots=2, plain_shots=2
)
PROGRAM = {"prefix": "def f(x):\n", "tests": "def check(f):\n    assert f(1) == 2\n", "entry": "f"}
SETS = {
    "mid": [
        Question(f"mid/{n}", f"Ada has {n} pears and eats one. How many?", str(n - 1), "maths", "x") for n in (5, 9)
    ],
    "reward": [Question("reward/1", "How many legs have 3 cats?", "12", "maths", "x")],
    "benchmarks/b": [Question("b/1", "What is 7 + 8?", "15", "maths", "x")],
    "transfer/code": [Question("c/1", PROGRAM["prefix"], json.dumps(PROGRAM), "code", "x")],
    "transfer/story": [
        Question("s/1", "Who? A. Ann\nB. Bo", json.dumps({"answer": "B", "choices": ["Ann", "Bo"]}), "choice", "x")
    ],
}
NAMES = CATALOGUE.first(2)
REVISION = "a" * 40


@pytest.fixture(scope="module")
def encoder() -> Any:
    return tokenizer.build(models.texts(SETS, CATALOGUE))


@pytest.fixture(scope="module")
def snapshots(encoder: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """A stand-in of each kind; the policy has seen two batches."""
    folder = tmp_path_factory.mktemp("standins")
    taught = lessons.of_base(SETS, SETTINGS, CATALOGUE, NAMES, encoder, 0.5)
    standins.policy(taught, encoder, 2, 1, folder / "policy", lambda done, total: None)
    standins.scorer(encoder, 1, folder / "scorer")
    standins.encoder(encoder, 1, folder / "encoder")
    return {(f"stand-in/{path.name}", REVISION): path for path in folder.iterdir()}


def test_the_tokenizer_has_llama_s_form_and_writes_anything(encoder: Any) -> None:
    assert len(encoder) <= tokenizer.SIZE
    assert (encoder.bos_token, encoder.eos_token, encoder.pad_token) == ("<|begin_of_text|>", "<|eot_id|>", None)
    text = "  x² ≠ 1,234.5 \\boxed{−7}\n\té中"
    assert encoder.decode(encoder(text, add_special_tokens=False)["input_ids"]) == text
    assert encoder(text)["input_ids"][0] == encoder.bos_token_id
    turns = prompts.messages("How many?", NAMES[0], SETTINGS, CATALOGUE)
    ids = prompts.encode(encoder, turns)
    shown = encoder.decode(ids)
    assert ids.count(encoder.bos_token_id) == 1
    assert prompts.DATE in shown
    assert shown.count("<|start_header_id|>user<|end_header_id|>\n\n") == 3  # two worked examples, and the question
    assert shown.endswith("\\boxed{}.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n")
    assert tokenizer.build(models.texts(SETS, CATALOGUE)).get_vocab() == encoder.get_vocab()


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_lessons_hold_answers_that_the_graders_take_for_right_or_wrong(encoder: Any, right: float) -> None:
    taught = lessons.of_base(SETS, SETTINGS, CATALOGUE, NAMES, encoder, right)
    rng, seen = random.Random(1), set()
    for rows in SETS.values():
        for row in rows:
            asked = lessons.Asked(row, CATALOGUE.get(NAMES[0]), [])
            (verdict,) = grade_many([(taught.answer(asked, rng), row.answer, row.kind)], 1)
            assert verdict.reason != NO_ANSWER
            assert row.kind == "code" or verdict.correct is bool(right)
            seen.add(row.kind)
    assert seen == {"maths", "code", "choice"}
    cues = CueJudge({entry.id: entry.cues for entry in CATALOGUE.heuristics})
    answer = taught.answer(lessons.Asked(SETS["mid"][0], CATALOGUE.get(NAMES[1]), []), rng)
    assert NAMES[1] in cues.labels([Chain("", answer)])[0]


@pytest.mark.parametrize("reward", [True, False], ids=["trained reward model", "published one"])
def test_every_question_is_taught_as_the_stages_will_ask_it(encoder: Any, reward: bool) -> None:
    sets = {name: rows for name, rows in SETS.items() if reward or name != "reward"}
    taught = lessons.of_base(sets, SETTINGS, CATALOGUE, NAMES, encoder, 1.0)
    rng = random.Random(1)
    drawn = {tuple(taught.draw(rng)[0]) for _ in range(800)}
    bare = [prompts.bare(row.question, SETTINGS) for rows in sets.values() for row in rows]
    worked = [
        prompts.messages(row.question, name, SETTINGS, CATALOGUE)
        for row in (*sets["mid"], *sets.get("reward", []))
        for name in ("", *NAMES)
    ]
    assert drawn == {tuple(prompts.encode(encoder, turns)) for turns in (*bare, *worked)}
    teacher = lessons.of_teacher(sets, SETTINGS, CATALOGUE, encoder, 1.0)
    plain = [prompts.messages(row.question, "", SETTINGS, CATALOGUE) for row in sets["mid"]]
    assert {tuple(teacher.draw(rng)[0]) for _ in range(50)} == {tuple(prompts.encode(encoder, t)) for t in plain}


def test_checkpoints_have_the_files_and_the_form_of_the_hub_s(snapshots: dict[tuple[str, str], Path]) -> None:
    folder = snapshots["stand-in/policy", REVISION]
    written = json.loads((folder / "config.json").read_text())
    assert written["architectures"] == ["LlamaForCausalLM"]
    assert (written["rope_scaling"]["rope_type"], written["rope_theta"]) == ("llama3", 500000.0)
    assert (written["torch_dtype"], len(written["eos_token_id"])) == ("bfloat16", 3)
    assert written["num_key_value_heads"] < written["num_attention_heads"]
    model, _ = policy.load(folder, "cpu")
    assert model.config.rope_parameters["factor"] == 32.0
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_a_reward_model_without_a_padding_token_scores_a_batch_as_each_by_itself(
    snapshots: dict[tuple[str, str], Path],
) -> None:
    folder = snapshots["stand-in/scorer", REVISION]
    items = [(CATALOGUE.heuristics[0], "How many?", "one " * count) for count in (1, 4, 20)]
    alone = RewardModel.load(folder, Machine(device="cpu"), 1).scores(items)
    assert len(set(alone)) == 3
    assert RewardModel.load(folder, Machine(device="cpu"), 3).scores(items) == pytest.approx(alone, abs=2e-6)


DOWNLOAD = """
import sys
from pathlib import Path
from polya_midtrain.errors import UserError
from polya_midtrain.pretrained import hub
asked = {"got": ("stand-in/policy", "a" * 40), "x": ("stand-in/policy", "b" * 40), "y": ("stand-in/none", "a" * 40)}
for folder, (name, revision) in asked.items():
    try:
        hub.chat_model(name, revision, Path(sys.argv[1]) / folder)
    except UserError as error:
        print(error)
"""


def test_the_hub_s_own_client_downloads_from_the_server(
    snapshots: dict[tuple[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own: the client reads the hub's address when it is imported."""
    content = Loopback(CATALOGUE)
    content.snapshots = snapshots
    command = [sys.executable, "-c", DOWNLOAD, str(tmp_path)]
    with serving(content) as url:
        environment = os.environ | {"HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert f"stand-in/policy has no revision {'b' * 40!r}" in first
    assert "the hub has no model 'stand-in/none'" in second
    source = snapshots["stand-in/policy", REVISION]
    assert {path.name: path.read_bytes() for path in (tmp_path / "got").iterdir()} == {
        path.name: path.read_bytes() for path in source.iterdir()
    }
    # ... and the embedding's stand-in is one that stage diversity can read.
    embedding = HubEmbedding(kind="hub", id="stand-in/encoder", revision=REVISION)
    monkeypatch.setattr(hub, "snapshot", lambda *_: None)
    vectors = embeddings.embed(["one", "two three"], embedding, "cpu", snapshots["stand-in/encoder", REVISION])
    assert [found.shape for found in vectors.values()] == [(2, standins.HIDDEN)]


def test_the_judge_behind_an_endpoint_gets_the_labels_of_cues(tmp_path: Path) -> None:
    chains = [Chain("Q", f"{entry.cues[0]}. 1 + 1 = 2") for entry in CATALOGUE.heuristics] + [Chain("Q", "Hm.")]
    with serving(Loopback(CATALOGUE)) as url:
        judge = EndpointJudge(
            Endpoint(url=f"{url}/v1", model="m", temperature=0.0, max_tokens=256, timeout=60.0, tries=1, parallel=8),
            CATALOGUE,
            tmp_path,
        )
        found = judge.labels(chains)
    assert found == CueJudge({entry.id: entry.cues for entry in CATALOGUE.heuristics}).labels(chains)
    assert not found[-1]
    assert all(found[:-1])
