"""Stage reward: the model that scores adherence to a heuristic (paper, 5): trained here, or one that others trained."""

from __future__ import annotations

import random
from collections.abc import Mapping

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.engine.sampling import Job, sample, split
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params, RewardTraining
from polya_midtrain.prompting import heuristics
from polya_midtrain.records import Question, of_base, read_records
from polya_midtrain.runtime.stage import Stage, stage
from polya_midtrain.seeding import derive
from polya_midtrain.traces import adherence
from polya_midtrain.traces.preference import Pair
from polya_midtrain.training.bases import One, point_others, train_bases

CHUNK = 32  # questions of one sampling job


def run(params: Params) -> None:
    """Write models/reward/base-B, and its accuracy on held-out pairs to results/metrics/reward.json."""
    settings = params.reward
    source = paths.REWARD_QUESTIONS
    with stage(
        params,
        "reward",
        outputs={"models": paths.REWARDS},
    ) as this:
        if isinstance(settings, RewardTraining):
            train(params, settings, read_records(source, Question), this)
        else:
            from polya_midtrain.checkpoints.fetch import fetch

            fetch(settings, "reward", this.work / "models" / "base-1")
            point_others(params, this, paths.reward)


def train(params: Params, settings: RewardTraining, asked: list[Question], this: Stage) -> None:
    """Sample each base on questions that no other stage uses, label the traces, train on pairs, measure on other pairs.

    The classifier starts from the base's own weights, and the held-out pairs come from other questions than the
    training pairs.
    """
    catalogue = heuristics.load(params.prompts.catalogue)
    parts: dict[tuple[int, str], list[Question]] = {}
    for number in params.numbers:
        ours = of_base(asked, number)
        held = max(1, round(len(ours) * settings.held_out))
        parts |= {(number, "test"): ours[:held], (number, "train"): ours[held:]}
    jobs = [
        Job(
            f"{number}-{part}-{name}-{index}",
            paths.base(number),
            name,
            chunk,
            settings.sampling.samples,
            derive(settings.seed, "reward", name, number),
        )
        for (number, part), chosen in parts.items()
        for name in catalogue.first(params.generate.heuristics)  # those that it will be asked about
        for index, chunk in enumerate(split(chosen, CHUNK))
    ]
    this.line.tasks = len(jobs) + len(params.bases)  # the trainings are the last ones
    sampled = sample(params, jobs, settings.sampling, this.work, this.line.update)
    found: dict[tuple[int, str], list[Pair]] = {}
    for (number, part), chosen in parts.items():
        mine = [rows for job, rows in zip(jobs, sampled, strict=True) if job.name.startswith(f"{number}-{part}-")]
        traces = [row for rows in mine for row in rows]
        rng = random.Random(derive(settings.seed, "pairs", part, number))
        found[number, part] = adherence.pairs(
            traces, chosen, catalogue, adherence.LABELLERS[settings.labels], settings.pairs, rng
        )
        if not found[number, part]:
            raise UserError(
                f"params.yaml: reward: no two traces of a {part} question tell heuristics apart (cut traces do not "
                "count); raise reward.sampling.max_tokens, reward.sampling.samples or the number of questions.reward"
            )
    train_bases(params, this, lambda one: fit(one, settings, found, params.score.batch), before=len(jobs))


def fit(
    one: One, settings: RewardTraining, pairs: Mapping[tuple[int, str], list[Pair]], batch: int
) -> dict[str, float]:
    """The reward model of one base, and how often it is right on its held-out pairs."""
    import torch

    from polya_midtrain.traces import preference
    from polya_midtrain.traces.reward_model import RewardModel
    from polya_midtrain.training import hooks

    train, test = pairs[one.number, "train"], pairs[one.number, "test"]
    torch.manual_seed(settings.seed)
    base, device = paths.base(one.number), policy.device_of(one.machine.device)
    model, tokenizer = policy.load(base, device, "AutoModelForSequenceClassification", num_labels=1)
    model.config.pad_token_id = tokenizer.pad_token_id
    preference.train(
        model,
        tokenizer,
        train,
        epochs=settings.epochs,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        max_length=settings.max_length,
        arguments=hooks.common(one.work / f"trainer-{one.number}", device, settings.seed, save_steps=100),
        callbacks=[hooks.Report(one.report), *one.log.callbacks],
    )
    policy.save(model, tokenizer, one.folder, policy.stored_dtype(base))
    judge = RewardModel(model.eval(), tokenizer, batch)
    follows = judge.scores([(pair.heuristic, pair.question, pair.follows) for pair in test])
    strays = judge.scores([(pair.heuristic, pair.question, pair.strays) for pair in test])
    adherence.HeldOut(follows=follows, strays=strays).write(one.folder / paths.HELD_OUT)
    right = sum(a > b for a, b in zip(follows, strays, strict=True))
    return {
        "held_out_accuracy": right / len(follows),
        "held_out_pairs": len(follows),
        "training_pairs": len(train),
    }
