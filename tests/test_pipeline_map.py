"""dvc.yaml is the map of the study: each stage hangs on its code and lists the settings that it uses, and no others.

What a stage uses is read off its source: the modules that it imports, directly or not, and the settings that they take
from params.yaml. A missing entry would leave outdated results in place, a needless one make them again for nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from polya_midtrain import cli
from polya_midtrain.params import Block, Params
from polya_midtrain.runtime import sources
from polya_midtrain.stages import questions
from polya_midtrain.tables import registry

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/polya_midtrain"
PIPELINE: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "profiles/tiny.yaml").read_text())
MACHINE = "machine"  # where the work runs, not what comes out, but for how programs are confined
CONFINED = "machine.sandbox"
HAND_WRITTEN = ("claims.yaml", "docs/preregistration.md", "params.yaml")  # inputs that people write


def expanded() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(stage, item, entry) of every stage as DVC runs it; ``item`` is an arm or a table, or ""."""
    for name, entry in PIPELINE.items():
        if "foreach" not in entry:
            yield name, "", entry
            continue
        items = entry["foreach"]
        items = dict.fromkeys(PARAMS[items[2:-1]], "") if isinstance(items, str) else items
        for key, item in items.items():
            text = yaml.safe_dump(entry["do"]).replace("${key}", key).replace("${item}", item)
            yield name, key, yaml.safe_load(text)


STAGES = list(expanded())
NAMES = [f"{name}@{item}" if item else name for name, item, _ in STAGES]


def used(name: str, item: str) -> frozenset[Path]:
    return sources.used(name, item if name in cli.TABLE_STAGES else "")


def stage_file(name: str) -> Path:
    return PACKAGE / f"stages/{name}.py"


def test_every_stage_is_a_module_and_every_module_a_stage() -> None:
    modules = {file.stem for file in stage_file("*").parent.glob("*.py")} - {"__init__"}
    assert set(PIPELINE) == modules
    assert list(PIPELINE)[-1] == cli.LAST_STAGE


@pytest.mark.parametrize(("name", "item", "entry"), STAGES, ids=NAMES)
def test_a_stage_runs_its_module_and_keeps_its_numbers(name: str, item: str, entry: dict[str, Any]) -> None:
    options = {"arm": name in cli.ARM_STAGES, "table": name in cli.TABLE_STAGES}
    wanted = [option for option, needed in options.items() if needed]
    assert entry["cmd"] == " ".join(["polya stage", name, *(f"--{option} {item}" for option in wanted)])
    assert bool(item) is bool(wanted)
    metrics = f"results/metrics/{name}@{item}.json" if item else f"results/metrics/{name}.json"
    assert entry["metrics"] == [{metrics: {"cache": False}}]


@pytest.mark.parametrize(("name", "item", "entry"), STAGES, ids=NAMES)
def test_a_stage_hangs_on_its_code(name: str, item: str, entry: dict[str, Any]) -> None:
    label = f"{name}@{item}" if name in cli.TABLE_STAGES else name
    listed = [dep for dep in entry["deps"] if dep.startswith(("results/code", "src"))]
    assert listed == (["src/polya_midtrain"] if name == "code" else [f"results/code/{label}.json"])
    assert stage_file(name) in used(name, item)


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("training/grpo.py", {"rl"}),
        ("training/sft.py", {"base", "teacher", "reward", "midtrain"}),
        ("figures/budget.py", {"figures"}),
        ("page/page.js", {"page"}),
        ("tables/modes/table.py", {"tables@modes"}),
        ("grading/landlock.py", {"prompts", "distil", "grade", "score", "select", "rl", "evaluate"}),
        ("runtime/progress.py", set()),
    ],
)
def test_a_file_belongs_to_the_stages_that_use_it(file: str, stages: set[str]) -> None:
    assert (PACKAGE / file).exists()
    labels = {f"{name}@{item}" if name in cli.TABLE_STAGES else name: (name, item) for name, item, _ in STAGES}
    assert {label for label, (name, item) in labels.items() if PACKAGE / file in used(name, item)} == stages


# What Params works out, and of which settings.
MADE_OF = {"runs": {"bases", "seeds"}, "numbers": {"bases"}, "base_settings": {"base", "bases"}}


def fields_of(model: Any) -> dict[str, Any]:
    """The settings in a block; none in a value or where the block's kind decides which settings there are."""
    return model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}


