"""Stage midtrain: supervised fine-tuning of the base on an arm's traces, once per training seed (paper, 6)."""

from __future__ import annotations

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.prompting import prompts
from polya_midtrain.records import TrainingRow, of_base, read_records
from polya_midtrain.runtime.stage import stage
from polya_midtrain.training import fits
from polya_midtrain.training.seeds import Fit, Training, final, train_all


def run(params: Params, arm: str) -> None:
    """Write models/midtrain/ARM/seed-S for every seed; an arm without mid-training gets pointers to the base."""
    source = paths.TRAIN / f"{arm}.parquet"
    traces = params.arm(arm).traces
    with stage(
        params,
        "midtrain",
        arm=arm,
        outputs={"seeds": paths.MIDTRAIN / arm},
        unit="steps",
        tasks=len(params.runs),
        seeds=params.runs,
    ) as this:
        rows = read_records(source, TrainingRow)
        if traces == "none":
            for run in params.runs:
                policy.point(this.work / "seeds" / f"seed-{run}", paths.base(paths.base_of(run)))
            return
        if not all(of_base(rows, number) for number in params.numbers):
            raise UserError(
                f"{source}: no correct trace was selected, so arm {arm} has nothing to learn from; raise "
                "generate.samples or take easier questions.mid in params.yaml"
            )
        policy.quiet()
        plan = training(params, arm)
        from polya_midtrain.training import sft  # noqa: F401  loaded once, before the workers fork

        results = train_all(
            params, arm, plan, this, lambda: fits.midtrain(policy.shape(paths.base(1)), params.midtrain)
        )
        this.numbers.update(final(results, params.runs, ("loss", "missing")))
        this.numbers["rows"] = len(rows)


def training(params: Params, arm: str) -> Training:
    """What a training seed of the arm learns, and from which checkpoint."""
    settings = params.midtrain
    rows = read_records(paths.TRAIN / f"{arm}.parquet", TrainingRow)

    def of_run(run: int) -> Fit:
        def fit(model, tokenizer, arguments, callbacks):  # type: ignore[no-untyped-def]
            from polya_midtrain.training import sft

            examples = [
                sft.Example(
                    prompts.encode(tokenizer, prompts.bare(row.question, params.prompts, row.kind)),
                    prompts.encode_response(tokenizer, row.response),
                )
                for row in of_base(rows, paths.base_of(run))
            ]
            return sft.fine_tune(
                model,
                tokenizer,
                examples,
                epochs=settings.epochs,
                batch=settings.batch,
                micro_batch=settings.micro_batch,
                learning_rate=settings.learning_rate,
                warmup=settings.warmup,
                max_length=settings.max_length,
                keep_order=False,
                arguments=arguments,
                callbacks=callbacks,
            )

        return fit

    return Training(of_run, lambda run: paths.base(paths.base_of(run)), settings.save_steps)
