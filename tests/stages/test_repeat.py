"""The seed contract, and resumption: the same bytes again, whatever interrupted the work or shared it out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import Trainer, TrainerState

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.engine import Output
from polya_midtrain.engine.transformers_engine import TransformersEngine
from polya_midtrain.params import Params
from polya_midtrain.prompting import prompts
from polya_midtrain.records import Completion, Graded, Question, of_base, read_records
from polya_midtrain.stages import evaluate, generate, midtrain, rl
from polya_midtrain.training import grpo, hooks, sft

RUNS = [1, 101]  # of bases 1 and 2


def weights(folder: Path) -> bytes:
    return (policy.resolve(folder) / "model.safetensors").read_bytes()


def test_every_seed_trains_its_own_policy(here: Params) -> None:
    folders = [paths.MIDTRAIN / arm / f"seed-{seed}" for arm in ("star", "n2") for seed in RUNS]
    folders += [paths.RL / arm / f"seed-{seed}" for arm in ("vanilla", "star", "n2") for seed in RUNS]
    found = [weights(folder) for folder in [paths.base(1), *folders]]
    assert len(set(found)) == len(found)
    for folder in folders:
        model, tokenizer = policy.load(folder, "cpu")
        assert model.num_parameters() == policy.load(paths.base(1), "cpu")[0].num_parameters()
        assert tokenizer.chat_template
        assert policy.stored_dtype(folder) == policy.stored_dtype(paths.base(1))


Call = tuple[list[list[int]], list[list[Output]]]


def engine_calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """The prompts of every call of the engine from now on, and what came back."""
    found: list[Call] = []
    generated = TransformersEngine.generate

    def spy(self: TransformersEngine, prompts: Any, *more: Any) -> list[list[Output]]:
        outputs = generated(self, prompts, *more)
        found.append((prompts, outputs))
        return outputs

    monkeypatch.setattr(TransformersEngine, "generate", spy)
    return found


def test_two_training_seeds_share_no_rollout_and_one_seed_repeats_every_byte(
    again: Params, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = engine_calls(monkeypatch)
    rl.run(again, "vanilla")  # both seeds start from the base itself
    steps = len(of_base(read_records(paths.RL_QUESTIONS, Question), 1)) // again.rl.prompts
    assert len(calls) == steps * len(RUNS)
    rollouts = [
        {(tuple(prompt), tuple(output.token_ids)) for prompt, group in zip(*call, strict=True) for output in group}
        for call in (calls[0], calls[steps])
    ]
    assert all(len(found) > again.rl.prompts for found in rollouts)
    assert not rollouts[0] & rollouts[1]
    for seed in RUNS:
        folder = paths.RL / "vanilla" / f"seed-{seed}"
        assert weights(folder) == weights(project / folder)


def test_the_reward_is_the_share_of_rollouts_that_the_verifier_accepts(
    again: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = engine_calls(monkeypatch)
    rl.run(again, "star")
    asked = read_records(paths.RL_QUESTIONS, Question)
    tokenizer = policy.load(paths.base(1), "cpu")[1]
    steps = len(calls) // len(RUNS)
    numbers = json.loads((paths.METRICS / "rl@star.json").read_text())
    for place, seed in enumerate(RUNS):
        mine = calls[place * steps : (place + 1) * steps]
        mine_asked = of_base(asked, paths.base_of(seed))
        golds = {
            tuple(prompts.encode(tokenizer, prompts.bare(q.question, again.prompts))): q.answer for q in mine_asked
        }
        pairs = [(tuple(ids), output) for call in mine for ids, group in zip(*call, strict=True) for output in group]
        assert {ids for ids, _ in pairs} == set(golds)  # one pass over the questions
        right = [f"boxed{{{golds[ids]}}}" in output.text for ids, output in pairs]
        assert numbers[f"seed_{seed}/reward"] == pytest.approx(sum(right) / len(right), abs=1e-5)
        assert 0 < sum(right) < len(right)


@pytest.mark.parametrize(
    ("run", "folder"), [(midtrain.run, paths.MIDTRAIN), (rl.run, paths.RL)], ids=["midtrain", "rl"]
)
def test_the_number_of_processes_changes_no_byte(
    again: Params, project: Path, run: Callable[[Params, str], None], folder: Path
) -> None:
    shutil.rmtree(folder / "n2")
    run(again.model_copy(update={"machine": settings.Machine(device="cpu", workers=2)}), "n2")
    for seed in RUNS:
        place = folder / "n2" / f"seed-{seed}"
        assert weights(place) == weights(project / place)


def test_sampling_repeats_itself_and_changes_with_its_seed(again: Params, project: Path) -> None:
    parallel = again.model_copy(update={"machine": settings.Machine(device="cpu", workers=2)})
    generate.run(parallel)
    assert paths.GENERATED.read_bytes() == (project / paths.GENERATED).read_bytes()
    generate.run(again.model_copy(update={"generate": again.generate.model_copy(update={"seed": 2})}))
    before, after = (read_records(folder / paths.GENERATED, Completion) for folder in (project, Path()))
    assert sum(a.text == b.text for a, b in zip(before, after, strict=True)) < len(before) / 2


def test_evaluation_repeats_itself_and_its_seeds_draw_apart(again: Params, project: Path) -> None:
    evaluate.run(again, "vanilla")
    assert (paths.COUNTS / "vanilla.json").read_bytes() == (project / paths.COUNTS / "vanilla.json").read_bytes()
    rows = read_records(paths.COMPLETIONS / "vanilla.parquet", Graded)
    groups = [[row.text for row in rows[start : start + 40]] for start in (0, 40)]  # before RL: the base twice
    assert groups[0] != groups[1]


class Crash(BaseException):
    """A kill: no handler for ordinary exceptions may catch it."""


def crash_at(monkeypatch: pytest.MonkeyPatch, target: Any, name: str, call: int) -> list[int]:
    """From its call number ``call`` on, a function raises; the list grows by one for each call that it serves."""
    served: list[int] = []
    original = getattr(target, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if len(served) >= call:
            raise Crash
        served.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(target, name, wrapped)
    return served


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("run", "folder", "module", "function"),
    [(midtrain.run, paths.MIDTRAIN, sft, "fine_tune"), (rl.run, paths.RL, grpo, "train")],
    ids=["midtrain", "rl"],
)
def test_a_finished_seed_is_not_trained_again(
    again: Params,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[[Params, str], None],
    folder: Path,
    module: Any,
    function: str,
) -> None:
    before = snapshot(folder)
    with monkeypatch.context() as patch:
        crash_at(patch, module, function, 1)
        with pytest.raises(Crash):
            run(again, "n2")
    assert snapshot(folder) == before  # the outputs of the earlier run, whole
    with monkeypatch.context() as patch:
        served = crash_at(patch, module, function, 2)
        run(again, "n2")
    assert len(served) == 1
    for seed in RUNS:
        place = folder / "n2" / f"seed-{seed}"
        assert weights(place) == weights(project / place)


@pytest.mark.parametrize(
    ("run", "folder"), [(midtrain.run, paths.MIDTRAIN), (rl.run, paths.RL)], ids=["midtrain", "rl"]
)
def test_a_training_goes_on_from_its_last_checkpoint_to_the_same_bytes(
    again: Params, project: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[[Params, str], None], folder: Path
) -> None:
    steps: list[int] = []
    reported = hooks.Report.on_step_end

    def crash(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        steps.append(state.global_step)
        reported(self, args, state, control, **kwargs)
        if len(steps) == 3:
            raise Crash

    monkeypatch.setattr(hooks.Report, "on_step_end", crash)
    with pytest.raises(Crash):
        run(again, "n2")
    run(again, "n2")
    assert steps[:3] == [1, 2, 3]
    assert steps[3] == 3  # of seed 1: the checkpoint of step 2 was there
    for seed in RUNS:
        place = folder / "n2" / f"seed-{seed}"
        assert weights(place) == weights(project / place)


@pytest.mark.parametrize(
    ("run", "folder"), [(midtrain.run, paths.MIDTRAIN), (rl.run, paths.RL)], ids=["midtrain", "rl"]
)
@pytest.mark.parametrize("written", ["save_optimizer_and_scheduler", "save_to_json", "on_save"])
def test_a_training_goes_on_from_its_last_whole_checkpoint(
    again: Params,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[[Params, str], None],
    folder: Path,
    written: str,
) -> None:
    """A kill while the second checkpoint is written: before its optimiser, before its state, and before its mark."""
    steps: list[int] = []
    place = {
        "save_optimizer_and_scheduler": (Trainer, "_save_optimizer_and_scheduler"),
        "save_to_json": (TrainerState, "save_to_json"),
        "on_save": (hooks.Report, "on_save"),
    }[written]
    reported = hooks.Report.on_step_end

    def note(self: Any, args: Any, state: Any, *more: Any, **kwargs: Any) -> None:
        steps.append(state.global_step)
        reported(self, args, state, *more, **kwargs)

    monkeypatch.setattr(hooks.Report, "on_step_end", note)
    with monkeypatch.context() as patch:
        crash_at(patch, *place, 1)
        with pytest.raises(Crash):
            run(again, "n2")
    saved = 1 if folder == paths.RL else 2
    assert steps == list(range(1, 2 * saved + 1))
    run(again, "n2")
    assert steps[2 * saved] == saved + 1
    for seed in RUNS:
        place_of = folder / "n2" / f"seed-{seed}"
        assert weights(place_of) == weights(project / place_of)


def test_finished_parts_of_a_sampling_are_not_sampled_again(
    again: Params, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = paths.GENERATED.read_bytes()
    with monkeypatch.context() as patch:
        crash_at(patch, TransformersEngine, "generate", 3)
        with pytest.raises(Crash):
            generate.run(again)
    assert paths.GENERATED.read_bytes() == before
    with monkeypatch.context() as patch:
        served = crash_at(patch, TransformersEngine, "generate", 99)
        generate.run(again)
    assert len(served) == 8 - 3  # of four conditions on each of two bases
    assert paths.GENERATED.read_bytes() == before


def test_half_done_work_of_other_settings_is_not_resumed(again: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        crash_at(patch, TransformersEngine, "generate", 3)
        with pytest.raises(Crash):
            generate.run(again)
    other = again.model_copy(update={"generate": again.generate.model_copy(update={"temperature": 0.5})})
    served = crash_at(monkeypatch, TransformersEngine, "generate", 99)
    generate.run(other)
    assert len(served) == 8  # four conditions on each of two bases
