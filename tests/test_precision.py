"""One precision rule: what a GPU trains, samples and reads in, proven on a CPU with a GPU's trainer arguments."""

from __future__ import annotations

import copy
import gc
import random
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from devices import MEAN, MOST, NEAR
from polya_midtrain import params as settings
from polya_midtrain.checkpoints import policy
from polya_midtrain.engine import SamplingParams
from polya_midtrain.engine.opening import open_engine
from polya_midtrain.engine.transformers_engine import TransformersEngine
from polya_midtrain.params import Machine
from polya_midtrain.prompting import prompts
from polya_midtrain.records import Question
from polya_midtrain.traces.reward_model import RewardModel
from polya_midtrain.training import grpo, hooks, rollouts
from polya_midtrain.world import problems

ROOT = Path(__file__).resolve().parents[1]


def questions(count: int) -> list[Question]:
    rng = random.Random(4)
    drawn = [problems.sample(rng, 1 + index % 3) for index in range(count)]
    return [Question(str(i), problems.text(p), ["11", "22"][i % 2], "maths", "world") for i, p in enumerate(drawn)]


def train(folder: Path, checkpoint: Path, half: bool, device: str) -> list[tuple[Any, Any, Any]]:
    """Two steps of GRPO, in bfloat16 as on a GPU or in float32; of each the rollouts, the weights' format that they
    were sampled in, and the trainer's own log-probabilities of them."""
    policy.quiet()
    model, tokenizer = policy.load(checkpoint, device)
    model.train()
    config = settings.load(ROOT / "profiles/smoke.yaml").rl.model_copy(
        update={"prompts": 3, "generations": 4, "max_tokens": 20, "micro_batch": 12, "learning_rate": 0.01}
    )
    plan = rollouts.plan(Machine(device="cpu"), config, 1, model, tokenizer, lambda t: prompts.encode(tokenizer, t))
    roll, seen = plan.function, []
    assert roll is not None

    def watched(asked: list[Any], trainer: Any) -> dict[str, Any]:
        formats: list[torch.dtype] = []
        batch = TransformersEngine._batch

        def spied(engine: TransformersEngine, *arguments: Any) -> Any:
            formats.append(engine.model.dtype)
            return batch(engine, *arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TransformersEngine, "_batch", spied)
            found = roll(asked, trainer)
        ours = []
        for prompt, completion in zip(found["prompt_ids"], found["completion_ids"], strict=True):
            with torch.inference_mode():  # by the trained model's own forward, which accelerate has wrapped
                ids = torch.tensor([prompt + completion], device=device)
                logits = trainer.model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
            chosen = torch.log_softmax(logits.float().cpu(), -1).gather(1, torch.tensor(completion)[:, None])
            ours.append(chosen.squeeze(1).tolist())
        seen.append((found, formats, ours))
        return found

    plan.function = watched
    arguments = hooks.common(folder / "trainer", device, 1, 1000) | {"bf16": half}
    grpo.train(
        model,
        tokenizer,
        plan,
        questions(6),
        lambda question: [{"role": "user", "content": question.question}],
        lambda items: [text.endswith(gold + "}") for text, gold, _ in items],
        config,
        arguments=arguments,
        callbacks=[],
    )
    return seen


@pytest.mark.parametrize("half", [True, False], ids=["bfloat16", "float32"])
def test_rollouts_beside_a_gpu_s_trainer_have_the_trainer_s_probabilities(
    half: bool, device: str, tiny_policy: Path, tmp_path: Path
) -> None:
    """The crash of stage rl on a GPU: a common start went through accelerate's autocast, the rest of a prompt did not,
    and the cache had two number formats. Both steps are checked: the copy has to follow the weights."""
    steps = train(tmp_path, tiny_policy, half, device)
    assert len(steps) == 2
    for found, formats, ours in steps:
        assert set(formats) == {torch.bfloat16 if half else torch.float32}
        differences = [
            abs(one - other)
            for theirs, mine in zip(found["logprobs"], ours, strict=True)
            for one, other in zip(theirs, mine, strict=True)
        ]
        assert sum(differences) / len(differences) < (MEAN if half else NEAR[device] / 10)
        assert max(differences) < (MOST if half else NEAR[device])


