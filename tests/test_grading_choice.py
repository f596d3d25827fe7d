"""Multiple choice: what counts as naming a choice, and what does not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polya_midtrain.errors import UserError
from polya_midtrain.grading import REASONS, choice, grade_many, pool, verify
from polya_midtrain.grading.choice import resolve
from polya_midtrain.grading.options import LETTERS

PEOPLE = ["Tom", "Ann Lee", "Sue"]
ROOMS = ["cooking station", "pantry", "pantry ", "the big pantry"]


def gold(answer: str, choices: list[str]) -> str:
    return json.dumps({"answer": answer, "choices": choices})


def reason(completion: str, answer: str = "B", choices: list[str] = PEOPLE) -> str:
    return verify(completion, gold(answer, choices), "choice").reason


RIGHT = [
    "ann has hat 1 4 6 \\boxed{ann lee}",
    "\\boxed{B}",
    "\\boxed{b}",
    "\\boxed{ (B) }",
    "\\boxed{2}",
    "\\boxed{\\text{Ann Lee}}",
    "\\boxed{\\textbf{B. Ann Lee}}",
    "\\boxed{Option 2}",
    "\\boxed{Ann  Lee.}",
    "\\boxed{Ann Lee (B)}",
    "first \\boxed{A}, but in the end \\boxed{B}",
    "ANSWER: 2",
    "So it goes.\nANSWER: B\n",
    "The answer is (B).",
    "**Final answer:** B) Ann Lee",
    "The correct choice is Ann Lee, as we saw.",
    "Answer: A\nNo, wait.\nAnswer: B",
    "Answer:\nB",
    "Tom was away.\nAnn Lee",
    "Tom was away.\nSo the murderer is Ann Lee.",
    "I choose option B.",
    "It is B",
    "B",
    "2",
]


@pytest.mark.parametrize("completion", RIGHT)
def test_letter_number_and_text_count(completion: str) -> None:
    assert reason(completion) == "right"
    assert reason(completion, "C") == "wrong"


@pytest.mark.parametrize(
    "completion",
    [
        "",
        " \n ",
        "nothing here",
        "\\boxed{A or B}",
        "\\boxed{A, B}",
        "\\boxed{Tom and Sue}",
        "\\boxed{A. Ann Lee}",  # the letter of one, the text of another
        "The answer is Tom or Sue.",
        "Tom has a key; Sue has a hat",  # a mention is no answer, and here are two
        "Tom had the key and was seen",  # cut off
        "A man came in",
        "Answer: none of them",
    ],
)
def test_several_or_none_is_no_answer(completion: str) -> None:
    found = verify(completion, gold("A", PEOPLE), "choice")
    assert (found.correct, found.extracted, found.reason) == (False, "", "no answer")


@pytest.mark.parametrize("boxed", ["bob", "none", "D", "7", "0", "$$"])
def test_a_boxed_answer_that_is_no_choice_is_wrong(boxed: str) -> None:
    found = verify(f"So \\boxed{{{boxed}}}", gold("A", PEOPLE), "choice")
    assert (found.reason, found.extracted) == ("wrong", boxed)


def test_choices_with_one_text_are_one_choice() -> None:
    assert reason("\\boxed{pantry}", "B", ROOMS) == reason("\\boxed{pantry}", "C", ROOMS) == "right"
    assert reason("\\boxed{C}", "B", ROOMS) == "right"
    assert reason("The answer is the big pantry.", "D", ROOMS) == "right"  # not "pantry", which stands in it
    assert reason("The answer is the pantry.", "D", ROOMS) == "wrong"


def test_numbers_and_letters_that_are_texts() -> None:
    numbers = ["3", "1", "2"]
    assert reason("\\boxed{1}", "B", numbers) == "right"  # the text, not the place
    assert reason("\\boxed{7}", "B", numbers) == "wrong"
    assert reason("\\boxed{B}", "B", numbers) == "right"
    assert reason("\\boxed{a}", "A", ["b", "a", "c"]) == "no answer"  # the letter of one and the text of another
    assert reason("\\boxed{c}", "C", ["b", "a", "c"]) == "right"
    assert reason("\\boxed{<=}", "B", ["<", "<="]) == "right"


WORDS = st.lists(st.text("abcdefgh", min_size=2, max_size=6), min_size=1, max_size=3).map(" ".join)
CHOICES = st.lists(WORDS, min_size=2, max_size=6, unique=True)


@given(choices=CHOICES, data=st.data())
def test_each_way_of_naming_a_choice_names_it(choices: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(choices) - 1))
    text, letter = choices[index], LETTERS[index]
    said = data.draw(st.sampled_from([text, text.upper(), letter, letter.lower(), str(index + 1), f"{letter}. {text}"]))
    dressed = data.draw(st.sampled_from(["{}", " {}. ", "({})", "\\text{{{}}}", "**{}**", "$\\mathrm{{{}}}$"]))
    assert resolve(dressed.format(said), tuple(choices)) == {index}
    shape = data.draw(st.sampled_from(["\\boxed{{{}}}", "ANSWER: {}", "so\nThe answer is {}", "so\n{}"]))
    completion = shape.format(dressed.format(said))
    for other, expected in enumerate(choices):
        wanted = "right" if other == index else "wrong"
        assert verify(completion, gold(LETTERS[other], choices), "choice").reason == wanted, expected


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from([*"AB12", "\\boxed{", "}", "answer", ":", "is", " ", "\n", "(", ")", *PEOPLE])).map(
        "".join
    )
)
def test_any_text_gets_a_verdict(text: str) -> None:
    found = verify(text, gold("B", PEOPLE), "choice")
    assert found.reason in REASONS
    assert found.correct == (found.reason == "right")
    assert (found.extracted == "") == (found.reason == "no answer")
    assert len(found.extracted) <= 200


@pytest.mark.parametrize(
    "piece",
    [
        "\\boxed{",
        "}",
        "answer ",
        "answer: ",
        "answer" + " " * 1000,
        "A",
        "(",
        " ",
        "_",
        "\n",
        "Tom ",
        "\\boxed{Tom ",
        "A or ",
    ],
)
def test_a_long_completion_costs_no_more(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    mark = choice.mark

    def counting(text: str, choices: tuple[str, ...]) -> str:
        looked_at.append(len(text))
        return mark(text, choices)

    monkeypatch.setattr(choice, "mark", counting)
    text = piece * (300_000 // len(piece))
    for completion in (text, f"\\boxed{{{text}}}", f"{text}\nANSWER: B"):
        found = verify(completion, gold("B", PEOPLE), "choice")
    assert found.reason == "right"
    assert 0 < max(looked_at) <= 10_001


def test_many_need_no_helper() -> None:
    pool.close_helpers()
    items = [(f"so {n} \\boxed{{{PEOPLE[n % 3]}}}", gold("A", PEOPLE), "choice") for n in range(600)]
    assert sum(verdict.correct for verdict in grade_many(items, workers=2)) == 200
    assert pool._HELPERS.all == []


@pytest.mark.parametrize(
    "broken",
    [
        "B",
        "[1, 2]",
        "{}",
        gold("D", PEOPLE),
        gold("", PEOPLE),
        gold("AB", PEOPLE),
        gold("A", []),
        gold("A", [""]),
        json.dumps({"answer": 1, "choices": PEOPLE}),
        json.dumps({"answer": "A", "choices": [1, 2]}),
    ],
)
def test_a_broken_gold_is_the_users_error(broken: str) -> None:
    with pytest.raises(UserError, match=r"of kind choice holds no answer and choices .*; correct column `answer`"):
        verify("\\boxed{A}", broken, "choice")
