"""The engine on plain transformers: CPU or one GPU, any causal LM.

Three things make it faster than `model.generate` on the study's work, none of which changes what is sampled: a prompt
is prefilled once for its n samples, and the tokens that all prompts of a batch share (worked examples) once for the
batch; the cache is written in place; rows that have ended leave the batch.

Everything is computed in the number format of the model's weights. The decoder and the head are called by themselves,
never the model's ``forward``: accelerate replaces that of a trained model by one under autocast, and two formats would
meet in the cache (and autocast would convert every weight again at each token).

No token is read back from a GPU before the batch ends, and the host never waits for the last one: `Running`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from polya_midtrain.engine.attention import decoding
from polya_midtrain.engine.cache import PreallocatedCache
from polya_midtrain.engine.contract import Asked, Output, SamplingParams
from polya_midtrain.runtime.model_time import model_call
from polya_midtrain.seeding import derive

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Ended rows are dropped when fewer than this share of the batch still runs: dropping copies the cache.
COMPACT_BELOW = 0.75
# Tokens looked back over when searching a stop string.
STOP_WINDOW = 24
# Tokens by which the host is ahead of a GPU: its next kernels wait for it, and few tokens are drawn in vain at the end.
AHEAD = 2


class TransformersEngine:
    """Samples a transformers causal LM. ``rows`` bounds the sequences decoded side by side."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: int = 256) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.rows = rows
        ends = model.generation_config.eos_token_id if model.generation_config else None
        ends = tokenizer.eos_token_id if ends is None else ends
        self.ends = torch.tensor(ends if isinstance(ends, list) else [ends], device=model.device)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParams,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[list[Output]]:
        """Sample ``sampling.n`` completions of every prompt. ``progress`` hears (prompts done, prompts)."""
        asked = sampling.asked(prompts)
        order = sorted(set(asked), key=lambda one: (len(one[0]), one))
        done: dict[Asked, list[Output]] = {}
        was_training = self.model.training
        self.model.eval()
        try:
            outside = torch.autocast(self.model.device.type, enabled=False)
            with model_call("generate"), decoding(self.model), outside:
                for chunk in _chunks(order, sampling.n, self.rows):
                    for start in range(
                        0, sampling.n, self.rows
                    ):  # several only where one prompt's samples are too many
                        samples = range(start, min(start + self.rows, sampling.n))
                        for one, group in zip(chunk, self._batch(chunk, sampling, samples), strict=True):
                            done.setdefault(one, []).extend(group)
                    if progress:
                        progress(len(done), len(order))
        finally:
            self.model.train(was_training)
        return [done[one] for one in asked]

    def close(self) -> None:
        """Let go of the model: it is its owner's."""
        del self.model

    @torch.inference_mode()
    def _batch(self, asked: list[Asked], sampling: SamplingParams, samples: range) -> list[list[Output]]:
        """Those of the ``samples`` of each prompt, side by side."""
        device, prompts = self.model.device, [prompt for prompt, _ in asked]
        longest = len(prompts[-1])
        cache = PreallocatedCache(self.model.config.num_hidden_layers, longest + sampling.max_tokens)
        logits = self._prefill(prompts, cache)
        repeat = torch.arange(len(prompts), device=device).repeat_interleave(len(samples))
        if len(samples) > 1:
            cache.select(repeat)
        logits = logits[repeat]
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)[repeat]
        # Prompts of one length need no mask; otherwise the gap between a short prompt's end and the first new token
        # is hidden and positions go on from the prompt's own length. In four dimensions, (rows, 1, 1, length), it is
        # taken as it is: of one in two transformers asks at each token whether all of it is true.
        held = None
        if len(prompts[0]) != longest:
            places = torch.arange(longest + sampling.max_tokens, device=device)
            held = ((places < lengths[:, None]) | (places >= longest))[:, None, None]

        noise = torch.from_numpy(_uniforms(asked, sampling, samples)).to(device)
        total = len(repeat)
        tokens = torch.zeros(total, sampling.max_tokens, dtype=torch.long, device=device)
        logprobs = torch.zeros(total, sampling.max_tokens, device=device)
        counts = torch.zeros(total, dtype=torch.long, device=device)
        ended = torch.zeros(total, dtype=torch.bool, device=device)
        rows = torch.arange(total, device=device)  # batch row -> output row
        live = torch.ones(total, dtype=torch.bool, device=device)
        running = Running(device)
        for step in range(sampling.max_tokens):
            chosen, chosen_logprobs = _sample(logits, noise[rows, step], sampling)
            tokens[rows, step] = torch.where(live, chosen, tokens[rows, step])
            logprobs[rows, step] = torch.where(live, chosen_logprobs, logprobs[rows, step])
            counts[rows] += live
            stopped = live & torch.isin(chosen, self.ends)
            if sampling.stop:
                stopped |= live & self._hit_stop(tokens[rows, max(0, step + 1 - STOP_WINDOW) : step + 1], sampling.stop)
            ended[rows] |= stopped
            live &= ~stopped
            count = running.of(live)
            if count == 0 or step + 1 == sampling.max_tokens:
                break
            if count is not None and count < COMPACT_BELOW * len(rows):
                kept = live.nonzero().squeeze(1)
                cache.select(kept)
                rows, chosen, live, lengths = rows[kept], chosen[kept], live[kept], lengths[kept]
                held = held[kept] if held is not None else None
            mask = held[..., : longest + step + 1] if held is not None else None
            hidden = self._hidden(chosen[:, None], lengths[:, None] + step, cache, mask)
            logits = self.model.lm_head(hidden)[:, -1].float()
        return self._outputs(tokens, logprobs, counts, ended, len(samples))

    def _prefill(self, prompts: list[tuple[int, ...]], cache: PreallocatedCache) -> torch.Tensor:
        """Fill ``cache`` with the prompts, their common start once; logits after each prompt, (prompts, vocabulary)."""
        device = self.model.device
        shared = min(_common_prefix(prompts), len(prompts[0]) - 1) if len(prompts) > 1 else 0
        if shared:
            head = torch.tensor([prompts[0][:shared]], device=device)
            self._hidden(head, torch.arange(shared, device=device)[None], cache, None)
            cache.select(torch.zeros(len(prompts), dtype=torch.long, device=device))
        longest = len(prompts[-1])
        padded = [[*prompt[shared:], *[0] * (longest - len(prompt))] for prompt in prompts]
        tails = torch.tensor(padded, device=device)
        last = torch.tensor([len(prompt) - shared - 1 for prompt in prompts], device=device)
        # Causal attention: padding after a prompt's end cannot reach the logits read at its end.
        positions = torch.arange(shared, longest, device=device).expand(len(prompts), -1)
        hidden = self._hidden(tails, positions, cache, None)
        return self.model.lm_head(hidden[torch.arange(len(prompts), device=device), last]).float()

    def _hidden(
        self, ids: torch.Tensor, positions: torch.Tensor, cache: PreallocatedCache, mask: torch.Tensor | None
    ) -> torch.Tensor:
        output: Any = self.model.model(
            input_ids=ids, position_ids=positions, past_key_values=cache, attention_mask=mask, use_cache=True
        )
        hidden: torch.Tensor = output.last_hidden_state
        return hidden

    def _hit_stop(self, recent: torch.Tensor, stop: tuple[str, ...]) -> torch.Tensor:
        texts = self.tokenizer.batch_decode(recent)
        return torch.tensor([any(s in text for s in stop) for text in texts], device=recent.device)

    def _outputs(
        self, tokens: torch.Tensor, logprobs: torch.Tensor, counts: torch.Tensor, ended: torch.Tensor, n: int
    ) -> list[list[Output]]:
        sizes = counts.tolist()
        ids = [row[:size] for row, size in zip(tokens.tolist(), sizes, strict=True)]
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        flat = [
            Output(text, row, values[:size], "stop" if stop else "length")
            for text, row, values, size, stop in zip(texts, ids, logprobs.tolist(), sizes, ended.tolist(), strict=True)
        ]
        return [flat[start : start + n] for start in range(0, len(flat), n)]


