"""What every generation engine promises (engine.contract), and what the transformers engine does to be fast.

The first half speaks to the `Engine` protocol alone: another engine joins by an entry in ENGINES.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from devices import NEAR, alike, has_vllm
from polya_midtrain.checkpoints import policy
from polya_midtrain.engine import Engine, Output, SamplingParams, transformers_engine
from polya_midtrain.engine.attention import decoding
from polya_midtrain.engine.opening import open_engine
from polya_midtrain.engine.transformers_engine import COMPACT_BELOW, TransformersEngine
from polya_midtrain.params import Machine
from polya_midtrain.world import problems

Prompt = list[int]
SAMPLING = SamplingParams(n=6, max_tokens=40, seed=3)
ALPHA = 1e-3  # of the frequency tests; their seeds are fixed, so they pass or fail for good

ENGINES: dict[str, Callable[[Path, int, Any], Engine]] = {
    "transformers": lambda folder, rows, device: open_engine(folder, Machine(device=device), rows)
}
if has_vllm("cpu"):  # in the environment of `make test-vllm`
    ENGINES["vllm"] = lambda folder, rows, device: open_engine(folder, Machine(device=device, engine="vllm"), rows)


@dataclass
class Subject:
    """An engine on a checkpoint, and the same checkpoint as plain transformers opens it, to check against."""

    engine: Engine
    model: Any
    tokenizer: Any
    device: str

    def prompts(self, parts: Sequence[int], lead: str = "") -> list[Prompt]:
        """Questions of the embedded world with so many parts, hence of different lengths, behind a common start."""
        rng = random.Random(5)
        texts = [f"<q>{lead} {problems.text(problems.sample(rng, count))}<a>" for count in parts]
        return [self.tokenizer(text)["input_ids"] for text in texts]

    def logits(self, prompt: Prompt, completion: Sequence[int]) -> torch.Tensor:
        """The logits that each completion token was drawn from, (tokens, vocabulary), by one plain forward pass."""
        ids = torch.tensor([[*prompt, *completion]], device=self.device)
        with torch.inference_mode():
            return self.model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1].double().cpu()


@pytest.fixture(scope="module", params=ENGINES)
def subject(request: pytest.FixtureRequest, tiny_checkpoint: Path, device: str) -> Iterator[Subject]:
    policy.quiet()
    engine = ENGINES[request.param](tiny_checkpoint, 256, device)
    yield Subject(engine, *policy.load(tiny_checkpoint, device), device)
    engine.close()


def flat(groups: list[list[Output]]) -> list[Output]:
    return [output for group in groups for output in group]


def tokens(groups: list[list[Output]]) -> list[list[list[int]]]:
    return [[output.token_ids for output in group] for group in groups]


def test_a_seed_gives_the_same_completions_again(subject: Subject) -> None:
    prompts = subject.prompts([1, 3, 2])
    assert subject.engine.generate(prompts, SAMPLING) == subject.engine.generate(prompts, SAMPLING)


def test_other_seeds_give_other_completions(subject: Subject) -> None:
    prompts = subject.prompts([1, 3])
    seeds = [tokens(subject.engine.generate(prompts, replace(SAMPLING, seed=seed))) for seed in range(4)]
    for position in range(len(prompts)):
        drawn = [tuple(ids) for found in seeds for ids in found[position]]
        assert len(set(drawn)) == len(drawn)


def test_completions_depend_on_nothing_else_in_the_call(subject: Subject) -> None:
    prompts = subject.prompts([2, 1, 4, 2, 3])
    together = tokens(subject.engine.generate(prompts, SAMPLING))
    backwards = tokens(subject.engine.generate(prompts[::-1], SAMPLING))
    alone = [tokens(subject.engine.generate([prompt], SAMPLING))[0] for prompt in prompts]
    assert alike(together, backwards[::-1], subject.device)
    assert alike(together, alone, subject.device)


def test_nor_on_how_many_tokens_the_call_has(subject: Subject) -> None:
    """More than 4,096: vLLM takes no more of the prompts in one step, and on a CPU cannot cut a prompt with a seed."""
    prompts = subject.prompts([1, 2, 3, 4] * 16, " by reduce:" * 24)
    sampling = replace(SAMPLING, n=2, max_tokens=6)
    assert sum(map(len, prompts)) * sampling.n > 2 * 4096
    together = tokens(subject.engine.generate(prompts, sampling))
    for place in (0, 40, 63):
        assert alike(tokens(subject.engine.generate([prompts[place]], sampling)), [together[place]], subject.device)


def test_the_samples_of_a_prompt_differ_and_more_of_them_only_add(subject: Subject) -> None:
    prompts = subject.prompts([2, 2])
    few, many = (tokens(subject.engine.generate(prompts, replace(SAMPLING, n=n))) for n in (4, 12))
    for group, larger in zip(few, many, strict=True):
        assert len({tuple(ids) for ids in larger}) == 12
        assert alike([larger[:4]], [group], subject.device)


def test_a_repeated_prompt_gets_the_same_group(subject: Subject) -> None:
    one, other = subject.prompts([1, 2])
    first, middle, last = subject.engine.generate([one, other, one], SAMPLING)
    assert first == last
    assert first != middle


def test_each_prompt_may_have_a_seed_of_its_own(subject: Subject) -> None:
    """Also the same prompt several; what one gets is what it would get alone."""
    one, other = subject.prompts([2, 1])
    asked = [(one, 3), (other, 4), (one, 4)]
    together = subject.engine.generate([prompt for prompt, _ in asked], replace(SAMPLING, seed=[3, 4, 4]))
    alone = [subject.engine.generate([prompt], replace(SAMPLING, seed=seed))[0] for prompt, seed in asked]
    assert tokens(together) == tokens(alone)
    assert tokens(together)[0] != tokens(together)[2]


def test_no_prompts_no_completions(subject: Subject) -> None:
    assert subject.engine.generate([], SAMPLING) == []


def test_the_end_token_ends_and_the_limit_is_flagged(subject: Subject) -> None:
    end = subject.tokenizer.eos_token_id
    outputs = flat(subject.engine.generate(subject.prompts([1, 2, 3]), replace(SAMPLING, n=48)))
    for output in outputs:
        if output.finish == "stop":
            assert output.token_ids.index(end) == len(output.token_ids) - 1
        else:
            assert output.finish == "length"
            assert len(output.token_ids) == SAMPLING.max_tokens
            assert end not in output.token_ids
        assert len(output.logprobs) == len(output.token_ids)
        assert output.text == subject.tokenizer.decode(output.token_ids, skip_special_tokens=True)
    assert {output.finish for output in outputs} == {"stop", "length"}


def test_a_stop_string_ends_a_completion_and_stays_in_its_text(subject: Subject) -> None:
    prompts = subject.prompts([1, 3])
    free = flat(subject.engine.generate(prompts, replace(SAMPLING, n=24)))
    # A common stop string of a single token, and one of several that some completion comes to first.
    common = " jar"
    sample = next(output for output in free if len(output.token_ids) > 12 and common not in output.text)
    stops = (subject.tokenizer.decode(sample.token_ids[6:9], skip_special_tokens=True), common)
    stopped = flat(subject.engine.generate(prompts, replace(SAMPLING, n=24, stop=stops)))
    hit = 0
    for before, after in zip(free, stopped, strict=True):
        assert before.token_ids[: len(after.token_ids)] == after.token_ids
        if any(stop in before.text for stop in stops):
            hit += 1
            assert after.finish == "stop"
            assert any(stop in after.text for stop in stops)
            shorter = subject.tokenizer.decode(after.token_ids[:-1])
            assert not any(stop in shorter for stop in stops)
        else:
            assert (after.token_ids, after.text, after.finish) == (before.token_ids, before.text, before.finish)
    assert 1 < hit < len(free)
    assert any(stops[0] in output.text for output in stopped)


@pytest.mark.parametrize("lead", ["", " by reduce: by mirror: by lemma:"], ids=["no common start", "common start"])
@pytest.mark.parametrize("parts", [[2, 2, 2], [1, 4, 2, 3]], ids=["even", "uneven"])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_those_of_a_plain_forward_pass(
    subject: Subject, parts: list[int], lead: str, temperature: float
) -> None:
    # Long runs of many samples: rows end at different steps and leave the batch, which the others must not notice.
    prompts = subject.prompts(parts, lead)
    sampling = replace(SAMPLING, n=12, max_tokens=60, temperature=temperature)
    for prompt, group in zip(prompts, subject.engine.generate(prompts, sampling), strict=True):
        for output in group:
            plain = torch.log_softmax(subject.logits(prompt, output.token_ids) / temperature, dim=-1)
            expected = plain.gather(1, torch.tensor(output.token_ids)[:, None]).squeeze(1).tolist()
            assert output.logprobs == pytest.approx(expected, abs=NEAR[subject.device])
            assert output.logprob == pytest.approx(sum(expected), abs=50 * NEAR[subject.device])


@pytest.mark.parametrize("parts", [[2, 2, 2], [1, 4, 2, 3]], ids=["even", "uneven"])
def test_greedy_decoding_is_that_of_transformers(subject: Subject, parts: list[int]) -> None:
    prompts = subject.prompts(parts, " by scale:")
    greedy = replace(SAMPLING, n=2, temperature=0.0)
    for prompt, group in zip(prompts, subject.engine.generate(prompts, greedy), strict=True):
        ids = torch.tensor([prompt], device=subject.device)
        found = subject.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=greedy.max_tokens
        )
        expected = found[0, len(prompt) :].tolist()
        assert [output.token_ids for output in group] == [expected] * 2


def frequencies_agree(drawn: Sequence[int], probabilities: np.ndarray) -> None:
    """A chi-square test of draws against a distribution, rare tokens taken together."""
    counts = np.bincount(drawn, minlength=len(probabilities)).astype(float)
    expected = probabilities / probabilities.sum() * len(drawn)
    assert counts[expected == 0].sum() == 0
    common = expected >= 10
    seen = [*counts[common], counts[~common].sum()]
    wanted = [*expected[common], expected[~common].sum()]
    if wanted[-1] < 10:
        seen, wanted = [*seen[:-2], sum(seen[-2:])], [*wanted[:-2], sum(wanted[-2:])]
    assert len(wanted) > 3
    assert stats.chisquare(seen, wanted).pvalue > ALPHA


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 1.0), (1.0, 0.8)])
def test_tokens_come_as_often_as_the_policy_says(subject: Subject, temperature: float, top_p: float) -> None:
    prompt = subject.prompts([2])[0]
    sampling = SamplingParams(n=6000, max_tokens=2, seed=11, temperature=temperature, top_p=top_p)
    pairs = [output.token_ids for output in subject.engine.generate([prompt], sampling)[0]]
    first = [ids[0] for ids in pairs]
    frequencies_agree(first, distribution(subject, prompt, [], temperature, top_p))
    # The second token, after the first token that came most often and does not end the completion.
    usual = max(set(first) - {subject.tokenizer.eos_token_id}, key=first.count)
    second = [ids[1] for ids in pairs if ids[0] == usual]
    frequencies_agree(second, distribution(subject, prompt, [usual], temperature, top_p))


def distribution(subject: Subject, prompt: Prompt, so_far: Prompt, temperature: float, top_p: float) -> np.ndarray:
    """The next token's distribution: the smallest set of likeliest tokens whose probability reaches ``top_p``."""
    logits = subject.logits(prompt, [*so_far, 0])[-1]
    probabilities = torch.softmax(logits / temperature, dim=-1).numpy()
    ranked = np.argsort(-probabilities)
    size = int(np.searchsorted(np.cumsum(probabilities[ranked]), top_p)) + 1
    kept = np.zeros_like(probabilities)
    kept[ranked[:size]] = probabilities[ranked[:size]]
    return kept / kept.sum()


