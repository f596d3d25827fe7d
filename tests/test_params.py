"""Settings: what is refused, in one line that says where; what every committed profile promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from polya_midtrain import params as settings
from polya_midtrain.errors import UserError
from polya_midtrain.params import Block, Machine, Params, flat, studies
from polya_midtrain.prompting import heuristics

ROOT = Path(__file__).resolve().parents[1]
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))
SMOKE = (ROOT / "profiles/smoke.yaml").read_text(encoding="utf-8")


UNSEEN = (
    "questions.benchmarks.unseen: one part has no unseen combination of types; give pool unseen problems of 2 parts"
)


def changed(block: str, pattern: str, new: str) -> tuple[str, int]:
    """Profile smoke with one line of a block ("" for the top) replaced, and that line's number."""
    lines = SMOKE.splitlines()
    inside = not block
    for number, line in enumerate(lines):
        if block and re.match(r"\S", line):
            inside = line.startswith(f"{block}:")
        if inside and re.match(pattern, line):
            lines[number] = re.sub(f"{pattern}.*", new, line, count=1)
            return "\n".join(lines) + "\n", number + 1
    raise AssertionError(f"no line {pattern!r} in block {block!r}")


def line_of(text: str, start: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if line.startswith(start))


def refusal(path: Path, text: str) -> tuple[int, str]:
    """The line number and the prose of the error that a file gives."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        settings.load(path)
    message = str(caught.value)
    assert "\n" not in message
    found = re.fullmatch(rf"{re.escape(str(path))}:(\d+): (.+)", message)
    assert found, message
    return int(found[1]), found[2]


@pytest.mark.parametrize(
    ("block", "pattern", "new", "prose"),
    [
        (
            "",
            "seeds: ",
            "seeds: [1, 2, 1]",
            "seeds: training seeds must differ from each other; remove the repeated one",
        ),
        ("", "seeds: ", "seeds: []", "seeds: List should have at least 1 item"),
        ("", "seeds: ", "seeds: [1, two]", "seeds.1: Input should be a valid integer"),
        ("", "seeds: ", "sedes: [1, 2]\nseeds: [1, 2]", "sedes: no such setting; correct its name or remove it"),
        (
            "machine",
            "  device: ",
            "  device: gpu",
            "machine.device: Input should be 'auto', 'cpu' or 'cuda' (got 'gpu')",
        ),
        ("machine", "  workers: ", "  workers: -1", "machine.workers: Input should be greater than or equal to 0"),
        ("arms", "  n4: ", "  n4: {traces: heuristics, n: 0}", "arms.n4.n: Input should be greater than or equal to 1"),
        ("arms", "  n4: ", "  n4: {traces: heuristics, m: 2}", "arms.n4.m: no such setting"),
        ("arms", "  b4: ", "  b4: {traces: wrong, n: 4, match: {rows: n1}}", "arms.b4: traces wrong cannot be matched"),
        (
            "arms",
            "  b4: ",
            "  b4: {traces: heuristics, n: 4, match: {}}",
            "arms.b4.match: name an arm to match in rows, tokens or",
        ),
        ("arms", "  star: ", "  a_star: {traces: unprompted, n: 1}", "arms.a_star"),
        (
            "diversity",
            "  embedding: ",
            "  embedding: {kind: hub, id: a/b, revision: main}",
            "diversity.embedding.revision: a branch or a tag can move; give the full hash of a commit",
        ),
        ("arms", "  n4: ", "  n4: {traces: all, n: 2}", "arms.n4.traces: Input should be "),
        (
            "generate",
            "  samples: ",
            "  samples: 0",
            "generate.samples: Input should be greater than or equal to 1 (got 0)",
        ),
        ("generate", "  top_p: ", "  top_p: 0", "generate.top_p: Input should be greater than 0 (got 0)"),
        ("generate", "  top_p: ", "  top_p: 1.5", "generate.top_p: Input should be less than or equal to 1"),
        ("rl", "  generations: ", "  generations: 1", "rl.generations: Input should be greater than or equal to 2"),
        ("rl", "  temperature: ", "  temperature: 0", "rl.temperature: Input should be greater than 0"),
        ("rl", "  epochs: ", "  epochs: ten", "rl.epochs: Input should be a valid number"),
        ("base", "  kind: ", "  kind: wrld", "base: Input tag 'wrld'"),
        ("", "profile: ", "profile: ../tiny", "profile: String should match pattern"),
        ("", "profile: ", 'profile: "a\\\\e[2J"', "profile: String should match pattern"),
        ("base", "  hidden: ", "  width: 64", "base.width: no such setting"),
        ("tables", "  ks: ", "  ks: [0, 1]", "tables.ks.0: Input should be greater than or equal to 1"),
        ("tables", "  confidence: ", "  confidence: 95", "tables.confidence: Input should be less than 1"),
        (
            "questions",
            "  mid: ",
            "  mid: {source: world, task: chain, parts: [0], pool: seen, count: 1}",
            "questions.mid.parts.0: Input should be greater",
        ),
        ("questions", "  mid: ", "  mid: {source: gsm8", "not valid YAML"),
        (
            "questions",
            "    unseen: ",
            "    unseen: {source: world, task: chain, parts: [1, 2], pool: unseen, count: 4}",
            UNSEEN,
        ),
        ("", "seeds: ", "seeds: [-1, 2]", "seeds: a seed is a number from 0 to 2147483647; take another"),
        ("", "seeds: ", "seeds: [2147483648]", "seeds: a seed is a number from 0 to 2147483647; take another"),
        (
            "evaluate",
            "  seed: ",
            "  seed: 18446744073709551616",
            "evaluate.seed: a seed is a number from 0",
        ),
        ("questions", "  seed: ", "  seed: -7", "questions.seed: a seed is a number from 0 to"),
        ("", "seeds: ", "seeds: [1, true]", "seeds.1: Input should be a valid integer (got True)"),
        ("generate", "  samples: ", "  samples: true", "generate.samples: Input should be a valid integer (got True)"),
        ("generate", "  samples: ", "  samples: '4'", "generate.samples: Input should be a valid integer (got '4')"),
        ("rl", "  beta: ", "  beta: false", "rl.beta: Input should be a valid number (got False)"),
        ("rl", "  learning_rate: ", "  learning_rate: .inf", "rl.learning_rate: Input should be a finite number"),
        ("rl", "  beta: ", "  beta: .nan", "rl.beta: Input should be a finite number (got nan)"),
        (
            "modes",
            "  learning_rate: ",
            "  learning_rate: -.inf",
            "modes.learning_rate: Input should be a finite",
        ),
        ("rl", "  epochs: ", "  epochs: 1e300", "rl.epochs: larger than 10000000; lower it"),
        ("tables", "  resamples: ", "  resamples: 99999999999", "tables.resamples: larger than 10000000; lower it"),
        ("tables", "  ks: ", "  ks: [1, 99999999999]", "tables.ks: larger than 10000000; lower it"),
        ("base", "  hidden: ", "  hidden: 999999999999999999999", "base.hidden: "),
        ("arms", "  n4: ", "  ../n4: {traces: heuristics, n: 4}", "arms.../n4: String should match"),
        ("arms", "  n4: ", "  n4.5: {traces: heuristics, n: 4}", "arms.n4.5: String should match"),
        (
            "arms",
            "  n4: ",
            f"  {'n' * 99}: {{traces: heuristics, n: 4}}",
            f"arms.{'n' * 99}: String should have",
        ),
        (
            "questions",
            "    long: ",
            '    "../../evil": {source: gsm8k, split: test}',
            "questions.benchmarks.../../evil: String",
        ),
        (
            "questions",
            "    long: ",
            '    "=1+1": {source: gsm8k, split: test}',
            "questions.benchmarks.=1+1: String should match",
        ),
        (
            "questions",
            "    long: ",
            '    "![x](y)": {source: gsm8k, split: test}',
            "questions.benchmarks.![x](y): String",
        ),
        (
            "questions",
            "    long: ",
            '    "a\\\\nb": {source: gsm8k, split: test}',
            r"questions.benchmarks.a\nb: String",
        ),
        (
            "questions",
            "    story: ",
            "    /evil: {source: gsm8k, split: test}",
            "questions.transfer./evil: String should match",
        ),
        ("tables", "    mean: ", "    =a: [pairs]", "tables.means.=a: String should match"),
        ("", "profile: ", "profile: ../smoke", "profile: String should match"),
        (
            "prompts",
            "  catalogue: ",
            "  catalogue: a.yaml\n  catalogue: b.yaml",
            "catalogue is there twice; remove one",
        ),
    ],
)
def test_a_bad_value_is_one_line_that_says_where_and_what(
    tmp_path: Path, block: str, pattern: str, new: str, prose: str
) -> None:
    text, line = changed(block, pattern, new)
    found, said = refusal(tmp_path / "params.yaml", text)
    assert said.startswith(prose)
    at_or_after = {"  kind: ": line_of(SMOKE, "base:"), "not valid YAML": line + 1}
    expected = at_or_after.get(pattern, at_or_after.get(prose, line + new.count("\n")))
    assert found == (line if "sedes" in new else expected)


def test_a_missing_setting_is_named_at_its_block(tmp_path: Path) -> None:
    text = re.sub(r"\n  generations: .*", "", SMOKE, count=1)
    assert refusal(tmp_path / "params.yaml", text) == (line_of(text, "rl:"), "rl.generations: missing; add it")
    text = re.sub(r"\nscore:\n.*\n", "\n", SMOKE, count=1)
    assert refusal(tmp_path / "params.yaml", text) == (line_of(text, "profile:"), "score: missing; add it")


@pytest.mark.parametrize(
    ("block", "pattern", "new", "at", "words"),
    [
        (
            "tables",
            "  ks: ",
            "  ks: [1, 72]",
            "tables:",
            "tables.ks holds k=72 but evaluate.samples is 66; pass@k needs",
        ),
        ("evaluate", "  samples: ", "  samples: 64", "tables:", "lower k or raise evaluate.samples"),
        (
            "generate",
            "  heuristics: ",
            "  heuristics: 3",
            "generate:",
            "is 3 but arms.n4.n is 4; raise it or lower n",
        ),
        (
            "arms",
            "  b4: ",
            "  b4: {traces: heuristics, n: 4, match: {rows: b9}}",
            "arms:",
            "matched to 'b9', which is no arm",
        ),
        (
            "arms",
            "  b4: ",
            "  b4: {traces: heuristics, n: 4, match: {rows: t4}}",
            "arms:",
            "matched to 't4', which is no",
        ),
        ("compose", "  benchmarks: ", "  benchmarks: [nowhere]", "compose:", "names 'nowhere', which is not in"),
        (
            "questions",
            "    story: ",
            "    long: {source: gsm8k, split: test}",
            "questions:",
            "both a benchmark and a transfer set",
        ),
        ("arms", "  vanilla: ", "  base: {traces: none}", "arms:", "an arm `vanilla: {traces: none}` is needed"),
        (
            "arms",
            "  vanilla: ",
            "  vanilla: {traces: unprompted, n: 1}",
            "arms:",
            "every arm is compared with it; add it",
        ),
        (
            "arms",
            "  vanilla: ",
            "  vanilla: {traces: none, rl_epochs: 2}",
            "arms:",
            "an arm `vanilla: {traces: none}` is needed",
        ),
        (
            "arms",
            "  n4: ",
            "  n4: {traces: heuristics, n: 4, rl_epochs: 0.5}",
            "arms:",
            "{traces: none, rl_epochs: 0.5}",
        ),
        (
            "base",
            "  hidden: ",
            "  hidden: 66",
            "base:",
            "hidden 66 is not an even number for each of heads 4;",
        ),
        (
            "base",
            "  heads: ",
            "  heads: 64",
            "base:",
            "hidden 64 is not an even number for each of heads 64",
        ),
        (
            "arms",
            "  n4: ",
            "  diversity: {traces: heuristics, n: 4}",
            "arms:",
            "counts/diversity.json, which is not an",
        ),
        (
            "compose",
            "  benchmarks: ",
            "  benchmarks: [pairs, pairs]",
            "compose:",
            "compose.benchmarks names a benchmark tw",
        ),
        ("tables", "  ks: ", "  ks: [1, 2, 2]", "tables:", "tables.ks names a k twice; remove the repeated one"),
        (
            "rl",
            "  prompts: ",
            "  prompts: 5",
            "rl:",
            "questions.rl.count 16 is no multiple of rl.prompts 5: 1",
        ),
        (
            "questions",
            "  rl: ",
            "  rl: {source: world, task: chain, parts: [1], pool: seen, count: 21}",
            "rl:",
            "would be left out of each epoch; set count to 24",
        ),
        ("rl", "  micro_batch: ", "  micro_batch: 48", "rl:", "completions (prompts x generations) are no multiple of"),
        ("midtrain", "  micro_batch: ", "  micro_batch: 7", "midtrain:", "is no multiple of micro_batch 7; change one"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_at_their_block(
    tmp_path: Path, block: str, pattern: str, new: str, at: str, words: str
) -> None:
    text, _ = changed(block, pattern, new)
    line, said = refusal(tmp_path / "params.yaml", text)
    assert line == line_of(text, at)
    assert said.startswith(at)
    assert words in said
    assert "(got" not in said  # a whole block would say nothing


def test_a_missing_file_says_how_to_get_it_back(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params.yaml: no such file; restore it with `git checkout "):
        settings.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_loads_and_bears_its_own_name(path: Path) -> None:
    params = settings.load(path)
    assert params.profile == path.stem
    catalogue = heuristics.load(ROOT / params.prompts.catalogue)
    assert len(catalogue.first(params.generate.heuristics)) >= max(arm.n for arm in params.arms.values())
    assert {"vanilla", "star"} <= set(params.arms)
    assert len(params.runs) >= 2
    for name, arm in params.arms.items():
        kinds = {"heuristics": "nbts", "right": "r", "wrong": "w", "mixed": "m"}
        if arm.traces in kinds:
            assert name[0] in kinds[arm.traces]
            assert name.partition("-")[0][1:] == str(arm.n)  # the rest may say how much RL


def test_every_value_of_profile_paper_says_whose_it_is() -> None:
    """A mark beside each value, so that none of ours is taken for the paper's."""
    lines = (ROOT / "profiles/paper.yaml").read_text(encoding="utf-8").splitlines()
    values = [line for line in lines if re.match(r" *[\w-]+: *[^ #]", line) and not re.match(r" *kind: ", line)]
    assert len(values) > 90
    unmarked = [line for line in values if not re.search(r" # (.*\((paper, A|review, R|ours)\b|as w1$)", line)]
    assert unmarked == []


