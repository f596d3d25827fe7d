"""The labelled chains: that they are what their file says, and `polya judge`, which measures on them."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from polya_midtrain import grading, start
from polya_midtrain.errors import UserError
from polya_midtrain.labellers import agreement, labelled, validate
from polya_midtrain.labellers.cues import CueJudge
from polya_midtrain.labellers.labelled import Entry, LabelledFile
from polya_midtrain.params import yamlfile
from polya_midtrain.prompting import heuristics
from polya_midtrain.question_sets import decontaminate, load
from polya_midtrain.records import Question

ROOT = Path(__file__).resolve().parents[1]
FILE = Path("data/judges/labelled.yaml")
CATALOGUE = heuristics.load(ROOT / "data/heuristics/polya.yaml")
NAMES = CATALOGUE.first(64)
CHAINS: list[Entry] = yamlfile.load(ROOT / FILE, LabelledFile).chains
USED = Counter(name for chain in CHAINS for name in chain.used)
SENTENCE_END = re.compile(r"[.?!](?=\s|$)")
SUM = re.compile(r"(?<![\w.])(\d[\d +*/-]* [-+*/] \d+) = (\d+)(?!\w)")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project root with the labelled chains, the catalogues and the profiles, and prose for judge cues to read."""
    for name in ("profiles", "data/heuristics", "data/judges"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "profiles/smollm2.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_set_is_as_large_and_as_mixed_as_it_says() -> None:
    assert Counter(len(chain.used) for chain in CHAINS) == {0: 6, 1: 24, 2: 22, 3: 8}
    assert sum(not chain.right for chain in CHAINS) == 12
    assert len(USED) >= 50
    assert all(USED[name] >= 2 for name in NAMES[:16])
    assert len({chain.question for chain in CHAINS}) == len({chain.response for chain in CHAINS}) == 60


def test_right_answers_are_right_and_wrong_ones_wrong() -> None:
    verdicts = grading.grade_many([(chain.response, chain.answer, "maths") for chain in CHAINS], 1)
    assert {chain.id: verdict.correct for chain, verdict in zip(CHAINS, verdicts, strict=True)} == {
        chain.id: chain.right for chain in CHAINS
    }


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain.id)
def test_a_chain_has_a_few_sentences_and_its_answer_last(chain: Entry) -> None:
    assert 2 <= len(SENTENCE_END.findall(chain.response)) <= 8
    assert re.search(r" The answer is \\boxed\{\d+\}\.$", chain.response)
    assert len(SENTENCE_END.findall(chain.why)) <= 2
    assert "\n" not in chain.why
    if chain.right:
        for calculation, result in SUM.findall(chain.response):
            assert eval(calculation) == int(result)


def test_sums_are_found_where_they_are_written_out() -> None:
    assert sum(bool(SUM.search(chain.response)) for chain in CHAINS) > 50


def test_questions_are_in_no_catalogue_and_in_neither_half_of_gsm8k(public_sets: Path) -> None:
    ours = [Question(chain.id, chain.question, chain.answer, "maths", "") for chain in CHAINS]
    examples = [*CATALOGUE.plain, *(example for entry in CATALOGUE.heuristics for example in entry.exemplars)]
    known = {split: load.load("gsm8k", split, public_sets) for split in ("train", "test")}
    known["catalogue"] = [Question("", example.question, example.answer, "maths", "") for example in examples]
    assert decontaminate.overlaps(ours, known, words=10) == {}


def test_phrases_neither_find_all_nor_only_what_is_used() -> None:
    judge = CueJudge({entry.id: entry.cues for entry in CATALOGUE.heuristics})
    chains = labelled.load(FILE)
    hits, false, missed = agreement.total(validate.measure(judge, chains, NAMES)["heuristics"].values())
    assert hits > 30
    assert false > 9
    assert missed > 30
    found = judge.labels([item.chain for item in chains])
    wordless = [item for item, labels in zip(chains, found, strict=True) if item.used and not item.used & labels]
    assert 18 <= len(wordless) <= 25  # about a third
    assert sum(bool(labels - item.used) for item, labels in zip(chains, found, strict=True)) >= 10


def test_the_loader_gives_what_judges_are_measured_on() -> None:
    found = labelled.load(FILE)
    assert [(item.chain.question, item.chain.response) for item in found] == [
        (chain.question, chain.response) for chain in CHAINS
    ]
    assert [item.used for item in found] == [frozenset(chain.used) for chain in CHAINS]


