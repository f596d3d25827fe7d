"""YAML: read as DVC's own reader reads it; what is hostile or broken is one line."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.serialize import loads_yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from polya_midtrain import params as settings
from polya_midtrain.errors import UserError
from polya_midtrain.params import yamlfile
from polya_midtrain.prompting import heuristics

ROOT = Path(__file__).resolve().parents[1]

# fmt: off
SCALARS = [
    "010", "-010", "08", "0", "-0", "+1", "12", "1_000", "1__0", "0x10", "-0x1F", "0o10", "0o8", "0b101", "0b2",
    "1:30", "190:20:30", "-1:30", "5e-05", "-2E+3", "1e5", "1e+3", "1.e2", "1.", ".5", "-.5", ".5e1", ".5e+1",
    "1.5e3", "0.1_0", "1.5:30", "1e", "1e5x", "e5", "1.2.3", ".inf", "-.INF", "+.inf", ".Inf", ".nan", ".NaN",
    "nan", "inf", "yes", "Yes", "no", "on", "Off", "y", "n", "true", "True", "TRUE", "tRUE", "false", "~", "null",
    "Null", "NULL", "none", "None", "2024-01-01", "2024-1-1", "10:20", "'010'", '"1e5"', "'yes'", "a-b", "a=b",
    "abc", "!!str 010", "!!int '3'",
]
# fmt: on


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


def dvc(text: str) -> Any:
    try:
        return loads_yaml(text)
    except Exception as error:
        return type(error).__name__


def ours(text: str) -> Any:
    try:
        return yamlfile.parse(text)
    except (yaml.YAMLError, ValueError) as error:
        return type(error).__name__


@pytest.mark.parametrize("scalar", SCALARS)
def test_a_scalar_is_what_it_is_to_dvc(scalar: str) -> None:
    assert same(ours(f"a: {scalar}")["a"], dvc(f"a: {scalar}")["a"])
    listed = dvc(f"a: [{scalar}]")  # which it may refuse: an older libyaml takes no 1:30 there
    assert listed == "ScannerError" or same(ours(f"a: [{scalar}]")["a"][0], listed["a"][0])


@given(st.text("0123456789-+.:_eExobnfasy~", min_size=1, max_size=6))
def test_no_scalar_is_another_one_to_dvc(scalar: str) -> None:
    read, known = ours(f"a: {scalar}"), dvc(f"a: {scalar}")
    if isinstance(read, dict) and isinstance(known, dict):
        assert same(read["a"], known["a"])
    else:
        assert not isinstance(read, dict) or not isinstance(read["a"], int | float)


@pytest.mark.parametrize(
    "text",
    [
        "b: &b {x: 1}\na:\n  <<: *b\n  y: 2",
        "b: &b {x: 1}\na:\n  <<: *b\n  x: 2",
        "b: &b {x: 1}\nc: &c {x: 2, y: 3}\na: {<<: [*b, *c], z: 1}",
        "a: &a [1, 2]\nb: *a",
        "010: a\nyes: b\n1e3: c",
        "a: |\n  x\n  y\nb: >\n  x\n  y",
        "",
        "- 1\n- 2",
    ],
)
def test_a_document_is_what_it_is_to_dvc(text: str) -> None:
    assert ours(text) == dvc(text)


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3", "a: {x: 1, x: 1}", "b: [{y: 1, y: 2}]"])
def test_a_key_that_stands_twice_is_refused_by_both(text: str) -> None:
    assert dvc(text) == "DuplicateKeyError"
    with pytest.raises(yaml.YAMLError, match="is there twice; remove one of the two"):
        yamlfile.parse(text)


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("*.yaml"), *ROOT.glob("profiles/*.yaml")]), ids=lambda path: path.name
)
def test_the_project_s_files_are_what_they_are_to_dvc(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert yamlfile.parse(text) == loads_yaml(text)


@pytest.mark.parametrize("text", ["010", "1e5", "1:30", "yes", "0o10", "08", "5e-05", "~", "a: b", "1_0", "2024-01-01"])
def test_a_text_that_is_written_is_read_as_text(text: str) -> None:
    written = yamlfile.dump({"a": text, "b": [5e-05, 1e300, 0.1, 7, None, True]})
    for read in (yamlfile.parse(written), loads_yaml(written)):
        assert read == {"a": text, "b": [5e-05, 1e300, 0.1, 7, None, True]}


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a: " + "[" * 100_000 + "]" * 100_000,
            ":1: not valid YAML: more than 100 blocks inside each other; correct it",
        ),
        ("".join(" " * n + "a:\n" for n in range(2000)), ":101: not valid YAML: more than 100 blocks inside each"),
        ("b: 1\na: &a [1, *a]", ":2: not valid YAML: a holds itself; correct it"),
        ("a: &a {b: *a}", ":1: not valid YAML: a holds itself; correct it"),
        (BOMB, ":6: not valid YAML: more than 1000000 values; correct it"),
        ("a: &a {<<: *a}", ":1: not valid YAML: a holds itself"),
        ("a: *b", ":1: not valid YAML: found undefined alias"),
        ("%YAML 1.1\n---\na: 010", ":1: not valid YAML: written for another version than YAML 1.2"),
        ("a: 2024-13-45", ":1: not valid YAML: month must be in 1..12"),
        ("a: " + "9" * 5000, ":1: not valid YAML: Exceeds the limit"),
        ("a: !!python/object/apply:os.system [true]", ":1: not valid YAML: could not determine a constructor"),
        ("a: 1\n---\nb: 2", ":2: not valid YAML: but found another document"),
        ("a: \0", ":1: not valid YAML: "),
        ("{[a]: 1}", ":1: "),
        ("- 1", ":1: expected a mapping of settings"),
        ("a: 1\nb: 2\na: 3", ":3: a is there twice; remove one of the two"),
    ],
)
def test_what_is_hostile_or_broken_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}{said}')}") as caught:
        yamlfile.load(path, Anything)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [settings.load, heuristics.load, yamlfile.content])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, read: Any) -> None:
    for path, said in [
        (tmp_path, "cannot be read (Is a directory)"),
        (tmp_path / "none.yaml", "no such file; restore"),
    ]:
        with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {said}')}"):
            read(path)
    (tmp_path / "x.yaml").write_bytes(b"a: \xff")
    with pytest.raises(UserError, match=r"x\.yaml:1: not UTF-8 text; save it as UTF-8"):
        read(tmp_path / "x.yaml")
