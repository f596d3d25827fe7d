"""dvc.yaml is the map of the study: each stage lists the code and the settings that it uses, all of them and no others.

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
from polya_midtrain.stages import questions
from polya_midtrain.tables import registry

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/polya_midtrain"
PIPELINE: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "profiles/tiny.yaml").read_text())
# What runs stages and says where things are: no result depends on it.
PLUMBING = ("runtime/", "params/", "paths.py", "errors.py", "cli.py")
MACHINE = "machine"  # where the work runs, not what comes out, but for how programs are confined
CONFINED = "machine.sandbox"
HAND_WRITTEN = ("claims.yaml",)  # inputs that people write
TABLES = "src/polya_midtrain/tables"
DATA = re.compile(r"[\w./]+\.j2|templates")


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


def together(name: str, item: str) -> list[str]:
    """The items that an entry of dvc.yaml has to serve: those of a stage that runs another module for each share what
    these modules use, all but the module of the item itself (a list cannot depend on the item in dvc.yaml)."""
    return [other for stage, other, _ in STAGES if stage == name] if name in cli.TABLE_STAGES else [item]


def of_project(file: Path) -> bool:
    """Whether a source belongs on the map: no plumbing, and no package's front page."""
    name = file.relative_to(PACKAGE).as_posix()
    return file.name != "__init__.py" and not name.startswith(PLUMBING)


def sources(module: str) -> list[Path]:
    """The files that importing a module of the package executes: its own and those of the packages around it."""
    parts = module.split(".")[1:]
    found = [PACKAGE.joinpath(*parts[:depth], "__init__.py") for depth in range(len(parts) + 1)]
    return [file for file in [*found, PACKAGE.joinpath(*parts).with_suffix(".py")] if file.is_file()]


class Imports(ast.NodeVisitor):
    """Collects the modules of the package that a source imports or names, but not those for the type checker alone."""

    def __init__(self, item: str) -> None:
        self.item = item
        self.modules: set[str] = set()
        self.data: set[Path] = set()

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.modules |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0
        assert node.module
        self.modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}

    def visit_Constant(self, node: ast.Constant) -> None:
        # A module that a helper process runs, or package data.
        if isinstance(node.value, str):
            self.modules.add(node.value)
            if DATA.fullmatch(node.value):
                self.data |= set(PACKAGE.rglob(node.value))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        # importlib.import_module(f"polya_midtrain.tables.{table}.table"): the module of the expanded stage's item; a
        # stage of no items takes every module of that name.
        parts = [part.value if isinstance(part, ast.Constant) else self.item or "*" for part in node.values]
        name = "".join(str(part) for part in parts)
        if re.fullmatch(r"polya_midtrain(\.\w+)+\.\*", name):
            files = (PACKAGE.parent).glob(name.replace(".", "/") + ".py")
            self.modules |= {".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in files}
        else:
            self.modules.add(name)
        self.generic_visit(node)


@cache
def closure(file: Path, item: str) -> frozenset[Path]:
    """The package's files that a module's execution involves, itself included."""
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        source = waiting.pop()
        if source in found or (source.name != "__init__.py" and not of_project(source)):
            continue
        found.add(source)
        imports = Imports(item)
        imports.visit(ast.parse(source.read_text(encoding="utf-8")))
        for module in imports.modules:
            if re.fullmatch(r"polya_midtrain(\.\w+)+", module):
                waiting += sources(module)
        for data in imports.data:
            found |= {path for path in ([data] if data.is_file() else data.rglob("*")) if path.is_file()}
    return frozenset(path for path in found if of_project(path))


def stage_file(name: str) -> Path:
    return PACKAGE / f"stages/{name}.py"


def covered(dep: str) -> set[Path]:
    """The files behind a dependency: itself, or all below it."""
    path = ROOT / dep
    return {path} if path.is_file() else {file for file in path.rglob("*") if "__pycache__" not in file.parts}


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
def test_the_code_that_a_stage_lists_is_the_code_that_it_uses(name: str, item: str, entry: dict[str, Any]) -> None:
    used = set().union(*(closure(stage_file(name), other) for other in together(name, item)))
    used -= set().union(*(covered(f"{TABLES}/{other}") for other in together(name, item) if other != item))
    listed = {dep: covered(dep) for dep in entry["deps"] if dep.startswith("src/")}
    assert all(listed.values()), f"no such file: {[dep for dep, files in listed.items() if not files]}"
    missing = sorted(
        str(file.relative_to(ROOT)) for file in used if not any(file in files for files in listed.values())
    )
    needless = sorted(dep for dep, files in listed.items() if not files & used)
    assert (missing, needless) == ([], [])
    assert len(set(listed)) == sum(dep.startswith("src/") for dep in entry["deps"]), "listed twice"


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
        assert name, f"what is {ast.unparse(node)}?"
        self.names.add(".".join(name))


def settings_of(name: str, item: str) -> set[str]:
    """The settings that a stage takes, those of the machine aside; of a block and a part of it the block."""
    found = Settings(item)
    for file in sorted(closure(stage_file(name), item)):
        if file.suffix == ".py":
            found.visit(ast.parse(file.read_text(encoding="utf-8")))
    names = {one for one in found.names if one.split(".")[0] != MACHINE or one == CONFINED}
    return {one for one in names if not any(one.startswith(f"{other}.") for other in names)}


@pytest.mark.parametrize(("name", "item", "entry"), STAGES, ids=NAMES)
def test_the_settings_that_a_stage_lists_are_those_that_it_takes(name: str, item: str, entry: dict[str, Any]) -> None:
    # A setting that only names an input file is on the map as that file.
    files = {dep[2:-1] for dep in entry["deps"] if dep.startswith("${")}
    taken = set().union(*(settings_of(name, other) for other in together(name, item)))
    assert taken - files == set(entry.get("params", []))


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
