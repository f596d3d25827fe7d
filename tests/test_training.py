"""The trainers' own part: what carries loss, which rollouts a seed draws, what is kept of a curve."""

from __future__ import annotations

import copy
import json
import random
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from trl import GRPOConfig

from devices import MEAN, MOST, NEAR
from polya_midtrain import params as settings
from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import Machine, Rl
from polya_midtrain.prompting import prompts
from polya_midtrain.records import Question
from polya_midtrain.stages import rl
from polya_midtrain.training import grpo, hooks, rollouts, sft
from polya_midtrain.training.seeds import TAIL, curves, final, tails
from polya_midtrain.training.sft import IGNORED, Example
from polya_midtrain.world import problems, traces

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def loaded(tiny_policy: Path, device: str) -> tuple[Any, Any]:
    policy.quiet()
    return policy.load(tiny_policy, device)


@pytest.fixture(scope="module")
def examples(loaded: tuple[Any, Any]) -> list[Example]:
    rng = random.Random(3)
    found = []
    for parts in (1, 3, 2, 1, 2, 3):
        problem = problems.sample(rng, parts)
        turns = [{"role": "user", "content": problems.text(problem)}]
        response = traces.write(problem, ["lemma"] * parts)
        found.append(Example(prompts.encode(loaded[1], turns), prompts.encode_response(loaded[1], response)))
    return found


def test_only_the_response_carries_loss() -> None:
    columns = Example([1, 2, 3], [4, 5]).columns(10)
    assert columns == {"input_ids": [1, 2, 3, 4, 5], "labels": [IGNORED, IGNORED, IGNORED, 4, 5]}
    assert Example([1, 2, 3], [4, 5]).columns(4) == {"input_ids": [1, 2, 3, 4], "labels": [IGNORED] * 3 + [4]}


def response_loss(model: Any, examples: list[Example]) -> float:
    """The mean over response tokens of their negative log-probability, by plain forward passes."""
    total, count = 0.0, 0
    with torch.inference_mode():
        for example in examples:
            ids = torch.tensor([example.prompt + example.response], device=model.device)
            logprobs = torch.log_softmax(model(input_ids=ids).logits[0, :-1].double(), dim=-1)
            picked = logprobs.gather(1, ids[0, 1:, None]).squeeze(1)[len(example.prompt) - 1 :]
            total, count = total - float(picked.sum()), count + len(picked)
    return total / count


@pytest.mark.parametrize("micro_batch", [6, 2])
def test_fine_tuning_minimises_the_loss_of_response_tokens(
    loaded: tuple[Any, Any], examples: list[Example], micro_batch: int, device: str, tmp_path: Path
) -> None:
    model = copy.deepcopy(loaded[0])
    before = response_loss(model, examples)
    log = sft.fine_tune(
        model,
        loaded[1],
        examples,
        epochs=6,
        batch=6,
        micro_batch=micro_batch,
        learning_rate=0.01,
        warmup=0.0,
        max_length=160,
        keep_order=True,
        arguments=hooks.common(tmp_path / "trainer", device, 1, save_steps=100),
        callbacks=[],
    )
    losses = [point["loss"] for point in log if "loss" in point]
    near = {"cpu": 1e-3, "cuda": MEAN}[device]
    assert losses[0] == pytest.approx(before, abs=near)  # all six in one step, however they are split up
    assert len(losses) == 6
    assert response_loss(model, examples) < losses[-1] < losses[0]


def rl_settings(**changes: Any) -> Rl:
    params = settings.load(ROOT / "profiles/smoke.yaml")
    return params.rl.model_copy(update={"prompts": 3, "generations": 4, "max_tokens": 20} | changes)


def rolled(loaded: tuple[Any, Any], seed: int, step: int, questions: list[str]) -> dict[str, Any]:
    """A step's rollouts, asked for as trl does: each prompt G times in a row."""
    model, tokenizer = loaded
    config = rl_settings()
    plan = rollouts.plan(
        Machine(device="cpu"), config, seed, model, tokenizer, lambda turns: prompts.encode(tokenizer, turns)
    )
    assert (plan.config, plan.callback) == ({}, None)
    roll = plan.function
    assert roll is not None
    turns = [[{"role": "user", "content": question}] for question in questions for _ in range(config.generations)]
    half = model.device.type == "cuda"
    trainer = SimpleNamespace(
        state=SimpleNamespace(global_step=step),
        args=GRPOConfig(use_cpu=not half, bf16=half),
        is_fsdp_enabled=False,
        model=model,
        accelerator=SimpleNamespace(device=model.device),
    )
    return roll(turns, trainer)


