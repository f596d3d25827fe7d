"""What every generation engine promises, whatever library decodes underneath."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


Asked = tuple[tuple[int, ...], int]
"""A prompt's token ids and its seed."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """Decoding settings of one call.

    ``n`` completions per prompt; ``temperature`` 0 is greedy; ``stop`` strings end a completion and stay in its text;
    ``seed`` (of all prompts, or one for each) and a prompt's tokens alone determine that prompt's completions, whatever
    else is in the call. Without ``texts`` or ``logprobs`` an engine may leave these out, where they cost it something.
    """

    n: int
    max_tokens: int
    seed: int | Sequence[int]
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    texts: bool = True
    logprobs: bool = True

    def asked(self, prompts: Sequence[Sequence[int]]) -> list[Asked]:
        """The prompts with their seeds."""
        seeds = [self.seed] * len(prompts) if isinstance(self.seed, int) else self.seed
        return [(tuple(prompt), seed) for prompt, seed in zip(prompts, seeds, strict=True)]


@dataclass(frozen=True, slots=True)
class Output:
    """One completion: its text, its token ids (the end token included), the log-probability in nats of each token
    under the sampling distribution, and why it ended ("stop", or "length" when cut at ``max_tokens``)."""

    text: str
    token_ids: list[int]
    logprobs: list[float]
    finish: str

    @property
    def logprob(self) -> float:
        """Sum of the tokens' log-probabilities, nats; not a number where they were left out."""
        return float(sum(self.logprobs)) if self.logprobs else float("nan")


class Engine(Protocol):
    """A policy that can be sampled.

    Prompts are token ids; one list of ``n`` outputs comes back per prompt, in order. ``close`` frees what it holds.
    """

    tokenizer: PreTrainedTokenizerBase

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParams,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[list[Output]]: ...

    def close(self) -> None: ...
