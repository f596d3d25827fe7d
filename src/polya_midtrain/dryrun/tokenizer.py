"""The stand-ins' tokenizer: byte-level BPE in the form of Llama 3's, learned from the run's own texts.

Its special tokens have Llama 3's names and places in a conversation, and like Llama 3.2's it comes without a padding
token. The wording of its chat template is ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SIZE = 4096  # tokens, of Llama 3's 128,256
BEGIN, END_OF_TEXT, END_OF_TURN, END_OF_MESSAGE = "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>"
HEAD, HEAD_END = "<|start_header_id|>", "<|end_header_id|>"
SPECIAL = (BEGIN, END_OF_TEXT, HEAD, HEAD_END, END_OF_MESSAGE, END_OF_TURN)
LONGEST = 131072  # tokens that a Llama 3.2 takes

# As Llama 3.2's: a system turn that names a date is written whether or not the conversation has one.
TEMPLATE = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}"
    "{% set lead, turns = messages[0]['content'] | trim, messages[1:] %}"
    "{% else %}{% set lead, turns = '', messages %}{% endif %}"
    "{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    f"{HEAD}system{HEAD_END}\n\n"
    "A stand-in for a rehearsal. Date: {{ date_string }}\n\n{{ lead }}"
    f"{END_OF_TURN}"
    "{% for turn in turns %}"
    f"{HEAD}{{{{ turn['role'] }}}}{HEAD_END}\n\n{{{{ turn['content'] | trim }}}}{END_OF_TURN}"
    "{% endfor %}"
    f"{{% if add_generation_prompt %}}{HEAD}assistant{HEAD_END}\n\n{{% endif %}}"
)


def build(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `SIZE` tokens, the same for the same texts; every text can be written with it."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    # As GPT's, but numbers are cut into single digits, so that any number can be written after any other.
    digits = pre_tokenizers.Split(Regex(r"\d"), "isolated")
    core.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    core.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{BEGIN} $A", pair=f"{BEGIN} $A {BEGIN} $B", special_tokens=[(BEGIN, core.token_to_id(BEGIN))]
            ),
        ]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=BEGIN, eos_token=END_OF_TURN, model_max_length=LONGEST
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer
