"""What the kernels take for alike, and what not."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polya_midtrain.checkpoints import policy
from polya_midtrain.kernels import hub, words, world
from polya_midtrain.params import HubEmbedding
from polya_midtrain.science import vendi
from polya_midtrain.science.vendi import Array
from polya_midtrain.world import problems, traces
from polya_midtrain.world.families import PLANS

TWO = r" jar backward 2+4=6 6+3=9 9-2=7:79 hat combine 1+4=5 5*6=0 1*6=6:60 \boxed{7960}"


def cosines(vectors: Array) -> Array:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


def written(rng: random.Random, plans: list[str]) -> str:
    return traces.write(problems.sample(rng, len(plans)), plans)


def test_a_trace_is_read_part_by_part() -> None:
    assert world.read(TWO) == (["backward", "combine"], ["+ + -", "+ * *"])
    assert world.read(r" jar 3+5=8:80 cup lemma \boxed{80}") == (["lemma"], ["+", ""])
    assert world.read("") == ([], [""])
    assert world.read("by forward: 3+5=8") == (["forward"], ["+"])


def test_the_plans_have_thirteen_shapes_and_sixteen_names() -> None:
    rng = random.Random(1)
    found = world.embed([written(rng, [plan]) for plan in PLANS])
    assert {name: round(vendi.score(vectors), 6) for name, vectors in found.items()}[world.SHAPES] < 13
    assert len(np.unique(found[world.SHAPES], axis=0)) == 13
    assert len(np.unique(found[world.NAMES_AND_SHAPES], axis=0)) == 16
    similar = cosines(found[world.NAMES_AND_SHAPES])
    plans = list(PLANS)
    assert similar[plans.index("backward"), plans.index("auxiliary")] == pytest.approx(0.5)  # other name, same shape
    assert similar[plans.index("forward"), plans.index("reduce")] == 0.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(sorted(PLANS)), min_size=1, max_size=4), st.integers(0, 99))
def test_numbers_order_and_length_of_a_trace_do_not_matter(plans: list[str], seed: int) -> None:
    rng = random.Random(seed)
    texts = [written(rng, plans), written(rng, plans[::-1])]
    if len(plans) <= 2:
        texts.append(written(rng, plans * 2))
    for vectors in world.embed(texts).values():
        np.testing.assert_allclose(cosines(vectors), 1.0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=30) | st.sampled_from([TWO, TWO[:20], "3+5=8 jar"]), min_size=1, max_size=5))
def test_any_text_has_a_direction_in_every_kernel(texts: list[str]) -> None:
    for vectors in [*world.embed(texts).values(), *words.embed(texts).values()]:
        assert len(vectors) == len(texts)
        assert (np.linalg.norm(vectors, axis=1) > 0).all()


def test_names_alone_are_seen_by_one_kernel_only() -> None:
    rng = random.Random(2)
    found = world.embed([written(rng, [plan]) for plan in ("separate", "scale") * 4])  # both: times, times, minus
    assert vendi.score(found[world.SHAPES]) == pytest.approx(1.0)
    assert vendi.score(found[world.NAMES_AND_SHAPES]) > 1.5


def test_words_count_pairs_and_not_meaning() -> None:
    [vectors] = words.embed(["add two and three", "add three and two", "the sum is five", "add two and three"]).values()
    similar = cosines(vectors)
    assert similar[0, 3] == pytest.approx(1.0)
    assert 0.3 < similar[0, 1] < 0.9  # the same words in other pairs
    assert similar[0, 2] == 0.0


def test_sentence_embeddings_are_means_over_tokens_that_are_no_padding(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def snapshot(name: str, revision: str, folder: Path) -> None:
        assert (name, revision) == ("someone/model", "c0ffee12" * 5)
        shutil.copytree(tiny_checkpoint, folder)

    monkeypatch.setattr(hub.hub, "snapshot", snapshot)
    texts = [TWO, " jar forward", " cup", TWO[:40]]
    settings = HubEmbedding(kind="hub", id="someone/model", revision="c0ffee12" * 5)
    heard: list[tuple[int, int]] = []
    monkeypatch.setattr(hub, "BATCH", 3)
    found = hub.embed(texts, settings, "cpu", tmp_path / "model", lambda *done: heard.append(done))
    assert list(found) == ["sentence embeddings of someone/model"]
    assert heard == [(3, 4), (4, 4)]
    [vectors] = found.values()
    model, tokenizer = policy.load(tiny_checkpoint, "cpu", "AutoModel")
    for text, vector in zip(texts, vectors, strict=True):
        with torch.no_grad():
            alone = model(input_ids=tokenizer(text, return_tensors="pt")["input_ids"]).last_hidden_state[0]
        np.testing.assert_allclose(vector, alone.mean(0).numpy(), atol=1e-5)
