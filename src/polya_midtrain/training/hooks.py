"""What every trainer of the study shares: progress, resumption and the settings that trl would choose otherwise."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from accelerate import PartialState
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from polya_midtrain.runtime import tracking
from polya_midtrain.runtime.model_time import model_call

C = TypeVar("C", bound=TrainingArguments)
WHOLE = "whole"  # a file in a trainer's checkpoint: all of it was written


class Report(TrainerCallback):
    """Tells the stage's progress line how many optimiser steps are done, and marks what a crash may be resumed from."""

    def __init__(self, report: Callable[[float, float], None]) -> None:
        self.report = report

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.report(state.global_step, state.max_steps)
        if state.global_step >= state.max_steps:
            # The trainer would write a checkpoint with the optimiser's state, thrice the model that the stage saves.
            control.should_save = False

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Take what is missing out of what the callbacks after this one see: MLflow's would warn, or log a number."""
        logs = kwargs["logs"]
        for name in [name for name, value in logs.items() if not (tracking.finite(value) or isinstance(value, str))]:
            del logs[name]

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        PartialState().wait_for_everyone()  # each process has written its share
        if state.is_world_process_zero:
            saved = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            (saved / WHOLE).touch()
            for older in set(saved.parent.glob("checkpoint-*")) - {saved}:
                shutil.rmtree(older)


def common(folder: Path, device: str, seed: int, save_steps: int) -> dict[str, Any]:
    """Trainer arguments that are the same in every stage.

    trl would train in bf16 with checkpointed activations everywhere; on a CPU both only cost time. Every step is
    logged: curves are part of the study's record, by the callbacks that tracking gives (see runtime.tracking).
    """
    return {
        "output_dir": str(folder),
        "seed": seed,
        "data_seed": seed,
        "bf16": device == "cuda",
        "use_cpu": device == "cpu",
        "gradient_checkpointing": False,  # `training.fits` turns it on where activations would not fit
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "steps",
        "save_steps": save_steps,
        "save_total_limit": None,  # `Report` removes older ones; the trainer would before the new one is whole
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": device == "cuda",
    }


def on_one_gpu(config: C) -> C:
    """A trainer's settings for one GPU a process: transformers would split each pass over all GPUs that it sees, and
    take so many times the batch."""
    config._n_gpu = min(1, config.n_gpu)
    return config


def gathered(folder: Path) -> Path:
    """Where the whole model is put if the processes of a training hold a share of its weights each (FSDP, ZeRO)."""
    return folder / "gathered"


def newest(folder: Path) -> str | None:
    """The newest checkpoint of a trainer that no crash cut short; None where there is none."""
    found = {int(mark.parent.name.partition("-")[2]): mark.parent for mark in folder.glob(f"checkpoint-*/{WHOLE}")}
    return str(found[max(found)]) if found else None


def run_trainer(trainer: Trainer, folder: Path) -> list[dict[str, Any]]:
    """Train, from the newest whole checkpoint in ``folder`` if a crash left one; the log, one record a step."""
    trainer.remove_callback(PrinterCallback)  # the stage's progress line says it already
    with model_call("train"):
        trainer.train(resume_from_checkpoint=newest(folder))
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        trainer.save_model(str(gathered(folder)))
    return list(trainer.state.log_history)