def test_prompts_draw_independently_of_each_other(subject: Subject) -> None:
    """Were two prompts given the same random numbers, alike prompts would be answered alike, token for token."""
    one = subject.prompts([2])[0]
    other = [*one[:2], one[3], *one[3:]]  # one digit is another
    assert other != one
    sampling = SamplingParams(n=2000, max_tokens=1, seed=4)
    groups = subject.engine.generate([one, other], sampling)
    same = sum(a.token_ids == b.token_ids for a, b in zip(*groups, strict=True))
    chances = [distribution(subject, prompt, [], 1.0, 1.0) for prompt in (one, other)]
    expected = float(chances[0] @ chances[1])
    alike = float(np.minimum(*chances).sum())  # how often they would agree at most
    assert alike > 3 * expected
    assert same / sampling.n == pytest.approx(expected, abs=4 * (expected * (1 - expected) / sampling.n) ** 0.5)


def test_top_p_keeps_to_the_nucleus_and_renormalises_its_logprobs(subject: Subject) -> None:
    prompt = subject.prompts([3])[0]
    cut = replace(SAMPLING, n=6, max_tokens=12, top_p=0.5)
    for output in subject.engine.generate([prompt], cut)[0]:
        for place, (token, logprob) in enumerate(zip(output.token_ids, output.logprobs, strict=True)):
            nucleus = distribution(subject, prompt, output.token_ids[:place], 1.0, 0.5)
            assert nucleus[token] > 0
            assert logprob == pytest.approx(float(np.log(nucleus[token])), abs=NEAR[subject.device])


