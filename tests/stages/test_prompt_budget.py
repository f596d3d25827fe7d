"""Stage prompts: every prompt is measured, and one that does not fit with its answer ends the run before it begins."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from polya_midtrain import paths
from polya_midtrain.checkpoints import policy
from polya_midtrain.errors import UserError
from polya_midtrain.params import Machine, Params
from polya_midtrain.prompting import heuristics, lengths
from polya_midtrain.prompting import prompts as asking
from polya_midtrain.records import Question, read_records, write_records
from polya_midtrain.stages import distil, prompts


def changed(params: Params, **blocks: dict[str, Any]) -> Params:
    return params.model_copy(
        update={name: getattr(params, name).model_copy(update=block) for name, block in blocks.items()}
    )


def refused(run: Any, params: Params) -> str:
    """The one line of a stage that refuses, and that left the measured prompts as they were."""
    before = paths.MID_PROMPTS.read_bytes()
    with pytest.raises(UserError) as caught:
        run(params)
    assert paths.MID_PROMPTS.read_bytes() == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_longest_prompt_of_each_condition_is_found(here: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lengths, "TRIED", 1000)  # the brute way: every question in every condition
    encoder, catalogue = policy.load_tokenizer(paths.base(1)), heuristics.load(here.prompts.catalogue)
    asked = read_records(paths.MID, Question)
    names = [None, *catalogue.first(3), ""]
    expected = []
    for name in names:
        sizes = [
            len(
                asking.encode(
                    encoder,
                    asking.bare(row.question, here.prompts)
                    if name is None
                    else asking.messages(row.question, name, here.prompts, catalogue),
                )
            )
            for row in asked
        ]
        expected.append((name, max(sizes)))
    found = json.loads(paths.MID_PROMPTS.read_text())
    assert [(row["heuristic"], row["tokens"]) for row in found] == expected
    assert {row["question"] for row in found} <= {row.id for row in asked}
    numbers = json.loads((paths.METRICS / "prompts.json").read_text())
    assert numbers["mid/longest"] == max(tokens for _, tokens in expected)
    assert {f"{name}/longest" for name in ("rl", "reward", "benchmarks_odd", "transfer_story")} <= set(numbers)


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ({"rl": {"max_prompt_tokens": 3}}, ("rl", "", ", rl.max_prompt_tokens is 3; raise it, or take shorter")),
        (
            {"generate": {"max_tokens": 155}},
            ("mid", " under heuristic ", ", with generate.max_tokens 155 16", "the context of the base (max_position"),
        ),
        ({"midtrain": {"max_length": 12}}, ("mid", "", ", with generate.max_tokens 11 1", "midtrain.max_length is 12")),
        (
            {"midtrain": {"max_length": 40}, "distil": {"max_tokens": 39}},
            ("mid", "", ", with distil.max_tokens 39 4", "midtrain.max_length is 40; raise it"),
        ),
        (
            {"evaluate": {"max_tokens": 155}},
            ("benchmarks.", "", ", with evaluate.max_tokens 155 1", "is 160; lower that, or take shorter"),
        ),
    ],
)
def test_a_prompt_that_does_not_fit_is_named_with_its_budget(
    again: Params, blocks: dict[str, dict[str, Any]], words: tuple[str, ...]
) -> None:
    message = refused(prompts.run, changed(again, **blocks))
    place, under, *rest = words
    assert message.startswith(f"params.yaml: questions.{place}")
    assert ": question " in message
    assert f"{under}" in message
    assert (" under heuristic " in message) is bool(under)
    assert " prompt tokens" in message
    for word in rest:
        assert word in message
    assert message.endswith(".max_chars)")


def test_limits_that_no_context_holds_are_refused(again: Params) -> None:
    message = refused(prompts.run, changed(again, rl={"max_prompt_tokens": 100, "max_tokens": 61}))
    assert message == (
        "params.yaml: rl.max_prompt_tokens 100 and rl.max_tokens 61 are together above the context of the base "
        "(max_position_embeddings), 160; lower one of them"
    )
    reward = again.reward.model_dump()
    reward["sampling"] |= {"samples": 2, "max_tokens": 159}
    message = refused(prompts.run, again.model_copy(update={"reward": type(again.reward).model_validate(reward)}))
    assert "params.yaml: questions.reward: question reward/" in message
    assert "with reward.sampling.max_tokens 159 1" in message


def test_the_teacher_s_context_is_its_own(again: Params) -> None:
    config = paths.teacher(1) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": 15}))
    before = paths.DISTILLED.read_bytes()
    message = refused(distil.run, again)
    assert "with distil.max_tokens 11 1" in message
    assert "the context of the teacher (max_position_embeddings) is 15; lower it" in message
    assert paths.DISTILLED.read_bytes() == before
    config.write_text(json.dumps({"text_config": {"max_position_embeddings": 77}}))
    assert lengths.context(paths.teacher(1)) == 77
    config.write_text("{}")
    assert lengths.context(paths.teacher(1)) is None


def test_other_benchmarks_are_measured_and_leave_what_is_sampled_under_heuristics_alone(again: Params) -> None:
    before = {path: path.read_bytes() for path in (paths.MID_PROMPTS, paths.REWARD_PROMPTS)}
    file = paths.BENCHMARKS / "pairs.parquet"
    write_records(file, Question, read_records(file, Question)[:1])
    write_records(paths.BENCHMARKS / "new.parquet", Question, read_records(paths.TRANSFER / "story.parquet", Question))
    prompts.run(again)
    assert {path: path.read_bytes() for path in before} == before
    assert (paths.PROMPTS / "benchmarks/new.json").exists()


def test_a_base_without_a_chat_template_is_refused(again: Params) -> None:
    (paths.base(1) / "chat_template.jinja").unlink()
    assert refused(prompts.run, again) == (
        "models/base/base-1: the tokenizer has no chat template; choose an instruction-tuned model"
    )


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        ({"processes": 4}, "machine.processes 4 asks for 4 GPUs on each of 1 hosts and torch sees 2"),
        (
            {"engine": "vllm", "tensor_parallel": 2, "data_parallel": 2},
            "machine asks for 4 GPUs (tensor_parallel 2 x data_parallel 2) and torch sees 2",
        ),
    ],
)
def test_two_gpus_fewer_than_asked_for_are_said_at_the_start(
    again: Params, monkeypatch: pytest.MonkeyPatch, machine: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    wanted = Machine.model_validate({"device": "cuda", **machine})
    assert refused(prompts.run, again.model_copy(update={"machine": wanted})).startswith(f"params.yaml: {words}")


def test_a_machine_that_cannot_confine_programs_is_said_at_the_start(
    again: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts.sandbox, "protections", lambda: frozenset({"seccomp"}))
    assert refused(prompts.run, again).startswith(
        "grading: this machine has no Landlock to confine graded programs with"
    )
    prompts.run(changed(again, machine={"sandbox": "weak"}))
    (paths.TRANSFER / "program.parquet").unlink()
    prompts.run(again)  # where no program is graded, nothing has to be confined


def test_enough_gpus_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    prompts.check_gpus(Machine(device="cuda", processes=4, engine="vllm", tensor_parallel=2, data_parallel=2))