QUESTIONS = ["jar 3 5 2", "rod 1 4 6; cup 2 2 1", "box 9 8 7"]


def test_rollouts_answer_the_prompts_that_they_stand_beside(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    found = rolled(loaded, 1, 0, QUESTIONS)
    expected = [prompts.encode(tokenizer, [{"role": "user", "content": question}]) for question in QUESTIONS]
    assert found["prompt_ids"] == [ids for ids in expected for _ in range(4)]
    assert len(found["completion_ids"]) == len(found["logprobs"]) == 12
    for prompt, completion, logprobs in zip(*found.values(), strict=True):
        with torch.inference_mode():
            ids = torch.tensor([prompt + completion], device=model.device)
            logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].cpu()
        plain = torch.log_softmax(logits, -1).gather(1, torch.tensor(completion)[:, None]).squeeze(1)
        assert logprobs == pytest.approx(plain.tolist(), abs=NEAR["cpu"] if model.device.type == "cpu" else MOST)
    assert len({tuple(ids) for ids in found["completion_ids"]}) > 4


def test_rollouts_depend_on_the_training_seed_and_the_step(loaded: tuple[Any, Any]) -> None:
    drawn = {
        (seed, step): rolled(loaded, seed, step, QUESTIONS)["completion_ids"] for seed in (1, 2) for step in (0, 1)
    }
    if loaded[0].device.type == "cpu":  # in bfloat16 a GPU gives others again
        assert drawn[1, 0] == rolled(loaded, 1, 0, QUESTIONS)["completion_ids"]
    found = list(drawn.values())
    assert all(a != b for i, a in enumerate(found) for b in found[:i])


def test_rollouts_of_vllm_pin_the_mode_and_seed_every_step() -> None:
    """What can be said without a GPU: trl's settings, and a seed for each of the server's steps."""

    def planned(**machine: Any) -> rollouts.Rollouts:
        return rollouts.plan(Machine(engine="vllm", **machine), rl_settings(), 3, None, None, list)  # type: ignore[arg-type]

    beside, server = planned(rollout_memory=0.4), planned(server="http://localhost:8000")
    assert beside.function is not None
    assert beside.config["vllm_mode"] == "colocate"
    assert beside.config["vllm_gpu_memory_utilization"] == 0.4
    assert beside.config["vllm_enable_sleep_mode"] is True
    assert (server.function, server.config["vllm_server_base_url"]) == (None, "http://localhost:8000")
    for plan in (beside, server):
        config = GRPOConfig(**plan.config, use_cpu=True, bf16=False)
        assert config.use_vllm
        assert config.vllm_importance_sampling_mode == "token_truncate"
        assert config.vllm_max_model_length == rl_settings().max_prompt_tokens + 20
    generation = SimpleNamespace(generation_kwargs={})
    assert server.callback is not None
    callback = server.callback(SimpleNamespace(vllm_generation=generation))
    seeds = []
    for step in (0, 1):
        callback.on_step_begin(None, SimpleNamespace(global_step=step), None)
        seeds.append(generation.generation_kwargs["seed"])
    assert len(set(seeds)) == 2


class Stop(Exception):
    """A crash."""


