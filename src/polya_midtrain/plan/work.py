"""What a run has to do, stage by stage and arm by arm, as counts: prompts, samples, tokens, steps, checkpoints.

Pure functions of the settings and of `assume.Assumptions`. The rules are those of the stages: which arms answer which
sets before and after RL, in batches of how many, and what is trained on what.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from polya_midtrain import studies
from polya_midtrain.common.shapes import Model
from polya_midtrain.params import Params, RewardTraining
from polya_midtrain.plan.assume import Asked, Assumptions
from polya_midtrain.stages import distil, reward
from polya_midtrain.stages import generate as traces
from polya_midtrain.tables.registry import TABLES

JUDGE_REPLY = 40.0  # tokens of a judge's reply: a short list of names in JSON
BRANCH_PASSES = 11.0  # that a branch point of stage modes is worth, one by one: five forward and three backward
PADDING = 1.05  # tokens of a batch of like lengths over those of its rows
SHAPE = ("tasks", "processes", "streamed")  # of a load, which do not add up


Place = tuple[str, str]  # stage, and arm or table ("" for none)


@dataclass(frozen=True, slots=True)
class Load:
    """Work of one stage, all seeds together.

    ``samples`` completions of ``prompts``; ``prompt_tokens`` of all prompts, of which ``prefilled`` are computed (what
    a batch shares is computed once); ``completion_tokens`` in ``decode_steps`` batched steps, which look back on
    ``looked_back`` tokens in all; ``rows`` and ``learned_tokens`` (of responses) in all epochs and seeds, which with
    prompts and padding are ``trained_tokens`` in ``train_steps``; ``scored_tokens`` read without an answer;
    ``checking`` seconds of a core for the answers; ``checkpoints`` read or written; ``downloads`` in bytes; ``tasks``
    that can run side by side. ``processes`` of accelerate that share a training, 0 where none is; ``streamed``: sampled
    by vLLM, if on a GPU.
    """

    prompts: float = 0.0
    samples: float = 0.0
    prompt_tokens: float = 0.0
    prefilled: float = 0.0
    completion_tokens: float = 0.0
    decode_steps: float = 0.0
    looked_back: float = 0.0
    rows: float = 0.0
    learned_tokens: float = 0.0
    trained_tokens: float = 0.0
    train_steps: float = 0.0
    scored_tokens: float = 0.0
    checking: float = 0.0
    checkpoints: float = 0.0
    downloads: float = 0.0
    tasks: int = 1
    processes: int = 0
    streamed: bool = False

    def __add__(self, other: Load) -> Load:
        """Both, one after the other; in the shape of the larger one."""
        pairs = {field.name: (getattr(self, field.name), getattr(other, field.name)) for field in fields(self)}
        return Load(**{name: max(pair) if name in SHAPE else sum(pair) for name, pair in pairs.items()})

    def times(self, factor: float) -> Load:
        """The same so many times, with as many tasks."""
        grown = [field.name for field in fields(self) if field.name not in SHAPE]
        return replace(self, **{name: factor * getattr(self, name) for name in grown})

    def longer(self, factor: float) -> Load:
        """The same with answers ``factor`` times as long."""
        grow = ("completion_tokens", "decode_steps", "looked_back", "learned_tokens", "trained_tokens", "scored_tokens")
        return replace(self, **{name: factor * getattr(self, name) for name in grow})


@dataclass(frozen=True, slots=True)
class Work:
    """A load of a stage for one arm (or table; "" where it has none) on one model (base, teacher, reward or judge)."""

    stage: str
    arm: str
    model: str
    load: Load


def works(params: Params, assumed: Assumptions, sizes: dict[str, Model], grading: dict[str, float]) -> list[Work]:
    """The whole run in the order of dvc.yaml. ``grading``: seconds per answer by kind (`devices.GRADING`)."""
    mid = assumed.counts["mid"]
    answers = grading["plain"] if params.base.kind == "world" else grading["maths"]
    main = studies.main(params.arms)
    heuristics, generate = params.generate.heuristics, params.generate
    vllm = params.machine.engine == "vllm"
    named = sampled([mid], generate.samples, generate.rows, assumed.generate, traces.CHUNK, vllm).times(heuristics)
    plain = sampled([mid], generate.unprompted, generate.rows, assumed.unprompted, traces.CHUNK, vllm)
    generated = replace(named + plain, checkpoints=1.0, tasks=(heuristics + 1) * math.ceil(mid / traces.CHUNK))
    distilled = sampled([mid], params.distil.samples, params.distil.rows, assumed.distil, distil.CHUNK, vllm)
    distilled = replace(
        distilled, checking=answers * distilled.samples, checkpoints=1.0, tasks=math.ceil(mid / distil.CHUNK)
    )
    found = [
        Work("questions", "", "base", Load()),
        Work("base", "", "base", _trained_or_fetched(params.base, assumed, sizes["base"])),
        Work("prompts", "", "base", Load()),
        Work("teacher", "", "teacher", _trained_or_fetched(params.teacher, assumed, sizes["teacher"])),
        *_reward(params, assumed, sizes["reward"]),
        Work("generate", "", "base", generated),
        Work("distil", "", "teacher", distilled),
        Work("verify", "", "base", Load(checking=answers * generated.samples)),
        Work("score", "", "reward", _score(assumed)),
        Work("select", "", "base", Load()),
    ]
    found += [Work("midtrain", arm, "base", _midtrain(params, assumed, arm)) for arm in params.arms]
    found += [Work("rl", arm, "base", _rl(params, assumed, answers)) for arm in params.arms]
    found += [Work("evaluate", arm, "base", _evaluate(params, assumed, arm, grading)) for arm in params.arms]
    found.append(Work("compose", "", "judge", _compose(params, assumed, len(main))))
    found.append(Work("diversity", "", "base", Load()))
    found += [Work("modes", arm, "base", _modes(params, assumed)) for arm in params.arms]
    found += [Work("tables", table, "base", Load()) for table in TABLES]
    return found + [Work(stage, "", "base", Load()) for stage in ("figures", "claims", "page")]


def sampled(
    counts: Sequence[int], samples: int, rows: int, asked: Asked, chunk: int | None = None, streamed: bool = False
) -> Load:
    """``samples`` answers to each question of some sets, ``rows`` sequences side by side, in jobs of ``chunk``.

    A batch is decoded until its longest answer ends. ``streamed``: where an answer ends the next begins, and what the
    prompts of a job have in common is computed once.
    """
    questions = sum(counts)
    size = max(1, rows // samples)
    jobs = [
        job
        for count in counts
        for job in ([count] if chunk is None else [chunk] * (count // chunk) + [count % chunk] * bool(count % chunk))
    ]
    batches = sum(math.ceil(job / size) for job in jobs) * math.ceil(samples / rows)
    steps = batches * asked.longest
    if streamed:
        batches = len(jobs)
        steps = sum(max(asked.longest, job * samples * asked.answer / rows) for job in jobs)
    tokens = questions * samples * asked.answer
    return Load(
        prompts=questions,
        samples=questions * samples,
        prompt_tokens=questions * asked.prompt,
        prefilled=questions * (asked.prompt - asked.shared) + batches * asked.shared,
        completion_tokens=tokens,
        decode_steps=steps,
        looked_back=tokens * (asked.prompt + asked.answer / 2.0),
        tasks=len(jobs),
        streamed=streamed,
    )


def _trained_or_fetched(settings: object, assumed: Assumptions, model: Model) -> Load:
    """The base or the teacher: trained on the world's corpus, unpacked, or downloaded."""
    kind = getattr(settings, "kind", "")
    if kind != "world":
        return Load(checkpoints=1.0, downloads=model.checkpoint if kind == "hub" else 0.0)
    steps = getattr(settings, "steps", 0) + getattr(settings, "drill_steps", 0)
    rows = steps * getattr(settings, "batch", 0)
    return Load(
        rows=rows, learned_tokens=rows * assumed.document, trained_tokens=rows * assumed.document, train_steps=steps
    )