GOOD = """\
# lines count from the file's start
catalogue: data/heuristics/polya.yaml
chains:
  - id: one
    question: 1 + 1?
    response: It is \\boxed{2}.
    answer: "2"
    used: [restate, table]
    why: Says so.
  - id: two
    question: 1 + 2?
    response: It is \\boxed{2}.
    answer: "3"
    right: false
    used: []
    why: Nothing.
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (
            "restate, table",
            "restate, tabel",
            8,
            "chains.0.used.1: no heuristic 'tabel' in data/heuristics/polya.yaml",
        ),
        ("restate, table", "table, table", 8, "chains.0.used.1: 'table' is there twice; remove one"),
        ("id: two", "id: one", 10, "chains.1.id: 'one' is there twice; rename one"),
        ("id: two", "id: Chain 2", 10, "chains.1.id: "),
        ("    used: []\n", "", 10, "chains.1.used: missing; add it"),
        ("used: []", "uses: []", 15, "chains.1.uses: no such setting; correct its name or remove it"),
        ("right: false", "right: perhaps", 14, "chains.1.right: "),
        ('answer: "3"', "answer: 3", 13, "chains.1.answer: "),
        ("why: Nothing.", "why: ''", 16, "chains.1.why: "),
        (GOOD.partition("chains:")[2], " []\n", 3, "chains: "),
        ("catalogue: data/heuristics/polya.yaml\n", "", 2, "catalogue: missing; add it"),
        ("chains:", "chains", 4, "not valid YAML"),
    ],
)
def test_a_fault_is_one_line_that_says_where(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    assert [sorted(item.used) for item in labelled.load(path)] == [["restate", "table"], []]
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(UserError) as caught:
        labelled.load(path)
    message = str(caught.value)
    assert "\n" not in message
    place, said = message.removeprefix(f"{path}:").split(": ", 1)
    assert (int(place), said[: len(words)]) == (line, words)


def test_a_missing_file_or_catalogue_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^absent.yaml: no such file; "):
        labelled.load(Path("absent.yaml"))
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace("polya.yaml", "pola.yaml"))
    with pytest.raises(UserError, match=r"^data/heuristics/pola.yaml: no such file; "):
        labelled.load(path)


def test_shares_and_f1_have_wilsons_interval() -> None:
    assert agreement.total([[1, 2, 3], [10, 0, 1]]) == (11, 2, 4)

    # Wilson (1927) by hand: 45 of 50 at 95%
    assert agreement.share(45, 50) == pytest.approx((0.9, 0.78640, 0.95652), abs=1e-5)
    assert agreement.share(0, 0) is None
    f1 = agreement.f1(11, 2, 4)
    jaccard = agreement.share(11, 17)
    assert f1 is not None
    assert jaccard is not None
    assert f1.value == pytest.approx(2 * 11 / (2 * 11 + 2 + 4))
    assert f1.low / (2 - f1.low) == pytest.approx(jaccard.low)
    assert f1.high / (2 - f1.high) == pytest.approx(jaccard.high)
    assert agreement.f1(0, 0, 0) is None


@pytest.mark.parametrize(
    ("composed", "expected"),
    [  # statsmodels 0.15, inter_rater.cohens_kappa; it does not cut at 1
        ([12, 3, 18, 27], (0.3, 0.090963, 0.509037)),
        ([5, 0, 1, 20], (0.884956, 0.665320, 1)),
        ([3, 9, 2, 4], (-0.064516, -0.414955, 0.285923)),
        ([10, 0, 0, 5], (1, 1, 1)),
    ],
)
def test_kappa_is_that_of_others(composed: list[int], expected: tuple[float, float, float]) -> None:
    from sklearn.metrics import cohen_kappa_score

    kinds = list(zip(composed, [(1, 1), (0, 1), (1, 0), (0, 0)], strict=True))
    label, judge = ([pair[side] for count, pair in kinds for _ in range(count)] for side in (0, 1))
    found = agreement.kappa(composed)
    assert found == pytest.approx(expected, abs=1e-6)
    assert found is not None
    assert found.value == pytest.approx(cohen_kappa_score(label, judge))


def test_kappa_of_those_who_always_say_the_same_is_none() -> None:
    assert agreement.kappa([0, 0, 0, 7]) is None
    assert agreement.kappa([7, 0, 0, 0]) is None
    assert agreement.kappa([0, 0, 7, 0]) == (0, 0, 0)


def lines(capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    assert start.main(["judge", *options]) == 0
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert start.main(["judge", *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def reset(**compose: Any) -> None:
    """Change block compose of params.yaml."""
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["compose"] |= compose
    Path("params.yaml").write_text(yaml.safe_dump(content))


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*")}


def test_the_command_measures_judge_cues_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = files()
    shown = lines(capsys)
    assert files() == before
    assert shown[0] == f"Judge cues on 60 chains of {FILE}, 64 heuristics of data/heuristics/polya.yaml"
    judge = CueJudge({entry.id: entry.cues for entry in CATALOGUE.heuristics})
    found = validate.measure(judge, labelled.load(FILE), NAMES)
    hits, false, missed = agreement.total(found["heuristics"].values())
    precision, kappa = agreement.share(hits, hits + false), agreement.kappa(found["composed"])
    assert precision is not None
    assert kappa is not None
    interval = f"{precision.value:.2f} [{precision.low:.2f}, {precision.high:.2f}]"
    assert f"precision {interval} {hits} of {hits + false} found" in shown
    assert any(line.startswith(f"recall {hits / (hits + missed):.2f} [") for line in shown)
    assert any(line.endswith(f"{hits} hits, {false} false, {missed} missed") for line in shown)
    assert any(line.startswith(f"kappa of that {kappa.value:.2f} [") for line in shown)
    assert not any(line.startswith("heuristic ") for line in shown)
    more = lines(capsys, "--each")
    assert set(shown) < set(more)
    for name in ("backward", "pairing"):
        assert " ".join([name, *map(str, found["heuristics"][name])]) in more
    assert not any(line.startswith("plausible ") for line in more), "neither used nor found"


def test_a_profiles_judge_is_measured_without_making_it_params(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("profiles/tiny.yaml", "params.yaml")
    assert lines(capsys, "--profile", "smollm2")[0].startswith("Judge cues on 60 chains")
    assert "no profile 'huge' in profiles/; the profiles are discovers, map, paper" in refused(
        capsys, "--profile", "huge"
    )


def test_a_judge_that_says_the_labels_is_perfect_and_keeps_its_replies(
    capsys: pytest.CaptureFixture[str], model_server: Any
) -> None:
    known = labelled.load(FILE)
    model_server.learn([item.chain for item in known], [item.used for item in known])
    reset(
        judge="endpoint",
        endpoint={
            "url": model_server.url,
            "model": "m",
            "temperature": 0.0,
            "max_tokens": 256,
            "timeout": 60.0,
            "tries": 6,
            "parallel": 8,
        },
    )
    shown = lines(capsys)
    given = USED.total()
    assert shown[0].startswith("Judge m (temperature 0, prompt ")
    assert any(line.startswith("precision 1.00 [0.9") for line in shown)
    assert any(line.endswith(f"{given} of {given} used") for line in shown)
    assert "kappa of that 1.00 [1.00, 1.00] apart: 0 judge alone, 0 label alone" in shown
    assert len(model_server.requests) == 60
    assert lines(capsys) == shown
    assert len(model_server.requests) == 60, "the second time nothing is asked"


def test_a_judge_that_finds_nothing_has_no_precision(capsys: pytest.CaptureFixture[str], model_server: Any) -> None:
    known = labelled.load(FILE)
    model_server.learn([item.chain for item in known], [[]] * 60)
    reset(
        judge="endpoint",
        endpoint={
            "url": model_server.url,
            "model": "m",
            "temperature": 0.0,
            "max_tokens": 256,
            "timeout": 60.0,
            "tries": 6,
            "parallel": 8,
        },
    )
    shown = lines(capsys, "--each")
    assert "precision - - 0 of 0 found" in shown
    assert any(line.startswith("recall 0.00 [0.00, 0.0") for line in shown)


def smaller(path: Path, names: Sequence[str]) -> None:
    """The catalogue with these heuristics alone, which params.yaml then names."""
    content = yaml.safe_load(Path("data/heuristics/polya.yaml").read_text(encoding="utf-8"))
    content["heuristics"] = [entry for entry in content["heuristics"] if entry["id"] in names]
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    settings = yaml.safe_load(Path("params.yaml").read_text())
    settings["prompts"]["catalogue"] = str(path)
    Path("params.yaml").write_text(yaml.safe_dump(settings))


def test_labels_that_the_catalogue_lacks_are_left_out_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    smaller(Path("few.yaml"), NAMES[:4])
    shown = lines(capsys)
    kept = sum(USED[name] for name in NAMES[:4])
    assert shown[0].endswith("60 chains of data/judges/labelled.yaml, 4 heuristics of few.yaml")
    assert shown[1].startswith(f"{USED.total() - kept} labels are of heuristics that this catalogue lacks")
    assert any(f" of {kept} used" in line for line in shown)


def test_a_catalogue_with_none_of_the_labels_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    smaller(Path("other.yaml"), ["plausible"])
    assert "params.yaml: prompts.catalogue: other.yaml has none of the heuristics in" in refused(capsys)


def test_judge_world_reads_no_prose(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("profiles/tiny.yaml", "params.yaml")
    said = refused(capsys)
    assert said.startswith(
        "polya: params.yaml: compose.judge: judge world reads the embedded world's operations and no"
    )
    assert "set it to cues or endpoint" in said
    assert "profiles/tiny.yaml: compose.judge: " in refused(capsys, "--profile", "tiny")


def test_other_chains_are_measured_on_and_their_faults_said(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text(GOOD)
    assert lines(capsys, "--labelled", "mine.yaml")[0].startswith("Judge cues on 2 chains of mine.yaml, ")
    Path("mine.yaml").write_text(GOOD.replace("restate", "restat"))
    assert "mine.yaml:8: chains.0.used.0: no heuristic 'restat'" in refused(capsys, "--labelled", "mine.yaml")