def orders(loaded: tuple[Any, Any], folder: Path, crash: int = -1) -> list[list[str]]:
    """The questions of each step of three epochs of two steps over seven questions; after a crash, of what is left."""
    model, tokenizer = loaded
    config = rl_settings(epochs=3, micro_batch=12, max_tokens=4)
    plan = rollouts.plan(
        Machine(device="cpu"), config, 1, model, tokenizer, lambda turns: prompts.encode(tokenizer, turns)
    )
    roll, asked = plan.function, []
    assert roll is not None

    def recorded(turns: list[Any], trainer: Any) -> dict[str, Any]:
        asked.append([turn[0]["content"] for turn in turns[:: config.generations]])
        if len(asked) == crash:
            raise Stop
        return roll(turns, trainer)

    plan.function = recorded
    try:
        grpo.train(
            copy.deepcopy(model).train(),
            tokenizer,
            plan,
            [Question(str(digit), f"jar 3 5 {digit}", "11", "maths", "world") for digit in range(1, 8)],
            lambda question: [{"role": "user", "content": question.question}],
            lambda items: [False for _ in items],
            config,
            arguments=hooks.common(folder, model.device.type, 1, save_steps=1),
            callbacks=[hooks.Report(lambda done, total: None)],
        )
    except Stop:
        return orders(loaded, folder)
    return asked


def test_each_epoch_has_an_order_of_its_own_and_a_crash_does_not_change_it(
    loaded: tuple[Any, Any], tmp_path: Path
) -> None:
    whole = orders(loaded, tmp_path / "whole")
    assert len(whole) == 6
    epochs = [whole[step] + whole[step + 1] for step in (0, 2, 4)]
    assert all(len(set(epoch)) == 6 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert len(set.union(*map(set, epochs))) == 7  # the one that fills no step is another one each time
    for crash in (4, 5, 6):  # within the second epoch, and at the start and within the third
        assert orders(loaded, tmp_path / f"crash-{crash}", crash) == whole[crash - 1 :]


def test_questions_that_fill_no_step_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    source = Path("rl.parquet")
    assert rl.left_out(source, 16, 8) == 0
    assert capsys.readouterr().err == ""
    assert rl.left_out(source, 13_197, 64) == 13
    assert capsys.readouterr().err.startswith(
        "polya: warning: rl.parquet: 13 of 13197 questions fill no step of rl.prompts = 64 and are left out of each"
    )
    with pytest.raises(UserError, match=r"^rl\.parquet: 7 questions, fewer than the rl\.prompts = 8 of one step"):
        rl.left_out(source, 7, 8)


def test_the_share_of_capped_tokens_is_logged() -> None:
    ratio = torch.tensor([[0.5, rollouts.CAP, rollouts.CAP], [1.0, rollouts.CAP, 1.0]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 1]])

    class Plain:
        accelerator = SimpleNamespace(gather=lambda value: value)

        def __init__(self, output: dict[str, Any]) -> None:
            self.output = output
            self._metrics: dict[str, Any] = {"train": defaultdict(list)}

        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            return self.output

    trainer = rollouts.capped(Plain)({"importance_sampling_ratio": ratio, "completion_mask": mask})
    assert trainer._generate_and_score_completions([]) is trainer.output
    assert trainer._metrics["train"]["sampling/capped_share"] == [0.25]
    without = rollouts.capped(Plain)({"completion_mask": mask})
    without._generate_and_score_completions([])
    assert not without._metrics["train"]


def test_the_reward_is_one_for_right_and_zero_for_wrong() -> None:
    asked: list[Any] = []

    def verify(items: Any) -> list[bool]:
        asked.extend(items)
        return [text == gold for text, gold, _ in items]

    score = grpo.reward(verify)
    completions = [[{"role": "assistant", "content": text}] for text in ("1", "2", "3")]
    found = score(completions=completions, answer=["1", "3", "3"], kind=["maths"] * 3, prompts=["?"] * 3, step=1)
    assert found == [1.0, 0.0, 1.0]
    assert asked == [("1", "1", "maths"), ("2", "3", "maths"), ("3", "3", "maths")]


def test_a_final_number_is_the_mean_over_the_last_steps() -> None:
    curve: list[dict[str, Any]] = [{"loss": float(step), "step": step} for step in range(20)]
    curve += [{"loss": 7.0, "note": "text"}, {"train_runtime": 3.0}]
    found = tails(curve)
    assert found["loss"] == pytest.approx((16 + 17 + 18 + 19 + 7) / TAIL)
    assert found["train_runtime"] == 3.0
    assert "note" not in found


