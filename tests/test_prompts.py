"""Prompts: what a conversation holds, and that what a model is trained on continues what it is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polya_midtrain.errors import UserError
from polya_midtrain.params import Prompts
from polya_midtrain.prompting import prompts
from polya_midtrain.prompting.heuristics import Catalogue, Exemplar, Heuristic
from polya_midtrain.world import tokenizer

ENCODER = tokenizer.build()


def exemplar(name: str) -> Exemplar:
    return Exemplar(question=f"{name} question", response=f"{name} response", answer="1")


CATALOGUE = Catalogue(
    plain=[exemplar("plain 1"), exemplar("plain 2")],
    heuristics=[
        Heuristic(
            id="draw", name="Draw", idea="See it.", instruction="Draw a figure.", exemplars=[exemplar("drawn 1")]
        ),
        Heuristic(id="guess", name="Guess", idea="Try.", instruction="Guess first.", exemplars=[]),
    ],
)


def config(**changes: Any) -> Prompts:
    rest = {"system": "", "suffix": "", "suffixes": {}, "shots": 0, "plain_shots": 0}
    return Prompts(**{"catalogue": "heuristics.yaml", **rest, **changes})


def test_a_bare_question_is_one_turn() -> None:
    assert prompts.bare("What?", config()) == [{"role": "user", "content": "What?"}]
    assert prompts.bare("What?", config(system="Be brief.", suffix="\nBox it.")) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What?\nBox it."},
    ]


def test_a_heuristic_leads_every_question_and_brings_its_own_examples() -> None:
    found = prompts.messages("What?", "draw", config(system="S", suffix="!", shots=4, plain_shots=2), CATALOGUE)
    assert found == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Draw a figure.\ndrawn 1 question!"},
        {"role": "assistant", "content": "drawn 1 response"},
        {"role": "user", "content": "Draw a figure.\nWhat?!"},
    ]


def test_without_a_heuristic_the_examples_are_plain_and_nothing_leads() -> None:
    found = prompts.messages("What?", "", config(shots=3, plain_shots=1), CATALOGUE)
    assert found == [
        {"role": "user", "content": "plain 1 question"},
        {"role": "assistant", "content": "plain 1 response"},
        {"role": "user", "content": "What?"},
    ]


@given(
    st.sampled_from(["", "draw", "guess"]),
    st.integers(min_value=0, max_value=3),
    st.integers(min_value=0, max_value=3),
    st.sampled_from(["", "S"]),
)
def test_turns_alternate_and_the_question_comes_last(name: str, shots: int, plain: int, system: str) -> None:
    settings = config(shots=shots, plain_shots=plain, system=system, suffix="?")
    turns = prompts.messages("Q", name, settings, CATALOGUE)
    roles = [turn["role"] for turn in turns if turn["role"] != "system"]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
    assert (turns[0]["role"] == "system") is bool(system)
    assert turns[-1]["content"].endswith("Q?")
    if not (name or plain):
        assert turns == prompts.bare("Q", settings)


def test_no_heuristic_and_no_other_way_of_asking_shows_in_the_bare_question() -> None:
    bare = prompts.bare("What?", config(suffix="!", shots=2, plain_shots=2))
    assert bare == [{"role": "user", "content": "What?!"}]


def test_what_is_trained_on_continues_what_is_asked() -> None:
    """A prompt and a response together are the tokens of the whole conversation, to the end token."""
    response = " jar reduce 3-5=8 8+2=0:80 \\boxed{80}"
    for turns in (
        [{"role": "user", "content": "by reduce:\njar 3 5 2"}],
        prompts.messages("rod 1 4 6", "", config(plain_shots=1), CATALOGUE),
    ):
        whole = ENCODER.apply_chat_template(
            [*turns, {"role": "assistant", "content": response}], tokenize=True, return_dict=False
        )
        assert prompts.encode(ENCODER, turns) + prompts.encode_response(ENCODER, response) == list(whole)


def test_a_response_ends_with_one_end_token_and_has_no_other_special_ones() -> None:
    ids = prompts.encode_response(ENCODER, " jar forward 3+5=8 8+2=0:80 \\boxed{80}")
    assert ids[-1] == ENCODER.eos_token_id
    assert not set(ids[:-1]) & set(ENCODER.all_special_ids)


def test_the_day_does_not_change_a_prompt() -> None:
    """Llama-3.2's template writes the date that it is given, else the clock's."""
    dated = tokenizer.build()
    dated.chat_template = (
        "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
        "{{ date_string }}: {{ messages[0]['content'] }}"
    )
    expected = dated(f"{prompts.DATE}: What?", add_special_tokens=False)["input_ids"]
    assert prompts.encode(dated, prompts.bare("What?", config())) == expected
    undated = ENCODER.apply_chat_template(
        prompts.bare("jar 1 2", config()), add_generation_prompt=True, tokenize=True, return_dict=False
    )
    assert prompts.encode(ENCODER, prompts.bare("jar 1 2", config())) == list(undated)


def test_a_model_without_a_chat_template_is_refused_in_one_line() -> None:
    plain = tokenizer.build()
    plain.chat_template = None
    plain.name_or_path = "models/base"
    with pytest.raises(UserError) as caught:
        prompts.encode(plain, prompts.bare("What?", config()))
    assert str(caught.value) == ("models/base: the tokenizer has no chat template; choose an instruction-tuned model")


def test_a_kind_of_question_may_have_a_suffix_of_its_own() -> None:
    settings = config(suffix=" Box it.", suffixes={"code": " Write code."})
    assert prompts.bare("Q", settings, "code")[-1]["content"] == "Q Write code."
    assert prompts.bare("Q", settings, "choice") == prompts.bare("Q", settings) == prompts.bare("Q", settings, "maths")
    contents = [turn["content"] for turn in prompts.messages("Q", "draw", config(suffixes={"code": "!"}), CATALOGUE)]
    assert not any(content.endswith("!") for content in contents)
    with pytest.raises(ValueError, match="suffixes"):
        config(suffixes={"poem": "!"})