class Settings(ast.NodeVisitor):
    """Collects the settings, as dotted names, that a source takes from an argument of type `Params`."""

    def __init__(self, item: str) -> None:
        self.item = item
        self.names: set[str] = set()
        self.holders: set[str] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer = self.holders
        arguments = [*node.args.args, *node.args.kwonlyargs]
        taken = {a.arg for a in arguments if isinstance(a.annotation, ast.Name) and a.annotation.id == "Params"}
        self.holders = outer - {a.arg for a in arguments} | taken
        self.generic_visit(node)
        self.holders = outer

    def visit_Expr(self, node: ast.Expr) -> None:
        # `params.arm(arm)` on a line of its own asks whether there is such an arm and takes nothing from it.
        if not re.fullmatch(r"\w+\.arm\(\w+\)", ast.unparse(node)):
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if re.fullmatch(r"(\w+)\.arm", ast.unparse(node.func)) and ast.unparse(node.func).split(".")[0] in self.holders:
            self.names.add(f"arms.{self.item}")
        else:
            self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            chain.insert(0, inner.attr)
            inner = inner.value
        if not (isinstance(inner, ast.Name) and inner.id in self.holders):
            self.generic_visit(node)
            return
        model: Any = Params
        name = []
        for part in chain:
            if part not in fields_of(model):
                break
            name.append(part)
            model = model.model_fields[part].annotation
        assert name or chain[0] in MADE_OF, f"what is {ast.unparse(node)}?"
        self.names |= {".".join(name)} if name else MADE_OF[chain[0]]


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def settings_of(name: str, item: str) -> set[str]:
    """The settings that a stage takes, those of the machine aside; of a block and a part of it the block."""
    found = Settings(item)
    for file in sorted(used(name, item)):
        if file.suffix == ".py":
            found.visit(parsed(file))
    names = {one for one in found.names if one.split(".")[0] != MACHINE or one == CONFINED}
    return {one for one in names if not any(one.startswith(f"{other}.") for other in names)}


@pytest.mark.parametrize(("name", "item", "entry"), STAGES, ids=NAMES)
def test_the_settings_that_a_stage_lists_are_those_that_it_takes(name: str, item: str, entry: dict[str, Any]) -> None:
    # A setting that only names an input file is on the map as that file.
    files = {dep[2:-1] for dep in entry["deps"] if dep.startswith("${")}
    # Those of an expanded stage's own modules stand in one list.
    items = [other for stage, other, _ in STAGES if stage == name] if name in cli.TABLE_STAGES else [item]
    taken = set().union(*(settings_of(name, other) for other in items))
    listed = set(entry.get("params", []))
    # Of its own block a stage may list the whole.
    whole = {one for one in taken if one.startswith(f"{name}.")} if name in listed else set()
    everything = "params.yaml" in entry["deps"]
    assert listed == (set() if everything else taken - files - whole | ({name} if whole else set()))


@pytest.mark.parametrize(("name", "item", "entry"), STAGES, ids=NAMES)
def test_listed_settings_exist(name: str, item: str, entry: dict[str, Any]) -> None:
    for setting in [*entry.get("params", []), *(dep[2:-1] for dep in entry["deps"] if dep.startswith("${"))]:
        value: Any = PARAMS
        for part in setting.split("."):
            assert part in value, setting
            value = value[part]


def test_every_table_of_the_registry_is_expanded_with_what_it_reads() -> None:
    assert PIPELINE["tables"]["foreach"] == {name: str(table.inputs) for name, table in registry.TABLES.items()}


def test_stages_stand_in_the_order_in_which_data_flows() -> None:
    made: set[str] = set()
    for name, item, entry in STAGES:
        for dep in entry["deps"]:
            if not dep.startswith(("src/", "${")) and dep not in HAND_WRITTEN:
                inside = [out for out in made if out == dep or out.startswith(f"{dep}/") or dep.startswith(f"{out}/")]
                assert inside, f"{name}@{item} needs {dep}, which no earlier stage makes"
        outs = {next(iter(out)) if isinstance(out, dict) else out for out in entry["outs"]}
        assert not outs & made
        made |= outs


def blocks(block: type[Block]) -> Iterator[type[Block]]:
    yield block
    for special in block.__subclasses__():
        yield from blocks(special)


def test_a_setting_that_nothing_reads_is_no_setting() -> None:
    read = {
        node.attr
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    read |= {"kind", "source"}  # which kind of block it is
    read |= set(questions.TRAINING)  # taken by name
    unread = {f"{block.__name__}.{name}" for block in blocks(Block) for name in block.model_fields if name not in read}
    assert unread == set()
