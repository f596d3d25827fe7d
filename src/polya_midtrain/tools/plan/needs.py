"""What a run needs beside time: bytes of disk, and of memory in each stage that holds a model."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polya_midtrain.checkpoints import hub, packaged
from polya_midtrain.checkpoints.shapes import ASLEEP, HALF, TRAINING, USABLE, WEIGHT, Model, of_config
from polya_midtrain.errors import UserError
from polya_midtrain.params import FolderModel, PackageBase, Params, RewardTraining, WorldBase, WorldTeacher, yamlfile
from polya_midtrain.runtime import cores
from polya_midtrain.tools.plan.work import Work

COPIES = 2  # of every output: in the project, and in DVC's cache
ROW, TOKEN = 12.0, 0.7  # bytes of a completion's row in parquet, and of a token of its text, compressed
PROCESS, FURTHER = 0.7e9, 0.2e9  # bytes of a process with the libraries loaded, and what each further one adds
GGUF = {"hidden_size": "embedding_length", "intermediate_size": "feed_forward_length", "vocab_size": "vocab_size"}
GGUF |= {"num_hidden_layers": "block_count", "num_attention_heads": "attention.head_count"}
GGUF |= {"num_key_value_heads": "attention.head_count_kv"}


@dataclass(frozen=True)
class Device:
    """Where a run computes: bytes of ``memory`` of a GPU, or of this machine (None: not known), which ``processes``
    share; ``shards`` of a training's state (FSDP); ``rollouts``: the share of a GPU of vLLM beside a trainer."""

    cuda: bool
    memory: float | None
    processes: int
    shards: int = 1
    rollouts: float | None = None


@dataclass(frozen=True)
class Memory:
    """Bytes that a stage takes at most, and of a training the ``rows`` of a backward pass, ``checkpointed`` or not."""

    bytes: float
    rows: int = 0
    checkpointed: bool = False


def models(params: Params) -> tuple[dict[str, Model], list[str]]:
    """Base, teacher and reward model by their config.json; without those that cannot be read, and why not."""
    found: dict[str, Model] = {}
    notes: list[str] = []
    for block in ("base", "teacher", "reward"):
        held = getattr(params, block)
        try:
            if isinstance(held, WorldTeacher | RewardTraining):  # trained from the base
                found |= {block: replace(found["base"], head="score" if block == "reward" else "tied")}
            else:
                found[block] = of_config(block, _config(held), score=block == "reward")
        except (UserError, KeyError, TypeError, AttributeError) as error:
            why = str(error) if isinstance(error, UserError) else "its config.json is not of Llama's layout"
            notes.append(f"not known: the size of {block} ({why.removeprefix('params.yaml: ')})")
    return found, notes


def device(params: Params, sizes: Mapping[str, Model], memory: float | None) -> Device:
    """The device of the settings; ``memory``: bytes of a GPU that is not here."""
    machine, cuda = params.machine, params.machine.device in (("cuda", "auto") if memory else ("cuda",))
    if memory is None and machine.device != "cpu":
        import torch

        if torch.cuda.is_available():
            cuda, memory = True, float(torch.cuda.get_device_properties(0).total_memory)
    if not cuda:
        here = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        return Device(False, here, machine.workers or cores.available())
    shared = machine.accelerate and yamlfile.content(machine.accelerate).get("distributed_type") == "FSDP"
    shards = machine.processes if shared else 1
    share: Any = None if machine.engine != "vllm" or machine.server else machine.rollout_memory
    if share == "auto":
        share = sizes["base"].rollout_memory(memory, shards) if memory and "base" in sizes else None
    return Device(True, memory, 1, shards, share)


def left(work: Work, sizes: Mapping[str, Model]) -> float:
    """Bytes that a stage leaves; checkpoints of a model that is not known left out."""
    model, data = sizes.get(work.model), work.stage in ("generate", "grade", "distil", "evaluate")
    return data * (ROW * work.samples + TOKEN * work.tokens) + (work.checkpoints * model.checkpoint if model else 0)


def scratch(params: Params, sizes: Mapping[str, Model], here: Device) -> float:
    """Bytes of trainers' checkpoints at most: weights and Adam's averages, the next written before the last goes."""
    states, base = 2 * (TRAINING - WEIGHT) * min(here.processes, len(params.runs)), sizes.get("base")
    return float(states * base.parameters + len(params.runs) * base.checkpoint) if base else 0.0