def test_params_are_profile_tiny_to_the_byte(committed: Path) -> None:
    assert (committed / "params.yaml").read_bytes() == (committed / "profiles/tiny.yaml").read_bytes()


def test_smoke_is_tiny_cut_down() -> None:
    """The same study: other values of the same settings, the same benchmarks, and arms for every table."""
    tiny, smoke = (settings.load(ROOT / f"profiles/{name}.yaml") for name in ("tiny", "smoke"))
    plain = [{name for name in flat(params) if not name.startswith("arms.")} for params in (tiny, smoke)]
    assert plain[0] == plain[1]
    for params in (tiny, smoke):
        assert len(studies.by_n(params.arms)) >= 2
        assert len(studies.budget(params.arms, "rows")) >= 2
        assert len(studies.budget(params.arms, "tokens")) == 2
        assert {params.arms[name].traces for name in studies.correctness(params.arms)} == {"right", "mixed", "wrong"}
        assert studies.distilled(params.arms)
        wrong = {params.arms[name].n for name in params.arms if params.arms[name].traces == "wrong"}
        assert wrong == {params.arms[name].n for name in params.arms if params.arms[name].traces == "right"}


def blocks(block: type[Block]) -> Iterator[type[Block]]:
    yield block
    for special in block.__subclasses__():
        yield from blocks(special)


