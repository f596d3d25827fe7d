"""Which files of the package a stage's results depend on, read off the imports of its module."""

from __future__ import annotations

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

from polya_midtrain.runtime.clutter import is_clutter

PACKAGE = Path(__file__).resolve().parents[1]
# What runs stages and says where things are: no result depends on it, but for which arms a table has.
PLUMBING = ("runtime/", "params/", "paths.py", "errors.py", "cli.py")
STUDIES = "params/studies.py"
_MODULE = re.compile(r"polya_midtrain(\.\w+)+")


@cache
def used(stage: str, item: str = "") -> frozenset[Path]:
    """The package's files that the run of a stage involves, but for the `PLUMBING`.

    Those that its module imports, directly or not, also late ones and modules that are named by a string (a helper
    process's, or the item's own: ``item`` is the table of stage tables), and the templates and the like that they name.
    """
    found: set[Path] = set()
    waiting = [PACKAGE / "stages" / f"{stage}.py"]
    while waiting:
        source = waiting.pop()
        if source in found or (source.name != "__init__.py" and not _of_method(source)):
            continue
        found.add(source)
        imports = _Imports(item)
        imports.visit(_parsed(source))
        for module in imports.modules:
            if _MODULE.fullmatch(module):
                waiting += _executed(module)
        found |= imports.data
    return frozenset(path for path in found if _of_method(path))


def hashes(stage: str, item: str = "") -> dict[str, str]:
    """The SHA-256 of each file that a stage uses, by its name below the package."""
    names = sorted(path.relative_to(PACKAGE).as_posix() for path in used(stage, item))
    return {name: sha256(name) for name in names}


def sha256(name: str) -> str:
    """Of a file of the package; "" for one that is not there."""
    path = PACKAGE / name
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@cache
def _parsed(source: Path) -> ast.Module:
    """A source's tree; most sources are used by many stages."""
    return ast.parse(source.read_text(encoding="utf-8"))


@cache
def _data() -> list[Path]:
    """The package's files that are no Python, such as templates."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".py")
    return [path for path in files if not is_clutter(path.relative_to(PACKAGE))]


def _of_method(file: Path) -> bool:
    name = file.relative_to(PACKAGE).as_posix()
    return file.name != "__init__.py" and (name == STUDIES or not name.startswith(PLUMBING))


def _executed(module: str) -> list[Path]:
    """The files that importing a module of the package executes: its own and those of the packages around it."""
    parts = module.split(".")[1:]
    found = [PACKAGE.joinpath(*parts[:depth], "__init__.py") for depth in range(len(parts) + 1)]
    return [file for file in [*found, PACKAGE.joinpath(*parts).with_suffix(".py")] if file.is_file()]


class _Imports(ast.NodeVisitor):
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
        if node.module:
            self.modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}

    def visit_Constant(self, node: ast.Constant) -> None:
        # A module that a helper process runs, or package data.
        if isinstance(node.value, str):
            self.modules.add(node.value)
            self.data |= {path for path in _data() if path.as_posix().endswith(f"/{node.value}")}

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        # importlib.import_module(f"polya_midtrain.tables.{table}.table"): the module of the expanded stage's item; a
        # stage of no items takes every module of that name.
        parts = [str(part.value) if isinstance(part, ast.Constant) else self.item or "*" for part in node.values]
        name = "".join(parts)
        if re.fullmatch(r"polya_midtrain(\.\w+)+\.\*", name):
            files = PACKAGE.parent.glob(name.replace(".", "/") + ".py")
            self.modules |= {".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in files}
        else:
            self.modules.add(name)
        self.generic_visit(node)
