"""The Makefile in a folder of any name, with any text as a setting, and beside environments that are not its own.

The commands that it calls are stood in for by a script that writes down its arguments.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# A program that notes its name and arguments, and makes an environment with itself inside where it is asked for one.
NOTING = r"""#!/bin/sh
printf '%s\0' "$#" "$0" "$@" >>"$NOTES"
[ "$1" != -c ] || echo 2
[ "$1 $2" != "-m venv" ] || { mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; }
"""
HOSTILE = [
    "it's two  words",
    "'; touch canary; '",
    '"; touch canary; "',
    "$(touch canary)",
    "`touch canary`",
    "$(shell touch canary)",
    "$$(touch canary)",
    "x' || touch canary\n\ttouch canary",
]


class Project:
    """A folder with the Makefile, and environments that note what they are asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder / "it's a clone", folder / "log"
        (self.folder / "constraints").mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "constraints/cpu.txt"):
            shutil.copy(ROOT / name, self.folder / name)
        self.canary = self.folder / "canary"

    def program(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(NOTING)
        path.chmod(0o755)
        return path

    def environment(self, folder: Path) -> Path:
        for name in ("python", "polya", "dvc", "pytest"):
            self.program(folder / "bin" / name)
        return folder

    def make(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """Run make as from a shell of its own; what it said."""
        self.log.write_text("")
        foreign = ("MAKE", "MFLAGS", "VENV", "VIRTUAL_ENV")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        done = subprocess.run(
            ["make", *arguments],
            cwd=self.folder,
            env=inherited | {"NOTES": str(self.log)} | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not self.canary.exists()
        assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr
        return done.stdout + done.stderr

    def calls(self, name: str) -> list[list[str]]:
        """The arguments of each call of a program; the first is the program's path."""
        words, found = self.log.read_text().split("\0"), []
        while len(words) > 1:
            count = int(words.pop(0)) + 1
            found.append(words[:count])
            del words[:count]
        return [call for call in found if Path(call[0]).name == name]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.parametrize("given", [False, True])
def test_an_environment_and_a_python_may_have_blanks_in_their_names(project: Project, given: bool) -> None:
    python = project.program(project.folder.parent / "a python" / "python3")
    folder = project.folder.parent / "an environment" if given else project.folder / ".venv"
    words = ["setup", f"PYTHON={python}", *([f"VENV={folder}"] if given else [])]
    project.make(*words)
    assert [words[1:] for words in project.calls("python3")][-1] == ["-m", "venv", str(folder)]
    assert {words[0] for words in project.calls("python")} == {str(folder / "bin/python")}
    assert (folder / ".installed").exists()
    project.make(*words)
    assert project.calls("python") == [], "it is installed"


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("inherited", [False, True])
def test_a_profile_and_an_arm_are_texts(project: Project, text: str, inherited: bool) -> None:
    project.environment(project.folder / ".venv")

    def make(target: str, **variables: str) -> None:
        words = () if inherited else tuple(f"{name}={value}" for name, value in variables.items())
        project.make("-o", "setup", target, *words, **(variables if inherited else {}))

    for target in ("plan", "dry-run"):
        make(target, PROFILE=text)
        assert [words[1:] for words in project.calls("polya")] == [[target, text]]
    make("repro", PROFILE=text)
    assert ["profile", text] in [words[1:] for words in project.calls("polya")]
    make("arm", ARM=text)
    assert ["repro", f"evaluate@{text}", f"modes@{text}"] in [words[1:] for words in project.calls("polya")]
    make("test-faults", JOBS=text)
    assert project.calls("python")[-1][1:] == ["-m", "pytest", "-m", "faults", "-n", "2", "--dist", "loadgroup"]
    project.make("-n", "setup", *(f"{name}={text}" for name in ("PYTHON", "EXTRAS")))


def test_no_profile_is_no_argument(project: Project) -> None:
    project.environment(project.folder / ".venv")
    for target in ("plan", "compare"):
        project.make("-o", "setup", target)
        assert [words[1:] for words in project.calls("polya")] == [[target]]
    project.make("-o", "setup", "repro")
    assert "profile" not in [words[1] for words in project.calls("polya")]
    assert "name an arm" in project.make("-o", "setup", "arm", code=2)


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\n" not in text])
def test_an_environment_whose_name_make_cannot_hold_is_one_line(project: Project, text: str) -> None:
    said = project.make("help", f"VENV={text}", code=2)
    assert "in its name cannot be an environment; take another" in said
    assert said.count("\n") == 1
    project.make("help", VENV=text)


def test_an_environment_of_the_shell_is_not_changed_unless_it_is_an_image_s(project: Project) -> None:
    own = project.environment(project.folder / ".venv")
    foreign = project.environment(project.folder.parent / "foreign")
    (own / ".installed").touch()

    def used(**variables: str) -> tuple[str, str]:
        said = project.make("plan", **variables)
        ((polya, *_),) = project.calls("polya")
        assert project.calls("python") == []
        return str(Path(polya).parents[1]), said

    assert used() == (str(own), "")
    assert used(VIRTUAL_ENV=str(foreign), PATH=f"{foreign / 'bin'}:{os.environ['PATH']}") == (str(own), "")
    place, said = used(VENV=str(foreign))
    assert place == str(own)
    assert said.endswith(": .venv is used, not the VENV of your shell; `make VENV=...` takes another\n")
    (foreign / ".locked").touch()
    (foreign / ".installed").touch()
    assert used(VENV=str(foreign)) == (str(foreign), "")
