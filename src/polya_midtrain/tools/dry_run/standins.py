"""The stand-ins: random Llamas in folders, in the form of Llama 3's, which answer what the run asks without a thought.

A model that is only random would answer nothing right, and stage select would stop for want of traces. So each whole
answer is one token of theirs, and the weights say: after any prompt one of these, as often as wished, and then the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polya_midtrain.checkpoints import folder, policy
from polya_midtrain.params import FolderModel, Params
from polya_midtrain.prompting import heuristics
from polya_midtrain.stages import questions

if TYPE_CHECKING:
    from transformers import LlamaConfig, PreTrainedTokenizerFast

HIDDEN, WORDS = 64, 4096
ENDS = ("<|eot_id|>", "<|end_of_text|>", "<|eom_id|>")  # several, as Llama 3.2 has; the first is the tokenizer's
SPECIAL = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", *ENDS)
TEMPLATE = (  # with a date, as Llama 3.2's
    "{{ bos_token }}{% set date = date_string if date_string is defined else strftime_now('%d %b %Y') %}"
    "<|start_header_id|>system<|end_header_id|>\n\nDate: {{ date }}<|eot_id|>{% for turn in messages %}"
    "<|start_header_id|>{{ turn['role'] }}<|end_header_id|>\n\n{{ turn['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
NEVER = -30.0  # a logit
OTHERS = ("I say \\boxed{1000003}.", "    return 0\n", "I say \\boxed{A}.")  # a wrong number, a program, a choice


def make(params: Params, root: Path) -> Params:
    """Write the stand-ins below ``root``; the settings with these as base, teacher and, if published, reward model."""
    policy.quiet()
    sets, _ = questions.build(questions.sets_of(params.questions), params.questions.seed)
    questions.decontaminate(sets)
    catalogue = heuristics.load(params.prompts.catalogue)
    cues = [cue for entry in catalogue.heuristics for cue in entry.cues[:1]][:2] or ["So"]
    right, rare = (
        [f"{cue}: the answer is \\boxed{{{one.answer}}}." for one in sets[name] for cue in cues]
        for name in ("mid", "rl")
    )
    texts = [row.question for rows in sets.values() for row in rows]
    texts += [one.response for entry in catalogue.heuristics for one in entry.exemplars]
    tokenizer = bpe(texts, dict.fromkeys([*right, *rare, *OTHERS]))
    often = dict.fromkeys(rare, 0.1 / len(rare)) | dict.fromkeys(OTHERS, 0.2 / len(OTHERS))
    often |= dict.fromkeys(right, 0.7 / len(right))
    shares = {"base": often, "teacher": dict.fromkeys(right, 1.0 / len(right))}
    if params.reward.kind != "train":
        shares["reward"] = {}
    for name, share in shares.items():
        _save(tokenizer, share, root / "stand-ins" / name)
    files = {name: sorted(path for path in (root / "stand-ins" / name).iterdir()) for name in shares}
    models = {
        name: FolderModel(kind="folder", path=Path("stand-ins", name), sha256=folder.digest(found))
        for name, found in files.items()
    }
    return params.model_copy(update=models)


def bpe(texts: Iterable[str], answers: Iterable[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE without a padding token, as Llama 3.2's; each answer is one more token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS, special_tokens=list(SPECIAL), initial_alphabet=letters, show_progress=False
    )
    core.train_from_iterator(texts, trainer)
    core.add_tokens([AddedToken(text, normalized=False) for text in answers])
    made = PreTrainedTokenizerFast(tokenizer_object=core, bos_token=SPECIAL[0], eos_token=ENDS[0])
    made.chat_template = TEMPLATE
    return made


def config(tokenizer: PreTrainedTokenizerFast, **more: Any) -> LlamaConfig:
    """Of a very small Llama with the tokenizer's ends."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=3 * HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=131072,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.convert_tokens_to_ids(list(ENDS)),
        **more,
    )


def _save(tokenizer: PreTrainedTokenizerFast, share: Mapping[str, float], target: Path) -> None:
    """A policy that gives each answer its share; without any a random reward model of one label."""
    import torch
    from transformers import LlamaForCausalLM, LlamaForSequenceClassification

    torch.manual_seed(1)
    ids = tokenizer.convert_tokens_to_ids
    if share:
        model = LlamaForCausalLM(config(tokenizer))
    else:
        model = LlamaForSequenceClassification(config(tokenizer, num_labels=1))
    if share:
        answers, asked, answered = [ids(text) for text in share], 0, 1  # tokens; and units that say what was read last
        chances = torch.tensor([math.log(chance) for chance in share.values()])
        with torch.no_grad():
            words, head = model.model.embed_tokens.weight, model.lm_head.weight
            words[:, asked], words[:, answered] = 1.0, 0.0
            words[answers, asked], words[answers, answered] = 0.0, 1.0
            head[:, asked] = head[:, answered] = NEVER
            head[answers, asked], head[ids(ENDS[0]), answered] = chances, 0.0
            head[:, [asked, answered]] /= math.sqrt(HIDDEN)  # the length of what the last norm leaves
    model.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)
