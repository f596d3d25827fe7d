"""The embedded policy's tokenizer: a closed vocabulary in which one operation costs three tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polya_midtrain.world.families import PLANS, TYPES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, QUESTION, ANSWER, END = "<pad>", "<unk>", "<q>", "<a>", "<end>"
_PIECES = r" \\boxed\{| [a-z]+| \d|[+*\-]\d|=\d|:\d|\d|[;:}]"
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
    return [PAD, UNKNOWN, QUESTION, ANSWER, END, *words, *signed, *digits, ";", ":", "}", " \\boxed{"]


def build() -> PreTrainedTokenizerFast:
    """The tokenizer with its chat template, ready for ``save_pretrained``."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = {token: index for index, token in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.WordLevel(tokens, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Replace("\n", " ")
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
