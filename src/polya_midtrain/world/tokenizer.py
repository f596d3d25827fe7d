"""The embedded policy's tokenizer: a closed vocabulary in which one operation costs three tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polya_midtrain.world import programs, stories
from polya_midtrain.world.families import PLANS, TYPES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, QUESTION, ANSWER, END = "<pad>", "<unk>", "<q>", "<a>", "<end>"
_PIECES = (
    r" \\boxed\{| [a-z]+| \d|[+*\-]\d|=\d|:\d|\d|[;:}?]"
    r"|\n r\+=u%10,v%10|\n return r|\n?\ #|\n [a-z]|[=+*\-][a-z]"
)
_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'assistant' %}<a>{{ message.content }}<end>{% else %}<q> {{ message.content }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<a>{% endif %}"
)


def vocabulary() -> list[str]:
    """Every token, specials first; a token's index is its id."""
    digits = [str(d) for d in range(10)]
    words = [f" {word}" for word in (*TYPES, *PLANS, "by")]
    signed = [sign + d for sign in "+-*=: " for d in digits]
    chain = [PAD, UNKNOWN, QUESTION, ANSWER, END, *words, *signed, *digits, ";", ":", "}", " \\boxed{"]
    steps = [step for plan in PLANS.values() for step in plan.steps]
    left = {f"={step.left}" for step in steps}
    right = {step.op + step.right for step in steps}
    out = {f"\n {step.out}" for step in steps}
    program = [" code", " #", "\n #", *sorted(left | right | out), programs.RESULT, programs.END]
    story = [" who", " is", " right", "?", *(f" {name}" for name in stories.PEOPLE)]
    return [*chain, *program, *story]


def build() -> PreTrainedTokenizerFast:
    """The tokenizer with its chat template, ready for ``save_pretrained``."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = {token: index for index, token in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.WordLevel(tokens, unk_token=UNKNOWN))
    # A named plan stands on a line of its own (":" and a line break); elsewhere a line break is a program's.
    tokenizer.normalizer = normalizers.Replace(":\n", ": ")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    specials = [PAD, UNKNOWN, QUESTION, ANSWER, END]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in specials])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=[QUESTION, ANSWER],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = _TEMPLATE
    return fast