def test_no_setting_that_dvc_hashes_has_a_default() -> None:
    """DVC hashes what stands in params.yaml: a default that changes would make nothing again.

    Block machine is no stage's to read: no result depends on it, so its defaults stay.
    """
    defaults = {
        f"{block.__name__}.{name}"
        for block in set(blocks(Block)) - {Machine}
        for name, field in block.model_fields.items()
        if not field.is_required() and field.get_default(call_default_factory=True) is not None
    }
    assert defaults == set()


def test_an_arm_without_traces_has_no_n_and_every_other_one_says_it(tmp_path: Path) -> None:
    assert settings.Arm.model_validate({"traces": "none"}).n == 1
    text, line = changed("arms", "  n4: ", "  n4: {traces: heuristics}")
    assert refusal(tmp_path / "params.yaml", text) == (line, "arms.n4.n: missing; add it")


def test_settings_cannot_be_changed_by_what_reads_them() -> None:
    params = settings.load(ROOT / "profiles/smoke.yaml")
    with pytest.raises(ValueError, match="frozen"):
        params.rl.beta = 1.0


def test_an_arm_by_name() -> None:
    params = settings.load(ROOT / "profiles/smoke.yaml")
    assert params.arm("n4").n == 4
    with pytest.raises(UserError) as caught:
        params.arm("n5")
    assert str(caught.value) == f"params.yaml: no arm 'n5'; the arms are {', '.join(params.arms)}"


