"""Stage reward: the model that scores adherence to a heuristic (paper, 5): trained here, or one that others trained."""

from __future__ import annotations

import random

from polya_midtrain import adherence, paths
from polya_midtrain.common import heuristics, policy
from polya_midtrain.common.records import Question, read_records
from polya_midtrain.common.seeding import derive
from polya_midtrain.engine.sampling import Job, sample, split
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params, RewardTraining
from polya_midtrain.runtime.stage import Stage, stage

CHUNK = 32  # questions of one sampling job


def run(params: Params) -> None:
    """Write models/reward, and its accuracy on held-out pairs to results/metrics/reward.json."""
    settings = params.reward
    source = paths.REWARD_QUESTIONS
    with stage(
        params,
        "reward",
        outputs={"model": paths.REWARD},
    ) as this:
        if isinstance(settings, RewardTraining):
            train(params, settings, read_records(source, Question), this)
        else:
            from polya_midtrain.pretrained.fetch import fetch

            fetch(settings, "reward", this.work / "model")


def train(params: Params, settings: RewardTraining, asked: list[Question], this: Stage) -> None:
    """Sample the base on questions that no other stage uses, label the traces, train on pairs, measure on other pairs.

    The classifier starts from the base's own weights, and the held-out pairs come from other questions than the
    training pairs.
    """
    import torch

    from polya_midtrain.reward_model import RewardModel
    from polya_midtrain.training import hooks, preference

    catalogue = heuristics.load(params.prompts.catalogue)
    held = max(1, round(len(asked) * settings.held_out))
    parts = {"test": asked[:held], "train": asked[held:]}
    names = catalogue.first(params.generate.heuristics)  # those that it will be asked about
    jobs = [
        Job(
            f"{part}-{name}-{index}",
            paths.BASE,
            name,
            chunk,
            settings.sampling.samples,
            derive(settings.seed, "reward", name),
        )
        for part, chosen in parts.items()
        for name in names
        for index, chunk in enumerate(split(chosen, CHUNK))
    ]
    this.line.tasks = len(jobs) + 1  # the training is the last one
    sampled = sample(params, jobs, settings.sampling, this.work, this.line.update)
    found = {}
    for part, chosen in parts.items():
        ours = [rows for job, rows in zip(jobs, sampled, strict=True) if job.name.startswith(f"{part}-")]
        traces = [row for rows in ours for row in rows]
        rng = random.Random(derive(settings.seed, "pairs", part))
        found[part] = adherence.pairs(
            traces, chosen, catalogue, adherence.LABELLERS[settings.labels], settings.pairs, rng
        )
        if not found[part]:
            raise UserError(
                f"params.yaml: reward: no two traces of a {part} question tell heuristics apart (cut traces do not "
                "count); raise reward.sampling.max_tokens, reward.sampling.samples or the number of questions.reward"
            )
    policy.quiet()
    torch.manual_seed(settings.seed)
    device = policy.device_of(params.machine.device)
    model, tokenizer = policy.load(paths.BASE, device, "AutoModelForSequenceClassification", num_labels=1)
    model.config.pad_token_id = tokenizer.pad_token_id
    preference.train(
        model,
        tokenizer,
        found["train"],
        epochs=settings.epochs,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        max_length=settings.max_length,
        arguments=hooks.common(this.work / "trainer", device, settings.seed, save_steps=100),
        callbacks=[hooks.Report(lambda done, total: this.line.update(len(jobs), done, total)), *this.log.callbacks],
    )
    policy.save(model, tokenizer, this.work / "model", policy.stored_dtype(paths.BASE))
    judge = RewardModel(model.eval(), tokenizer, params.score.batch)
    follows = judge.scores([(pair.heuristic, pair.question, pair.follows) for pair in found["test"]])
    strays = judge.scores([(pair.heuristic, pair.question, pair.strays) for pair in found["test"]])
    adherence.HeldOut(follows=follows, strays=strays).write(this.work / "model" / paths.HELD_OUT)
    right = sum(a > b for a, b in zip(follows, strays, strict=True))
    this.numbers.update(
        {
            "held_out_accuracy": right / len(follows),
            "held_out_pairs": len(follows),
            "training_pairs": len(found["train"]),
        }
    )