# From here on: the transformers engine itself.


@pytest.fixture
def engine(tiny_checkpoint: Path, device: str) -> TransformersEngine:
    return ENGINES["transformers"](tiny_checkpoint, 256, device)  # type: ignore[return-value]


def test_the_batch_size_changes_nothing(engine: TransformersEngine, subject: Subject) -> None:
    prompts = subject.prompts([2, 1, 4, 2, 3])
    expected = tokens(engine.generate(prompts, SAMPLING))
    for rows in (1, 13):
        found = TransformersEngine(engine.model, engine.tokenizer, rows).generate(prompts, SAMPLING)
        assert alike(tokens(found), expected, subject.device)


def forwarded(engine: TransformersEngine, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[int]:
    """The tokens that go through the model in each of its calls."""
    seen: list[int] = []
    hook = engine.model.get_input_embeddings().register_forward_hook(lambda _, ids, __: seen.append(ids[0].numel()))
    engine.generate(prompts, sampling)
    hook.remove()
    return seen


def test_a_prompt_is_prefilled_once_for_all_its_samples(engine: TransformersEngine, subject: Subject) -> None:
    prompt = subject.prompts([3])[0]
    sampling = replace(SAMPLING, n=16, max_tokens=4)
    first, *rest = forwarded(engine, [prompt, prompt, prompt], sampling)
    assert first == len(prompt)
    assert len(rest) == sampling.max_tokens - 1
    assert all(count <= sampling.n for count in rest)


def test_the_common_start_of_a_batch_is_prefilled_once(engine: TransformersEngine, subject: Subject) -> None:
    prompts = subject.prompts([1, 1, 2, 3], " by scale:" * 20)
    common = next(i for i, column in enumerate(zip(*prompts, strict=False)) if len(set(column)) > 1)
    assert common > 40
    tail = max(len(prompt) for prompt in prompts) - common
    assert forwarded(engine, prompts, replace(SAMPLING, max_tokens=1)) == [common, len(prompts) * tail]


def test_rows_that_have_ended_leave_the_batch(engine: TransformersEngine, subject: Subject) -> None:
    words = subject.tokenizer.convert_tokens_to_ids([" jar", " rod", " cup", " box", " pin", " net", "<end>"])
    engine.model.generation_config.eos_token_id = words  # so that rows end soon
    several = TransformersEngine(engine.model, engine.tokenizer)
    prompt = subject.prompts([2])[0]
    sampling = replace(SAMPLING, n=64, max_tokens=60)
    needed = sum(len(output.token_ids) for output in several.generate([prompt], sampling)[0])
    passed = sum(forwarded(several, [prompt], sampling)) - len(prompt)
    assert needed - sampling.n <= passed < needed / COMPACT_BELOW
    assert needed / COMPACT_BELOW < 0.6 * sampling.n * sampling.max_tokens


def test_no_more_rows_are_decoded_than_asked_for(engine: TransformersEngine, subject: Subject) -> None:
    """Also where one prompt has more samples than rows; the samples are those of one batch."""
    prompts = subject.prompts([1, 3])
    sampling = replace(SAMPLING, n=11)
    whole = engine.generate(prompts, sampling)
    few = TransformersEngine(engine.model, engine.tokenizer, 4)
    assert alike(tokens(few.generate(prompts, sampling)), tokens(whole), subject.device)
    decoded = [count for count in forwarded(few, prompts, sampling) if count not in {len(ids) for ids in prompts}]
    assert max(decoded) <= 4


def test_progress_counts_prompts(engine: TransformersEngine, subject: Subject) -> None:
    heard: list[tuple[int, int]] = []
    prompts = subject.prompts([1, 2, 3, 1, 2])
    small = TransformersEngine(engine.model, engine.tokenizer, 2 * SAMPLING.n)
    small.generate(prompts, SAMPLING, lambda done, total: heard.append((done, total)))
    assert heard == [(2, 5), (4, 5), (5, 5)]


class Stop(Exception):
    pass


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_a_trainer_gets_its_model_back_as_it_was(
    engine: TransformersEngine, subject: Subject, training: bool, fails: bool
) -> None:
    def progress(done: int, total: int) -> None:
        if fails:
            raise Stop

    engine.model.train(training)
    before = engine.model.config._attn_implementation
    ids = torch.tensor(subject.prompts([2]), device=subject.device)
    expected = engine.model(input_ids=ids).logits
    try:
        engine.generate(subject.prompts([1, 2]), SAMPLING, progress)
    except Stop:
        assert fails
    assert engine.model.training is training
    assert engine.model.config._attn_implementation == before
    output = engine.model(input_ids=ids)
    assert torch.equal(output.logits, expected)
    output.logits.sum().backward()  # nothing of inference mode is left in the weights


def test_a_model_with_several_end_tokens_ends_at_each(engine: TransformersEngine, subject: Subject) -> None:
    jar, end = subject.tokenizer.convert_tokens_to_ids([" jar", "<end>"])
    engine.model.generation_config.eos_token_id = [end, jar]
    several = TransformersEngine(engine.model, engine.tokenizer)
    outputs = flat(several.generate(subject.prompts([1, 2]), replace(SAMPLING, n=32)))
    assert {output.token_ids[-1] for output in outputs if output.finish == "stop"} == {end, jar}
    assert all(not {end, jar} & set(output.token_ids[:-1]) for output in outputs)


class Uploads(TorchDispatchMode):
    """Counts the tensors, not the single numbers, that leave the host for the device of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = function(*args, **(kwargs or {}))
        taken, given = (
            {one.device.type for one in tree_leaves(held) if isinstance(one, torch.Tensor) and one.dim()}
            for held in (args, output)
        )
        self.count += "cpu" in taken and "meta" in given
        return output


@pytest.mark.parametrize("parts", [[2, 2, 2], [1, 4, 2, 3]], ids=["even", "uneven"])
@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_a_gpu_is_asked_nothing_and_sent_nothing_from_token_to_token(
    parts: list[int], top_p: float, engine: TransformersEngine, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The meta device stands for it: whatever waits for a value fails there, for it has none. How many rows still run
    is asked by `Running` alone, and what was drawn is read at the end of the batch."""
    model = policy.empty_copy(engine.model, torch.device("meta"), torch.bfloat16)
    steps: list[int] = []
    monkeypatch.setattr(transformers_engine.Running, "of", lambda _, live: steps.append(len(live)) or len(live))
    monkeypatch.setattr(TransformersEngine, "_outputs", lambda *_: [])
    prompts = sorted((tuple(prompt) for prompt in subject.prompts(parts, " by scale:")), key=len)
    sent = []
    for length in (4, 12):
        with decoding(model), Uploads() as uploads:
            meta = TransformersEngine(model, engine.tokenizer)
            meta._batch(
                [(prompt, 1) for prompt in prompts],
                replace(SAMPLING, max_tokens=length, top_p=top_p),
                range(SAMPLING.n),
            )
        sent.append(uploads.count)
    assert sent == [1, 1]  # the uniform numbers
    assert steps == [len(parts) * SAMPLING.n] * (4 + 12)


def test_the_host_may_be_ahead_of_a_gpu(
    engine: TransformersEngine, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU draws is what a CPU draws; at the end of a batch it works on `AHEAD` tokens in vain."""
    engine.model.generation_config.eos_token_id = list(range(0, len(subject.tokenizer), 3))  # so that rows end soon
    several = TransformersEngine(engine.model, engine.tokenizer)
    prompts, sampling = subject.prompts([1, 4, 2]), replace(SAMPLING, n=24, max_tokens=60)
    expected, passes = several.generate(prompts, sampling), len(forwarded(several, prompts, sampling))

    class Ahead(transformers_engine.Running):
        def __init__(self, device: torch.device) -> None:
            super().__init__(device)
            assert self.ahead == 0
            self.ahead = transformers_engine.AHEAD

    monkeypatch.setattr(transformers_engine, "Running", Ahead)
    assert tokens(several.generate(prompts, sampling)) == tokens(expected)
    assert [one.finish for one in flat(several.generate(prompts, sampling))] == [one.finish for one in flat(expected)]
    assert len(forwarded(several, prompts, sampling)) == passes + transformers_engine.AHEAD < sampling.max_tokens