def test_flat_names_are_dotted_and_hold_every_value() -> None:
    params = settings.load(ROOT / "profiles/smoke.yaml")
    names = flat(params)
    assert names["seeds"] == list(params.seeds)
    assert names["reward.sampling.max_tokens"] == getattr(params.reward, "sampling").max_tokens  # noqa: B009
    assert names["questions.benchmarks.long.parts"] == [4]
    assert not any(isinstance(value, dict) for value in names.values())
    assert Params.model_validate_json(params.model_dump_json()) == params


@pytest.mark.parametrize(
    ("benchmark", "means", "words"),
    [
        ("mean", "{}", "'mean' is the name of a mean and of a question set; rename one"),
        ("known", "{known: [triples]}", "'known' is the name of a mean and of a question set; rename one"),
        ("more", "{known: [pairs, odd]}", "means.known names 'odd', which is not in questions.benchmarks; correct it"),
        ("more", "{known: [pairs, pairs]}", "means.known names a benchmark twice; correct it"),
        ("more", "{mean: [odd]}", "means.mean names 'odd', which is not in questions.benchmarks; correct it"),
    ],
)
def test_a_mean_s_name_is_no_benchmark_s_and_its_members_are_there(
    tmp_path: Path, benchmark: str, means: str, words: str
) -> None:
    content = yaml.safe_load((ROOT / "profiles/tiny.yaml").read_text())
    content["questions"]["benchmarks"][benchmark] = {
        "source": "world",
        "task": "chain",
        "parts": [2],
        "pool": "seen",
        "count": 2,
    }
    content["tables"]["means"] = yaml.safe_load(means)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError) as caught:
        settings.load(path)
    assert str(caught.value).startswith(f"{path}:")
    assert words in str(caught.value)
