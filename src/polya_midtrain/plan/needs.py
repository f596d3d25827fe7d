"""What a run needs beside time: bytes of disk, and of memory in each stage that holds a model."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polya_midtrain.common.shapes import ASLEEP, HALF, TRAINING, USABLE, WEIGHT, Model, Wanted, of_config
from polya_midtrain.errors import UserError
from polya_midtrain.params import FolderModel, PackageBase, Params, RewardTraining, Sampling, WorldBase, WorldTeacher
from polya_midtrain.plan.work import Work
from polya_midtrain.pretrained import hub, packaged
from polya_midtrain.runtime import cores, yamlfile

COPIES = 2  # of every output: in the project, and in DVC's cache
ROW, TOKEN = 12.0, 0.7  # bytes of a completion's row in parquet, and of a token of its text, compressed
PROCESS, FURTHER = 0.7e9, 0.2e9  # bytes of a process with the libraries loaded, and what each further one adds
GGUF = {"hidden_size": "embedding_length", "intermediate_size": "feed_forward_length", "vocab_size": "vocab_size"}
GGUF |= {"num_hidden_layers": "block_count", "num_attention_heads": "attention.head_count"}
GGUF |= {"num_key_value_heads": "attention.head_count_kv"}


@dataclass(frozen=True)
class Device:
    """Where a run computes: ``memory`` of one GPU, or of this machine, in bytes (None: not known), and how many
    ``processes`` share it; ``shards``: processes that hold a share each of a training's state, by FSDP; ``rollouts``:
    the share of a GPU that vLLM takes beside the trainer, None where it does not."""

    cuda: bool
    memory: float | None
    processes: int
    shards: int = 1
    rollouts: float | None = None


@dataclass(frozen=True)
class Memory:
    """Bytes that a stage takes at most of a GPU, or of this machine; of a training also the ``rows`` of a backward
    pass, and whether they are ``checkpointed``."""

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
    machine, cuda = params.machine, params.machine.device == "cuda"
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
    data = work.stage in ("generate", "verify", "distil", "evaluate")
    model = sizes.get(work.model)
    return data * (ROW * work.samples + TOKEN * work.tokens) + (work.checkpoints * model.checkpoint if model else 0)


def scratch(params: Params, sizes: Mapping[str, Model], here: Device) -> float:
    """Bytes of trainers' checkpoints at most: weights and Adam's averages, the next written before the last goes."""
    states, base = 2 * (TRAINING - WEIGHT) * min(here.processes, len(params.seeds)), sizes.get("base")
    return float(states * base.parameters + len(params.seeds) * base.checkpoint) if base else 0.0


def memory(params: Params, sizes: Mapping[str, Model], here: Device) -> dict[str, Memory]:
    """By stage, where the model is known, and for a training on a GPU its memory, which decides what ``auto`` takes.

    Prompts are taken for as long as RL allows them to be.
    """
    rl, learn, size = params.rl, params.midtrain, sizes.get
    found = {
        "generate": _sampling(params, params.generate, size("base"), here, 1),
        "distil": _sampling(params, params.distil, size("teacher"), here, 1),
        "evaluate": _sampling(params, params.evaluate, size("base"), here, here.processes),
        "midtrain": _training(params, size("base"), learn.batch, learn.micro_batch, learn.max_length, here),
        "rl": _training(params, size("base"), rl.prompts * rl.generations, rl.micro_batch, None, here),
    }
    if judge := size("reward"):
        width = judge.stored if here.cuda else WEIGHT
        row = judge.read_row(rl.max_prompt_tokens + params.generate.max_tokens, width)
        found["score"] = Memory(width * judge.parameters + params.score.batch * row)
    libraries = PROCESS + FURTHER * (here.processes - 1)
    return {stage: replace(one, bytes=one.bytes + libraries) for stage, one in found.items() if one is not None}


def _sampling(params: Params, block: Sampling, model: Model | None, here: Device, checkpoints: int) -> Memory | None:
    """Processes with one checkpoint share its weights. Under vLLM rows that do not fit wait: one has to."""
    if model is None:
        return None
    length, machine = params.rl.max_prompt_tokens + block.max_tokens, params.machine
    if here.cuda and machine.engine == "vllm":
        needed = model.stored * (model.parameters + length * model.key_values / WEIGHT) / machine.tensor_parallel
        return Memory((needed + ASLEEP) / machine.gpu_memory)
    size = model.stored if here.cuda else WEIGHT
    return Memory(size * model.parameters * checkpoints + block.rows * here.processes * model.sampled_row(length, size))


def _training(
    params: Params, model: Model | None, batch: int, wanted: Wanted, most: int | None, here: Device
) -> Memory | None:
    """The larger of updates and, in RL (``most`` None), rollouts, for which the gradients are gone."""
    if model is None or here.memory is None:
        return None
    rl, seeds = most is None, 1 if here.cuda else min(here.processes, len(params.seeds))
    length = float(params.rl.max_prompt_tokens + params.rl.max_tokens if most is None else most)
    share, state = batch // (params.machine.processes if here.cuda else 1), TRAINING * model.parameters / here.shards
    rolled = state * (TRAINING - WEIGHT) / TRAINING
    waiting = min(params.rl.rows, share) * model.sampled_row(length, HALF if here.cuda else WEIGHT)
    if not here.cuda:
        rows = model.alone(share, length, wanted)
        return Memory(seeds * max(state + rows * model.trained_row(length), rl * (rolled + waiting)), rows)
    vllm = params.machine.engine == "vllm"
    fixed = state + (model.beside(vllm) if rl and params.machine.server is None else 0.0)
    rows, checkpointed = model.batch(share, length, USABLE * here.memory - fixed, wanted, here.shards)
    rolled += (here.rollouts or 0.0) * here.memory if vllm else HALF * model.parameters + waiting
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
    if isinstance(settings, FolderModel):
        content = yamlfile.content(settings.path / "config.json")  # JSON is YAML
        return dict(content.get("text_config", content))
    with tempfile.TemporaryDirectory() as folder:
        hub.configuration(settings.id, settings.revision, Path(folder))
        return _config(FolderModel.model_construct(kind="folder", path=Path(folder)))