def memory(params: Params, sizes: Mapping[str, Model], here: Device) -> dict[str, Memory]:
    """By stage, where model and device are known; prompts are taken for as long as RL allows them to be."""
    found: dict[str, Memory] = {}
    for stage, block in (("generate", "base"), ("distil", "teacher"), ("evaluate", "base")):
        if block in sizes:
            found[stage] = _sampling(params, stage, sizes[block], here)
    if "base" in sizes and here.memory is not None:
        found |= {stage: _training(params, stage, sizes["base"], here, here.memory) for stage in ("midtrain", "rl")}
    if judge := sizes.get("reward"):
        width = judge.stored if here.cuda else WEIGHT
        row = judge.read_row(params.rl.max_prompt_tokens + params.generate.max_tokens, width)
        found["score"] = Memory(width * judge.parameters + params.score.batch * row)
    libraries = PROCESS + FURTHER * (here.processes - 1)
    return {stage: replace(one, bytes=one.bytes + libraries) for stage, one in found.items()}


def _sampling(params: Params, stage: str, model: Model, here: Device) -> Memory:
    """Processes with one checkpoint share its weights. Under vLLM rows that do not fit wait: one has to."""
    block, machine, checkpoints = getattr(params, stage), params.machine, here.processes if stage == "evaluate" else 1
    length = params.rl.max_prompt_tokens + block.max_tokens
    if here.cuda and machine.engine == "vllm":
        needed = model.stored * (model.parameters + length * model.key_values / WEIGHT) / machine.tensor_parallel
        return Memory((needed + ASLEEP) / machine.gpu_memory)
    size = model.stored if here.cuda else WEIGHT
    return Memory(size * model.parameters * checkpoints + block.rows * here.processes * model.sampled_row(length, size))


def _training(params: Params, stage: str, model: Model, here: Device, there: float) -> Memory:
    """The larger of updates and, in RL, rollouts, for which the gradients are gone; ``there``: bytes that there are."""
    seeds, settings = 1 if here.cuda else min(here.processes, len(params.runs)), params.rl
    batch, wanted, length = settings.prompts * settings.generations, settings.micro_batch, settings.max_prompt_tokens
    if not (rl := stage == "rl"):
        batch, wanted, length = params.midtrain.batch, params.midtrain.micro_batch, params.midtrain.max_length
    length += rl * settings.max_tokens
    share, state = batch // (params.machine.processes if here.cuda else 1), TRAINING * model.parameters / here.shards
    rolled = state * (TRAINING - WEIGHT) / TRAINING
    waiting = min(params.rl.rows, share) * model.sampled_row(length, HALF if here.cuda else WEIGHT)
    if not here.cuda:
        rows = model.alone(share, length, wanted)
        return Memory(seeds * max(state + rows * model.trained_row(length), rl * (rolled + waiting)), rows)
    vllm = params.machine.engine == "vllm"
    fixed = state + (model.beside(vllm) if rl and params.machine.server is None else 0.0)
    rows, checkpointed = model.batch(share, length, USABLE * there - fixed, wanted, here.shards)
    rolled += (here.rollouts or 0.0) * there if vllm else HALF * model.parameters + waiting
    return Memory(max(fixed + model.update(rows, length, checkpointed, here.shards), rl * rolled), rows, checkpointed)


def _config(settings: Any) -> dict[str, Any]:
    """The config.json of a model: of the embedded world, of the hub, in a folder, or of a package's GGUF file."""
    if isinstance(settings, WorldBase):
        from polya_midtrain.world import tokenizer

        found = {"hidden_size": settings.hidden, "intermediate_size": 3 * settings.hidden, "dtype": "float32"}
        found |= {"num_hidden_layers": settings.layers, "num_attention_heads": settings.heads}
        return found | {"vocab_size": len(tokenizer.vocabulary()), "tie_word_embeddings": True}
    if isinstance(settings, PackageBase):
        from gguf import GGUFReader

        held = GGUFReader(packaged.locate(settings)).fields
        kind = held["general.architecture"].contents()
        return {ours: held[f"{kind}.{name}"].contents() for ours, name in GGUF.items()} | {"tie_word_embeddings": True}
    with tempfile.TemporaryDirectory() as folder:
        place = settings.path if isinstance(settings, FolderModel) else Path(folder)
        if not isinstance(settings, FolderModel):
            hub.configuration(settings.id, settings.revision, place)
        content = yamlfile.content(place / "config.json")  # JSON is YAML
        if any("experts" in key for key in content):
            raise KeyError  # `of_config` would count one of them
        return dict(content.get("text_config", content))