def _reward(params: Params, assumed: Assumptions, model: Model) -> list[Work]:
    """A download, or samples of the base under the heuristics of traces, and training on pairs of them."""
    settings = params.reward
    if not isinstance(settings, RewardTraining):
        return [Work("reward", "", "reward", Load(checkpoints=1.0, downloads=model.checkpoint))]
    count = assumed.counts["reward"]
    held = max(1, round(count * settings.held_out))
    sampling = settings.sampling
    vllm = params.machine.engine == "vllm"
    traces = sampled([count - held, held], sampling.samples, sampling.rows, assumed.reward, reward.CHUNK, vllm)
    traces = traces.times(params.generate.heuristics)
    pairs = min(float(settings.pairs), traces.samples)
    length = min(float(settings.max_length), assumed.reward.judged)
    rows = 2.0 * pairs * settings.epochs
    training = Load(
        rows=rows,
        learned_tokens=rows * assumed.reward.answer,
        trained_tokens=rows * length * PADDING,
        train_steps=math.ceil(pairs / settings.batch) * settings.epochs,
        scored_tokens=2.0 * min(pairs, traces.samples * settings.held_out) * length,
        checkpoints=2.0,
    )
    return [
        Work("reward", "", "base", replace(traces, tasks=traces.tasks * params.generate.heuristics)),
        Work("reward", "", "reward", training),
    ]


