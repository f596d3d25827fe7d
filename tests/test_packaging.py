"""The repository: pins, commands, and that nothing of one machine is in a committed file."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib import resources
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from polya_midtrain import __version__

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GIT = shutil.which("git")


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / "constraints" / name).read_text().splitlines()
    exact = [re.fullmatch(r"([a-z0-9-]+)==([0-9][0-9a-z.]*)", line) for line in lines if not line.startswith("#")]
    assert all(exact), f"{name}: every line is NAME==VERSION, without a local version"
    return {match[1]: match[2] for match in exact if match}


@pytest.mark.parametrize(("name", "extras"), [("cpu.txt", ["dev"]), ("cuda.txt", ["dev", "cuda"])])
def test_pins_satisfy_what_the_project_asks_for(name: str, extras: list[str]) -> None:
    fixed = pins(name)
    wanted = PROJECT["dependencies"] + [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    for line in wanted:
        requirement = Requirement(line)
        version = fixed[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{line} is pinned to {version}"


def test_cpu_and_cuda_have_the_same_versions() -> None:
    cpu, cuda = pins("cpu.txt"), pins("cuda.txt")
    assert {name: cuda.get(name) for name in cpu} == cpu
    assert "vllm" not in cpu
    assert not [name for name in cpu if name.startswith("nvidia")]


def test_version_is_stated_once_more_in_the_citation_and_the_changelog() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    assert f"\n## {__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_templates_travel_with_the_package() -> None:
    names = {entry.name for entry in resources.files("polya_midtrain.tables.shared").iterdir()}
    assert {"scores.j2", "table.md.j2", "table.tex.j2"} <= names


def test_every_make_target_is_explained() -> None:
    text = (ROOT / "Makefile").read_text()
    listed = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert listed
    targets = set(listed[1].split())
    assert targets == set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE))
    shown = subprocess.run(
        ["make", "-s", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[1] for line in shown.splitlines()} == targets
    assert {"setup", "repro", "test", "lint", "bench", "ui", "clean", "readme"} <= targets


@pytest.mark.parametrize(("given", "taken"), [("PROFLE=smoke", False), ("PROFILE=smoke", True), ("POLYA_DATA=x", True)])
def test_a_misspelt_setting_is_refused(given: str, taken: bool) -> None:
    asked = subprocess.run(["make", "-n", "repro", given], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (asked.returncode == 0) == taken, asked.stderr
    assert taken or asked.stderr.startswith("Makefile:")
    assert taken or "PROFLE: no command here has it; they have PYTHON" in asked.stderr


def test_ci_is_executable_and_ends_with_the_tests() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert script.read_text().splitlines()[-1] == "make test"


def test_no_committed_file_names_an_index_a_machine_path_or_a_token(repository_files: dict[str, Path]) -> None:
    foreign = re.compile(
        r"--(extra-)?index[-]url|://[a-z0-9.-]*(py[p]i|python[h]osted|download\.py[t]orch)"
        r"|(?<![\w.*/-])/(root|home|Users|work|mnt|opt|tmp)/|\bhf_[A-Za-z0-9]{20,}|\bghp_[A-Za-z0-9]{20,}"
    )
    found = []
    for name, path in repository_files.items():
        if path == Path(__file__):
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture or an archive
        found += [f"{name}:{number}: {line}" for number, line in enumerate(lines, 1) if foreign.search(line)]
    assert not found


def test_the_documents_that_a_repository_needs_are_there() -> None:
    for name in ("LICENSE", "CITATION.cff", "CONTRIBUTING.md", "CHANGELOG.md", "README.md", "REPRODUCE.md"):
        assert (ROOT / name).stat().st_size > 200
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"


def test_git_ignores_exactly_what_dvc_keeps(tmp_path: Path) -> None:
    if GIT is None:
        pytest.skip("no git")
    kept, plain = outputs()
    subprocess.run([GIT, "init", "-q", str(tmp_path)], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    names = [*kept, *plain, "data/heuristics/world.yaml", "dvc.lock", ".dvc/config", "profiles/tiny.yaml"]
    check = [GIT, "-C", str(tmp_path), "check-ignore", "--no-index", *names]
    ignored = subprocess.run(check, capture_output=True, text=True, check=False).stdout.split()
    assert set(ignored) == set(kept)


def outputs() -> tuple[list[str], list[str]]:
    """The outputs in dvc.yaml that DVC's cache keeps, and those that git keeps (``cache: false``)."""
    kept, plain = [], []
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values():
        entry = stage.get("do", stage)
        for out in entry.get("outs", []) + entry.get("metrics", []):
            name, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
            name = re.sub(r"\$\{\w+\}", "x", name)
            (kept if options.get("cache", True) else plain).append(name)
    return kept, plain