def test_a_trained_model_is_let_go(
    device: str, tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the weights and Adam's averages of one seed those of the next would not fit on a GPU."""
    load, loaded = policy.load, []

    def watched(*arguments: Any, **more: Any) -> Any:
        model, tokenizer = load(*arguments, **more)
        loaded.append(weakref.ref(model))
        return model, tokenizer

    monkeypatch.setattr(policy, "load", watched)
    train(tmp_path, tiny_policy, True, device)
    gc.collect()
    assert [model() for model in loaded] == [None]


def test_a_gpu_reads_in_the_stored_format_and_trains_in_float32(tiny_policy: Path, tmp_path: Path) -> None:
    """The meta device stands for a GPU: it is none, but no CPU either."""
    policy.save(*policy.load(tiny_policy, "cpu"), tmp_path, torch.bfloat16)
    for device, purpose, dtype in [
        ("meta", "read", torch.bfloat16),
        ("cuda:1", "read", torch.bfloat16),
        ("meta", "train", torch.float32),
        ("cpu", "read", torch.float32),
        ("cpu", "train", torch.float32),
    ]:
        assert policy.precision(tmp_path, device, purpose) == dtype  # type: ignore[arg-type]
        if not device.startswith("cuda"):
            assert policy.load(tmp_path, device, purpose=purpose)[0].dtype == dtype  # type: ignore[arg-type]
    assert policy.precision(tiny_policy, "cuda", "read") == torch.float32  # what the embedded world is stored in


def test_who_samples_and_who_scores_on_a_gpu_opens_the_stored_format(
    tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy.save(*policy.load(tiny_policy, "cpu"), tmp_path, torch.bfloat16)
    monkeypatch.setattr(policy, "device_of", lambda _: "meta")
    engine = open_engine(tmp_path, Machine(), 8)
    assert isinstance(engine, TransformersEngine)
    assert engine.model.dtype == torch.bfloat16
    monkeypatch.setattr(policy, "load_tokenizer", lambda _: engine.tokenizer)
    assert RewardModel.load(tmp_path, Machine(), 4).model.dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_checkpoint_is_saved_without_a_copy_of_the_model(
    dtype: torch.dtype, tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside Adam's state a copy may not fit on a GPU; the files are those that the copy gave."""
    model, tokenizer = policy.load(tiny_policy, "cpu")
    copied = copy.deepcopy(model).to(dtype)
    copied.save_pretrained(tmp_path / "copied")
    monkeypatch.setattr(type(model), "__deepcopy__", lambda *_: pytest.fail("the model is copied"), raising=False)
    policy.save(model, tokenizer, tmp_path / "saved", dtype)
    assert model.dtype == torch.float32
    for file in (tmp_path / "copied").iterdir():
        assert (tmp_path / "saved" / file.name).read_bytes() == file.read_bytes(), file.name
    assert policy.stored_dtype(tmp_path / "saved") == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_engine_samples_in_the_format_of_its_weights_whatever_wraps_the_model(
    dtype: torch.dtype, tiny_policy: Path
) -> None:
    """accelerate replaces a trained model's ``forward``; the engine never calls it."""
    model, tokenizer = policy.load(tiny_policy, "cpu")
    model = model.to(dtype)
    asked = [prompts.encode(tokenizer, [{"role": "user", "content": one.question}]) for one in questions(4)]
    sampling = SamplingParams(n=3, max_tokens=12, seed=2)
    plain = TransformersEngine(model, tokenizer).generate(asked, sampling)
    model.forward = torch.autocast("cpu", torch.bfloat16)(model.forward)
    with torch.autocast("cpu", torch.bfloat16):
        assert TransformersEngine(model, tokenizer).generate(asked, sampling) == plain