def test_a_value_that_is_no_finite_number_is_kept_as_missing_and_counted(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    log: list[dict[str, Any]] = [{"step": step, "reward": 1.0, "entropy": 0.5} for step in range(1, 9)]
    log[6] |= {"reward": None, "entropy": inf}  # trl has None where no completion could be scored
    log[7] |= {"reward": 2.0, "entropy": nan, "loss": nan}
    found = tails(log)
    assert found["reward"] == pytest.approx((1 + 1 + 1 + 2) / 4)
    assert (found["entropy"], found["missing"]) == (0.5, 4)
    assert "loss" not in found, "a mean over nothing"
    assert "missing" not in tails(log[:6])
    assert final([found], [3], ("reward", "missing")) == {"seed_3/reward": 1.25, "seed_3/missing": 4}
    (tmp_path / "curve-3.json").write_text(json.dumps({"final": found, "curve": log}))
    points = curves(tmp_path, [3], {"reward": "reward", "entropy": "entropy"})["3"]
    assert points[6:] == [{"step": 7, "reward": None, "entropy": None}, {"step": 8, "reward": 2.0, "entropy": None}]


def test_callbacks_after_ours_see_finite_numbers_alone() -> None:
    logs = {"loss": float("inf"), "reward": None, "entropy": 0.5, "note": "text"}
    hooks.Report(lambda *_: None).on_log(None, None, None, logs=logs)  # type: ignore[arg-type]
    assert logs == {"entropy": 0.5, "note": "text"}


def test_chosen_numbers_get_the_name_of_their_seed() -> None:
    results = [{"loss": 1.0, "seconds": 9.0}, {"seconds": 9.0}]
    assert final(results, [3, 7], ("loss", "entropy")) == {"seed_3/loss": 1.0}


# Loading and saving


def test_a_pointer_stands_for_another_checkpoint(tmp_path: Path) -> None:
    policy.point(tmp_path / "arm/seed-1", Path("models/base"))
    assert policy.resolve(tmp_path / "arm/seed-1") == Path("models/base")
    assert policy.resolve(tmp_path) == tmp_path


def test_a_checkpoint_keeps_its_number_format(loaded: tuple[Any, Any], tmp_path: Path) -> None:
    model, tokenizer = loaded
    for dtype in (torch.bfloat16, torch.float32):
        policy.save(model, tokenizer, tmp_path / str(dtype), dtype)
        assert policy.stored_dtype(tmp_path / str(dtype)) == dtype
        opened = policy.load(tmp_path / str(dtype), "cpu")[0]
        assert opened.dtype == torch.float32
        assert not opened.training
        for (name, ours), theirs in zip(opened.named_parameters(), model.parameters(), strict=True):
            assert torch.equal(ours, theirs.cpu().to(dtype).float()), name
    assert model.dtype == torch.float32  # the model in hand is as it was


def test_the_number_format_is_read_in_its_older_spelling_too(tmp_path: Path) -> None:
    for text, dtype in (('{"torch_dtype": "bfloat16"}', torch.bfloat16), ("{}", torch.float32)):
        (tmp_path / "config.json").write_text(text)
        assert policy.stored_dtype(tmp_path) == dtype


def test_a_folder_without_a_checkpoint_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing: no checkpoint here; run `dvc repro`"):
        policy.load(tmp_path / "nothing", "cpu")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023", "535.104.05"),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build  (dvs-builder)",
            "570.86.10",
        ),
    ],
)
@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_a_driver_that_is_too_old_is_one_line(
    line: str, found: str, wanted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(policy, "DRIVER", tmp_path / "version")
    (tmp_path / "version").write_text(f"{line}\nGCC version: 12\n")
    with pytest.raises(UserError, match=rf"driver of this host is {found}, and CUDA 13\.0 .* needs 580 or newer: "):
        policy.device_of(wanted)
    assert policy.device_of("cpu") == "cpu"
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    policy.check_driver(torch.version.cuda)
    policy.check_driver(None)  # a build of torch for CPUs


def test_a_gpu_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert policy.device_of("auto") == policy.device_of("cpu") == "cpu"
    with pytest.raises(UserError, match=r"^params.yaml: machine.device is cuda but torch sees no GPU; set it to "):
        policy.device_of("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [policy.device_of(wanted) for wanted in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