def test_dvc_is_set_up_without_reports_home_and_without_looking_at_compiled_code() -> None:
    config = (ROOT / ".dvc/config").read_text()
    for setting in ("analytics", "autostage", "check_update"):
        assert f"{setting} = false" in config
    assert "__pycache__" in (ROOT / ".dvcignore").read_text().splitlines()


def wheel(folder: Path, name: str) -> str:
    """Makes a wheel of an empty package; its SHA-256."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{name}-1.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        archive.writestr(f"{name}-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.dist-info/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_setup_installs_what_the_locks_have_the_hashes_of(tmp_path: Path) -> None:
    """The Makefile's own recipe, on a project of one requirement, whose wheel is the only file there is."""
    python = f"Python {sys.version_info[0]}.{sys.version_info[1]}, {sysconfig.get_platform()}"
    for lock in ("build", "cpu"):
        first = (ROOT / f"constraints/{lock}.lock").read_text().splitlines()[0]
        assert first == "# Made by docker/lock.py for Python 3.11, linux-x86_64."
    digest = wheel(tmp_path / "index", "needed")
    wheel(tmp_path, "mine")
    shutil.copy(ROOT / "Makefile", tmp_path)
    copied = "shutil.copy('mine-1-py3-none-any.whl', folder)[1 + len(folder):]"
    (tmp_path / "backend.py").write_text(f"import shutil\n\ndef build_editable(folder, *_):\n    return {copied}\n")
    (tmp_path / "pyproject.toml").write_text('build-system={requires=[],build-backend="backend",backend-path=["."]}')
    locks = tmp_path / "constraints"
    locks.mkdir()
    (locks / "cpu.txt").write_text("needed==1\n")
    (locks / "build.lock").touch()

    def setup(made_for: str, sha256: str) -> subprocess.CompletedProcess[str]:
        (locks / "cpu.lock").write_text(f"# Made for {made_for}.\nneeded==1 --hash=sha256:{sha256}\n")
        shutil.rmtree(tmp_path / "venv", ignore_errors=True)
        environment = {"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "index")}
        command = ["make", "setup", "VENV=venv", "EXTRAS=", "LOCK=constraints/cpu.lock", f"PYTHON={sys.executable}"]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = setup(python, digest)
    assert done.returncode == 0, done.stderr
    installed = {path.name for path in (tmp_path / "venv").rglob("*.dist-info")}
    assert {"needed-1.dist-info", "mine-1.dist-info"} <= installed
    other = setup(python, "0" * 64)
    assert other.returncode == 2
    assert "DO NOT MATCH THE HASHES" in other.stderr
    assert "make: if a file is missing, name an index that has it" in other.stderr
    assert not (tmp_path / "venv/.installed").exists()
    unlocked = setup("Python 2.7, elsewhere", "0" * 64)
    assert f"make: no hashes for {python}: installing versions alone" in unlocked.stderr


def test_lint_finds_a_risky_call_and_a_secret(tmp_path: Path) -> None:
    """With the commands and settings of `make lint`."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def run(*command: str, code: int = 0) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code or (code and done.returncode), done.stdout + done.stderr
        return done.stdout

    run("git", "init", "-q")
    for folder in ("src", "docker", "tests", ".venv"):
        (tmp_path / folder).mkdir()
    for name in (".installed", ".locked"):
        (tmp_path / ".venv" / name).touch()
    recipe = run("make", "--no-print-directory", "-n", "lint")
    bandit, scan = (recipe[recipe.index(name) :] for name in ("bandit", "git ls-files"))
    bandit = bandit.splitlines()[0]
    run("sh", "-c", bandit)
    run("sh", "-c", scan)
    (tmp_path / "src/risky.py").write_text("import subprocess\nsubprocess.call('ls *', shell=True)\n")
    assert "shell=True" in run("sh", "-c", bandit, code=1)
    (tmp_path / "tests/planted.py").write_text(f"KEY = '{'AKIA' + 'QYLPMN5HHHFPZAM2'}'\nCOMMIT = '{'0f' * 20}'\n")
    found = run("sh", "-c", scan, code=1)
    assert "tests/planted.py:1" in found
    assert "tests/planted.py:2" not in found
