"""Stage prompts: how long every set's prompts are, and whether they and their answers fit, before anything is sampled.

It comes right after the questions and the base, and before whatever takes hours. Only the lengths of the sets that a
later stage samples under heuristics are its input, so that a longer benchmark is checked and samples nothing anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.grading import sandbox
from polya_midtrain.params import Machine, Params
from polya_midtrain.prompting import heuristics
from polya_midtrain.prompting.heuristics import Catalogue
from polya_midtrain.prompting.lengths import Budget, Longest, check, context, longest
from polya_midtrain.records import Question, read_records
from polya_midtrain.runtime.stage import stage
from polya_midtrain.training import hosts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def run(params: Params) -> None:
    """Write data/prompts/SET.json: of mid and reward the longest prompt in each condition, of the rest the bare one.

    Raises `UserError` for the first that does not fit, and where the machine has fewer GPUs than params.yaml asks for,
    or cannot confine the programs that will be graded.
    """
    check_gpus(params.machine)
    with stage(
        params,
        "prompts",
        outputs={"prompts": paths.PROMPTS},
    ) as this:
        policy.quiet()
        sets = {
            file.relative_to(paths.QUESTIONS).with_suffix("").as_posix(): read_records(file, Question)
            for file in sorted(paths.QUESTIONS.rglob("*.parquet"))
        }
        if any(row.kind == "code" for rows in sets.values() for row in rows):
            sandbox.admit(sandbox.protections(), params.machine.sandbox == "weak")
        catalogue = heuristics.load(params.prompts.catalogue)
        for number in reversed(params.numbers):  # the first one's is what is written
            found = measured(sets, policy.load_tokenizer(paths.base(number)), params, catalogue)
            check_base(found, context(paths.base(number)), params)
        for name, rows in found.items():
            file = this.work / "prompts" / f"{name}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
            this.numbers.update({f"{name.replace('/', '_')}/longest": max(row.tokens for row in rows)} if rows else {})


def check_gpus(machine: Machine) -> None:
    """Refuse a host with fewer GPUs than the settings ask for here, and not where they are first used."""
    hosts.count(machine)  # of a training
    if policy.device_of(machine.device) == "cuda":
        size, copies = machine.tensor_parallel, machine.data_parallel
        policy.need_gpus(size * copies, f"tensor_parallel {size} x data_parallel {copies}")


def measured(
    sets: Mapping[str, Sequence[Question]], tokenizer: PreTrainedTokenizerBase, params: Params, catalogue: Catalogue
) -> dict[str, list[Longest]]:
    """The longest prompts of every set, in the conditions in which the base is asked it."""
    names = catalogue.first(params.generate.heuristics)
    conditions = {"mid": [*names, ""]}
    if params.reward.kind == "train":
        conditions["reward"] = names
    return {
        name: longest(tokenizer, rows, conditions.get(name, []), params.prompts, catalogue)
        for name, rows in sets.items()
    }


def check_base(found: Mapping[str, Sequence[Longest]], limit: int | None, params: Params) -> None:
    """Refuse the first set whose prompts and answers do not fit the base's context ``limit``, or a training's limits.

    What is trained on is asked bare: a row of mid-training is the prompt without heuristic and examples, and a response
    of the base or the teacher.
    """
    fits = "the context of the base (max_position_embeddings)"
    prompt, response = params.rl.max_prompt_tokens, params.rl.max_tokens
    if limit is not None and prompt + response > limit:
        raise UserError(
            f"params.yaml: rl.max_prompt_tokens {prompt} and rl.max_tokens {response} are together above {fits}, "
            f"{limit}; lower one of them"
        )
    shots = "lower it, prompts.shots or prompts.plain_shots"
    answers = {"generate.max_tokens": params.generate.max_tokens}
    if any(arm.traces == "teacher" for arm in params.arms.values()):
        answers["distil.max_tokens"] = params.distil.max_tokens
    learned = max(answers, key=lambda setting: answers[setting])
    for name, rows in found.items():
        bare = [one for one in rows if one.heuristic is None]
        if name == "rl":
            check(name, bare, Budget(prompt, "rl.max_prompt_tokens", 0, "", "raise it"))
        elif name == "mid":
            generate = params.generate.max_tokens
            check(name, rows, Budget(limit, fits, generate, "generate.max_tokens", shots))
            most = params.midtrain.max_length
            check(name, bare, Budget(most, "midtrain.max_length", answers[learned], learned, "raise it"))
        elif name == "reward":
            if params.reward.kind == "train":
                sampling = params.reward.sampling.max_tokens
                check(name, rows, Budget(limit, fits, sampling, "reward.sampling.max_tokens", shots))
        else:
            check(name, bare, Budget(limit, fits, params.evaluate.max_tokens, "evaluate.max_tokens", "lower that"))
