"""From a question to the policy's tokens, through the model's own chat template."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polya_midtrain.errors import UserError
from polya_midtrain.params import Prompts
from polya_midtrain.prompting.heuristics import Catalogue

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = dict[str, str]

DATE = "26 Jul 2024"  # what Llama's templates name where no clock is there


def messages(
    question: str, heuristic: str, settings: Prompts, catalogue: Catalogue, kind: str = "maths"
) -> list[Message]:
    """The conversation that asks a question of a ``kind`` (`records.Question`) under a heuristic's id ("" for none).

    A heuristic adds its instruction to every user turn and ``settings.shots`` worked examples of its own; a bare
    question gets ``settings.plain_shots`` of the catalogue's plain ones.
    """
    if heuristic:
        entry = catalogue.get(heuristic)
        lead, exemplars = entry.instruction + "\n", entry.exemplars[: settings.shots]
    else:
        lead, exemplars = "", catalogue.plain[: settings.plain_shots]
    suffix = settings.ending(kind)
    turns: list[Message] = [{"role": "system", "content": settings.system}] if settings.system else []
    for exemplar in exemplars:
        turns.append({"role": "user", "content": lead + exemplar.question + suffix})
        turns.append({"role": "assistant", "content": exemplar.response})
    turns.append({"role": "user", "content": lead + question + suffix})
    return turns


def bare(question: str, settings: Prompts, kind: str = "maths") -> list[Message]:
    """The conversation of mid-training, RL and evaluation: the question alone, no examples, no heuristic."""
    turns: list[Message] = [{"role": "system", "content": settings.system}] if settings.system else []
    return [*turns, {"role": "user", "content": question + settings.ending(kind)}]


def encode(tokenizer: PreTrainedTokenizerBase, turns: list[Message]) -> list[int]:
    """Token ids of a conversation, up to where the assistant begins.

    Llama-3.2's template writes today's date into every prompt unless it is given one, and a run takes days.
    """
    if tokenizer.chat_template is None:
        raise UserError(
            f"{tokenizer.name_or_path}: the tokenizer has no chat template; choose an instruction-tuned model"
        )
    ids = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, tokenize=True, return_dict=False, date_string=DATE
    )
    return list(ids)


def encode_response(tokenizer: PreTrainedTokenizerBase, response: str) -> list[int]:
    """Token ids of an assistant turn, its end token included."""
    assert tokenizer.eos_token_id is not None
    return [*tokenizer(response, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