def _score(assumed: Assumptions) -> Load:
    """Every response worth it, read once behind its heuristic's instruction."""
    return Load(
        samples=assumed.scored,
        scored_tokens=assumed.scored * assumed.generate.judged,
        checkpoints=1.0,
    )


def _midtrain(params: Params, assumed: Assumptions, arm: str) -> Load:
    settings, learned, seeds = params.midtrain, assumed.sets[arm], len(params.seeds)
    if params.arms[arm].traces == "none":
        return Load()
    rows = learned.rows * settings.epochs * seeds
    length = min(float(settings.max_length), learned.prompt + learned.response)
    return Load(
        rows=rows,
        learned_tokens=rows * learned.response,
        trained_tokens=rows * length * PADDING,
        train_steps=math.ceil(learned.rows / settings.batch) * settings.epochs * seeds,
        checkpoints=2.0 * seeds,
        tasks=seeds,
        processes=params.machine.processes,
    )


def _rl(params: Params, assumed: Assumptions, answers: float) -> Load:
    """Steps of ``prompts`` questions, each answered ``generations`` times, then one update on all of these answers.

    The trainer pads the answers of a step to the longest. Each process answers its share of a step's questions; vLLM
    takes all of them at a time.
    """
    settings, asked, seeds = params.rl, assumed.bare["rl"], len(params.seeds)
    steps = round(assumed.counts["rl"] * settings.epochs / settings.prompts)
    processes, vllm = params.machine.processes, params.machine.engine == "vllm"
    share = settings.prompts // processes
    rows = share * settings.generations if vllm else settings.rows
    step = sampled([share], settings.generations, rows, asked, streamed=vllm)
    rolled = replace(step.times(processes), decode_steps=step.decode_steps).times(steps * seeds)
    return replace(
        rolled,
        rows=rolled.samples,
        learned_tokens=rolled.completion_tokens,
        trained_tokens=rolled.samples * (asked.prompt + asked.longest),
        train_steps=steps * seeds,
        checking=answers * rolled.samples,
        checkpoints=2.0 * seeds,
        tasks=seeds,
        processes=processes,
    )


def _evaluate(params: Params, assumed: Assumptions, arm: str, grading: dict[str, float]) -> Load:
    """Benchmarks and transfer sets before and after RL; arms of the ablations answer the benchmarks after RL alone."""
    whole = studies.in_main(params.arms[arm])
    phases = 2 if whole else 1
    names = [name for name in assumed.bare if name.startswith(("benchmarks/", "transfer/")[:phases])]
    settings = params.evaluate
    total = Load()
    for name in names:
        counts, asked = [assumed.counts[name]], assumed.bare[name]
        one = sampled(counts, settings.samples, settings.rows, asked, streamed=params.machine.engine == "vllm")
        kind = _kind(params, name)
        total += replace(one, checking=grading[kind] * one.samples)
    times = phases * len(params.seeds)
    return replace(total.times(times), checkpoints=float(times), tasks=times * len(names))


def _kind(params: Params, name: str) -> str:
    """What checks the answers of an evaluated set."""
    group, _, short = name.partition("/")
    spec = getattr(params.questions, group)[short]
    if spec.source == "humaneval" or getattr(spec, "task", "") == "program":
        return "code"
    return "plain" if spec.source == "world" else "maths"


def _compose(params: Params, assumed: Assumptions, arms: int) -> Load:
    """Chains of the arms of the main table; an endpoint that judges them reads the catalogue with every one."""
    names = [f"benchmarks/{name}" for name in params.compose.benchmarks]
    each = params.evaluate.samples * len(params.seeds) * arms * 2.0
    chains = sum(assumed.counts[name] for name in names) * each + params.compose.labelled
    if params.compose.endpoint is None:
        return Load(samples=chains)
    length = sum(assumed.counts[name] * (assumed.bare[name].prompt + assumed.bare[name].answer) for name in names)
    mean = length / sum(assumed.counts[name] for name in names)
    return Load(
        prompts=chains,
        samples=chains,
        prompt_tokens=chains * (mean + assumed.judged),
        completion_tokens=chains * JUDGE_REPLY,
    )


def _modes(params: Params, assumed: Assumptions) -> Load:
    """Branch points before and after RL: the prompt, and in the embedded world half an answer."""
    asked, policies = assumed.bare["rl"], 2.0 * len(params.seeds)
    points = min(params.modes.questions, assumed.counts["rl"]) * policies
    context = asked.prompt + (asked.answer / 2.0 if params.modes.branch == "world" else 0.0)
    return Load(
        samples=points,
        scored_tokens=points * context * BRANCH_PASSES,
        decode_steps=points * BRANCH_PASSES,
        checkpoints=policies,
        tasks=round(policies),
    )
