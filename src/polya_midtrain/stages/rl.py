"""Stage rl: GRPO from each mid-trained policy, once per training seed (paper, 7)."""

from __future__ import annotations

import sys
from pathlib import Path

from polya_midtrain import grading, paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.grading.timeouts import Timeouts
from polya_midtrain.params import Params
from polya_midtrain.prompting import prompts
from polya_midtrain.records import Question, of_base, read_records
from polya_midtrain.results.curves import Curves
from polya_midtrain.runtime.stage import stage
from polya_midtrain.training import fits
from polya_midtrain.training.seeds import Fit, Training, curves, final, train_all

CURVES = {"reward": "reward", "entropy": "entropy", "completions/mean_length": "length"}  # trl's names: ours


def run(params: Params, arm: str) -> None:
    """Write models/rl/ARM/seed-S for every seed, and their training curves to results/curves/ARM.json."""
    source = paths.RL_QUESTIONS
    settings = params.rl
    params.arm(arm)
    with stage(
        params,
        "rl",
        arm=arm,
        outputs={"seeds": paths.RL / arm, "curves.json": paths.CURVES / f"{arm}.json"},
        unit="steps",
        tasks=len(params.runs),
        seeds=params.runs,
    ) as this:
        asked = read_records(source, Question)
        for number in params.numbers:
            if rest := left_out(source, len(of_base(asked, number)), settings.prompts):
                this.numbers[f"base_{number}/left_out"] = rest
        policy.quiet()
        plan = training(params, arm)
        from polya_midtrain.training import grpo  # noqa: F401  loaded once, before the workers fork

        vllm = params.machine.engine == "vllm"  # beside the trainer, or a server that follows one trainer
        results = train_all(params, arm, plan, this, lambda: fits.rl(policy.shape(paths.base(1)), settings), alone=vllm)
        Curves(arm=arm, seeds=curves(this.work, params.runs, CURVES)).write(this.work / "curves.json")
        this.numbers.update(final(results, params.runs, ("reward", "entropy", "missing")))


def left_out(source: Path, count: int, prompts: int) -> int:
    """How many of the questions fill no step; said on standard error, and refused where there is no step at all."""
    if count < prompts:
        raise UserError(
            f"{source}: {count} questions, fewer than the rl.prompts = {prompts} of one step; "
            "lower it or take more questions.rl in params.yaml"
        )
    if rest := count % prompts:
        print(
            f"polya: warning: {source}: {rest} of {count} questions fill no step of rl.prompts = {prompts} and are "
            "left out of each epoch; another limit of questions.rl in params.yaml would change that",
            file=sys.stderr,
        )
    return rest


def training(params: Params, arm: str) -> Training:
    """What a training seed of the arm learns from, and from which checkpoint."""
    settings = params.rl.model_copy(update={"epochs": params.arm(arm).epochs(params.rl.epochs)})
    asked = read_records(paths.RL_QUESTIONS, Question)

    def seeded(seed: int) -> Fit:
        def fit(model, tokenizer, arguments, callbacks):  # type: ignore[no-untyped-def]
            from polya_midtrain.training import grpo, rollouts

            def encode(turns: list[dict[str, str]]) -> list[int]:
                return prompts.encode(tokenizer, turns)

            weak = params.machine.sandbox == "weak"
            timeouts = Timeouts(Path(arguments["output_dir"]) / "timeouts")

            return grpo.train(
                model,
                tokenizer,
                rollouts.plan(params.machine, settings, seed, model, tokenizer, encode),
                of_base(asked, paths.base_of(seed)),
                lambda question: prompts.bare(question.question, params.prompts, question.kind),
                lambda items: [verdict.correct for verdict in grading.grade_many(items, 1, weak, timeouts)],
                settings,
                arguments=arguments,
                callbacks=callbacks,
            )

        return fit

    return Training(seeded, lambda seed: paths.MIDTRAIN / arm / f"seed-{seed}", settings.save_steps)