class Running:
    """How many rows of a batch still run: on a CPU now, on a GPU `AHEAD` tokens ago, so that nobody waits for it."""

    def __init__(self, device: torch.device) -> None:
        self.ahead = 0 if device.type == "cpu" else AHEAD
        self.asked: deque[tuple[torch.Tensor, torch.cuda.Event | None]] = deque()

    def of(self, live: torch.Tensor) -> int | None:
        """The count, once it is known; ``live`` (rows,) may have fewer rows than before."""
        event = torch.cuda.Event() if live.is_cuda else None
        self.asked.append((live.sum().to("cpu", non_blocking=True), event))
        if event is not None:
            event.record()
        if len(self.asked) <= self.ahead:
            return None
        count, event = self.asked.popleft()
        if event is not None:
            event.synchronize()
        return int(count)


def _sample(logits: torch.Tensor, uniform: torch.Tensor, sampling: SamplingParams) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one token a row by inverting the distribution function at ``uniform``; (rows,), (rows,) log-probabilities.

    Inversion (not a library's sampler) is what makes a row's draw independent of the batch around it.
    """
    if sampling.temperature == 0:
        chosen = logits.argmax(-1)
        return chosen, torch.zeros_like(uniform)
    probabilities = torch.softmax(logits / sampling.temperature, dim=-1)
    if sampling.top_p < 1:
        probabilities = _nucleus(probabilities, sampling.top_p)
    cumulative = probabilities.cumsum(-1)
    target = uniform[:, None] * cumulative[:, -1:]
    chosen = torch.searchsorted(cumulative, target, right=True).squeeze(1).clamp_(max=logits.shape[-1] - 1)
    return chosen, probabilities.gather(1, chosen[:, None]).squeeze(1).log()


def _nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Zero all but the smallest set of tokens whose probability reaches ``top_p``, and renormalise."""
    ranked, order = probabilities.sort(dim=-1, descending=True)
    ranked = ranked.masked_fill(ranked.cumsum(-1) - ranked >= top_p, 0.0)
    kept = torch.zeros_like(probabilities).scatter_(1, order, ranked)
    return kept / kept.sum(-1, keepdim=True)


def _uniforms(asked: list[Asked], sampling: SamplingParams, samples: range) -> np.ndarray:
    """Uniform draws, (prompts x samples, max_tokens), each prompt's from its own stream."""
    draws = [
        np.random.Generator(np.random.Philox(derive(seed, *prompt))).random(
            (samples.stop, sampling.max_tokens), dtype=np.float32
        )[samples.start :]
        for prompt, seed in asked
    ]
    return np.concatenate(draws)


def _common_prefix(prompts: list[tuple[int, ...]]) -> int:
    """How many leading tokens all prompts share."""
    first, last = min(prompts), max(prompts)
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def _chunks(order: list[Asked], n: int, rows: int) -> list[list[Asked]]:
    """Split prompts, sorted by length, into batches of at most ``rows`` sequences, or of one prompt."""
    size = max(1, rows // n)
    return [order[start : start + size] for start in range(0, len(order), size)]
