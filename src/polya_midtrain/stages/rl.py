"""Stage rl: GRPO from each mid-trained policy, once per training seed (paper, 7)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from polya_midtrain import grading, paths
from polya_midtrain.common import policy, prompts
from polya_midtrain.common.records import Question, read_records
from polya_midtrain.errors import UserError
from polya_midtrain.params import Params
from polya_midtrain.runtime import workers
from polya_midtrain.runtime.stage import stage
from polya_midtrain.training.seeds import Seed, curves, final, trained

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CURVES = {"reward": "reward", "entropy": "entropy", "completions/mean_length": "length"}  # trl's names: ours


def run(params: Params, arm: str) -> None:
    """Write models/rl/ARM/seed-S for every seed, and their training curves to results/curves/ARM.json."""
    source = paths.RL_QUESTIONS
    start = paths.MIDTRAIN / arm
    settings = params.rl
    params.arm(arm)
    with stage(
        params,
        "rl",
        arm=arm,
        inputs=[source, paths.BASE, start],
        settings={
            "rl": settings.model_dump(),
            "prompts": params.prompts.model_dump(mode="json"),
            "seeds": params.seeds,
        },
        outputs={"seeds": paths.RL / arm, "curves.json": paths.CURVES / f"{arm}.json"},
        unit="steps",
        tasks=len(params.seeds),
        seeds=params.seeds,
    ) as this:
        asked = read_records(source, Question)
        if len(asked) < settings.prompts:
            raise UserError(
                f"{source}: {len(asked)} questions, fewer than the rl.prompts = {settings.prompts} of one step; "
                "lower it or take more questions.rl in params.yaml"
            )
        policy.quiet()
        device = policy.device_of(params.machine.device)
        from polya_midtrain.engine.transformers_engine import TransformersEngine
        from polya_midtrain.training import grpo

        def train(seed: int, report: workers.Report) -> dict[str, float]:
            job = Seed(params, "rl", arm, seed, this)

            def fit(model, tokenizer, arguments, callbacks):  # type: ignore[no-untyped-def]
                check_budget(asked, tokenizer, params)
                return grpo.train(
                    model,
                    tokenizer,
                    TransformersEngine(model, tokenizer, settings.rows),
                    asked,
                    lambda question: prompts.bare(question, params.prompts),
                    lambda turns: prompts.encode(tokenizer, turns),
                    lambda items: [verdict.correct for verdict in grading.grade_many(items, 1)],
                    settings,
                    seed=seed,
                    arguments=arguments,
                    callbacks=callbacks,
                )

            return trained(job, start / f"seed-{seed}", device, settings.save_steps, report, fit)

        results = workers.run_tasks(
            train, params.seeds, workers.worker_count(params.machine.workers, device), this.line.update
        )
        document = {"arm": arm, "seeds": curves(this, params.seeds, CURVES)}
        (this.work / "curves.json").write_text(json.dumps(document) + "\n")
        this.numbers.update(final(results, params.seeds, ("reward", "entropy")))


def check_budget(asked: Sequence[Question], tokenizer: PreTrainedTokenizerBase, params: Params) -> None:
    """Refuse, before the expensive part, a question that is longer than the prompt budget."""
    budget = params.rl.max_prompt_tokens
    for question in asked:
        size = len(prompts.encode(tokenizer, prompts.bare(question.question, params.prompts)))
        if size > budget:
            raise UserError(
                f"{paths.RL_QUESTIONS}: question {question.id} takes {size} prompt tokens, rl.max_prompt_tokens is "
                f"{budget}; raise it or lower questions.rl.max_chars in params.yaml"
            )
