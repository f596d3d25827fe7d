"""The documents agree with the repository: the map, links, commands, and every number that a table repeats."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import TypeAdapter

from polya_midtrain import cli
from polya_midtrain.params import Arm, FolderModel, HubBase, Params, QuestionSet
from polya_midtrain.params.questions import FileSet
from polya_midtrain.tables import read
from polya_midtrain.tables.row import MEAN, PASS
from polya_midtrain.tables.shared import paper_values
from polya_midtrain.training import hosts
from polya_midtrain.world import families, problems, traces

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "src/polya_midtrain/"
PAGES = tuple(sorted(path.stem for path in (ROOT / "docs").glob("*.md")))
DOCUMENTS = ("README.md", "REPRODUCE.md", "CONTRIBUTING.md", *(f"docs/{page}.md" for page in PAGES))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def mapped() -> list[str]:
    """The paths of the README's map; the package's rooms stand indented below its folder."""
    match = re.search(r"^## Map\n.*?```text\n(.*?)^```", text("README.md"), re.MULTILINE | re.DOTALL)
    assert match
    found = []
    for line in match[1].splitlines():
        names = re.split(r" {2,}", line.strip())[0].split(", ")
        found += [PACKAGE * line.startswith("  ") + name for name in names]
    return found


def settings_table(name: str) -> dict[str, str]:
    """First and second cell of the table rows whose first cell is one name in backquotes."""
    rows = re.findall(r"^\| `([\w.]+)` \| (.+?) \|", text(name), re.MULTILINE)
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def test_the_map_names_every_room_once_and_none_that_is_not_there(committed: Path) -> None:
    paths = mapped()
    assert len(set(paths)) == len(paths)
    assert [path for path in paths if not (ROOT / path).exists() and not (committed / path).exists()] == []
    rooms = {f"{PACKAGE}{file.parent.name}/" for file in (ROOT / PACKAGE).glob("*/__init__.py")}
    assert rooms - set(paths) == set(), "add the room to the map in README.md"


def test_every_room_and_module_says_what_it_is_for() -> None:
    # The package of a table is described by its module.
    files = [file for file in (ROOT / PACKAGE).rglob("*.py") if file.stat().st_size or file.parents[1].name != "tables"]
    assert len(files) > 100
    silent = [str(file.relative_to(ROOT)) for file in files if not ast.get_docstring(ast.parse(file.read_text()))]
    assert silent == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_and_commands_exist(name: str) -> None:
    content = text(name)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", content):
        assert (ROOT / name).parent.joinpath(target).exists(), target
    targets = set(re.findall(r"^([a-z-]+):.*## ", text("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^    )make ([a-z-]+)", content, re.MULTILINE)) <= targets
    commands = {entry.name or entry.callback.__name__ for entry in cli.app.registered_commands if entry.callback}
    assert set(re.findall(r"(?:`|^    |bin/)polya ([a-z-]+)", content, re.MULTILINE)) <= commands


def test_the_picture_of_the_method_names_its_stages_in_light_and_dark() -> None:
    picture = text("docs/images/method.svg")
    named = [name for line in re.findall(r'class="stage"[^>]*>([a-z ]+)<', picture) for name in line.split()]
    stages = set(yaml.safe_load(text("dvc.yaml"))["stages"]) - {"code", "prompts"}  # they look after it
    assert sorted(named) == sorted([*stages, "evaluate"])  # before RL and after
    assert "prefers-color-scheme: dark" in picture


def test_the_page_of_sources_has_every_value_of_the_paper_with_its_mark() -> None:
    page = text("docs/sources.md")
    found = {}
    for what, values, mark in re.findall(r"^\| (.+?) \| (.+?) \| (\[[ARI]\][^|]*) \|", page, re.MULTILINE):
        found |= dict.fromkeys(re.findall(r"0\.\d{4}\b|\b\d\d\.\d\d\b", values), mark)
        assert what
    values = [*paper_values.PASS_AT_K.values(), *paper_values.BEST_AFTER_RL.values()]
    values += [value for known in paper_values.TRANSFER.values() for value in known.values()]
    assert {f"{value.value:.4f}": f"[{value.source}]" for value in values} | {"13.81": "[A]", "10.95": "[A]"} == found
    for part in re.findall(r'paper: \{value: "?(.+?)"?, source', text("claims.yaml")):
        for number in re.findall(r"0\.\d+|\d+\.\d+", part):
            assert number in page


def test_every_public_set_and_model_has_its_licence() -> None:
    page = text("docs/licences.md")
    sources = get_args(FileSet.model_fields["source"].annotation)
    assert {
        name for row in re.findall(r"^\| (`[a-z].*?`) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    } == {*sources}
    for profile in sorted((ROOT / "profiles").glob("*.yaml")):
        for found in re.findall(r"^ +(?:id|package): (\S+)", profile.read_text(encoding="utf-8"), re.MULTILINE):
            row = next(line for line in page.splitlines() if f"`{found}`" in line)
            assert profile.stem in row, (found, profile.stem)


def test_the_settings_table_has_the_values_of_profile_tiny() -> None:
    tiny = yaml.safe_load(text("profiles/tiny.yaml"))
    shown = settings_table("docs/settings.md")
    assert len(shown) > 30
    for name, value in shown.items():
        found: Any = tiny
        for key in name.split("."):
            found = found[key]
        assert yaml.safe_load(value) == found, name


def test_the_examples_of_own_settings_are_valid() -> None:
    [short] = re.findall(r"```yaml\n(.*?)```", text("README.md"), re.DOTALL)
    HubBase(**yaml.safe_load(short)["base"])
    blocks = re.findall(r"```yaml\n(.*?)```", text("docs/own.md"), re.DOTALL)
    settings = yaml.safe_load(blocks[0])
    HubBase(**settings["base"])
    FolderModel(**settings["teacher"])
    for spec in [settings["questions"]["rl"], *settings["questions"]["benchmarks"].values()]:
        TypeAdapter(QuestionSet).validate_python(spec)
    for arm in settings["arms"].values():
        Arm(**arm)
    assert len(blocks) == 2


def test_every_machine_of_the_pages_fits_profile_paper() -> None:
    found = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text("docs/machines.md"), re.DOTALL)]
    machines = [block["machine"] for block in found if "machine" in block]
    paper = yaml.safe_load(text("profiles/paper.yaml"))
    gpus = []
    for machine in machines:
        params = Params(**paper | {"machine": machine}).machine
        on_a_cpu = params.model_copy(
            update={"device": "cpu", "accelerate": params.accelerate and ROOT / params.accelerate}
        )
        hosts_in_use = hosts.count(on_a_cpu)
        gpus.append((hosts_in_use, params.processes))
        assert params.tensor_parallel * params.data_parallel == params.processes // hosts_in_use
    assert gpus == [(1, 1), (1, 4), (1, 8), (2, 8)]


def block(language: str) -> str:
    """The one example in this language of docs/gpu.md."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", text("docs/gpu.md"), re.MULTILINE | re.DOTALL)
    return found


def runs(script: str) -> None:
    """What a host is told to do parses, and its commands are the project's."""
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    made = re.findall(r"make ([a-z-]+)(?: .*?PROFILE=(\S+))?", script)
    assert made
    for target, profile in made:
        assert re.search(rf"^{target}:.*## ", text("Makefile"), re.MULTILINE)
        assert not profile or (ROOT / f"profiles/{profile}.yaml").is_file()


def test_the_slurm_example_is_a_script_with_options_that_sbatch_has() -> None:
    script = block("bash")
    runs(script)
    first, *lines = script.splitlines()
    options = [line for line in lines if line.startswith("#SBATCH")]
    assert first == "#!/usr/bin/env bash"
    assert lines[: len(options)] == options, "sbatch reads none behind a command"
    given = dict(re.fullmatch(r"#SBATCH --([a-z-]+)(?:=(\S+))?", line).groups() for line in options)  # type: ignore[union-attr]
    known = {"job-name", "nodes", "ntasks", "gres", "cpus-per-task", "mem", "time", "requeue", "output"}
    assert known == given.keys()
    assert given["gres"] == "gpu:1"
    assert re.fullmatch(r"\d\d:\d\d:\d\d", given["time"])


def test_the_skypilot_example_is_a_task() -> None:
    task = yaml.safe_load(block("yaml"))
    assert task.keys() == {"name", "resources", "workdir", "setup", "run"}
    assert task["resources"].keys() <= {"accelerators", "cpus", "memory", "disk_size"}
    assert re.fullmatch(r"H100:1", task["resources"]["accelerators"])
    runs(task["setup"])
    runs(task["run"])


def test_the_containers_of_the_gpu_page_are_given_the_folders_of_the_image() -> None:
    image, page = text("Dockerfile"), text("docs/gpu.md").replace("\\\n", "")
    lines = re.findall(r"^ *(?:exec )?((?:apptainer|docker) run .*)$", page, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        inside = {word.rpartition(":")[2] for word in shlex.split(line) if ":/" in word}
        assert inside == {"/study", "/cache"}
        runs(line)
    assert "HOME=/cache" in image
    assert "WORKDIR /study" in image


def test_the_gpu_page_has_the_figures_of_its_file() -> None:
    def cell(value: Any) -> str:
        return " to ".join(f"{one:,}" for one in value) if isinstance(value, list) else f"{value:,}"

    rows = json.loads(text("reports/gpu/2026-11-h100.json"))["rows"]
    wanted = [f"| {row} | {name} | {cell(value)} |" for row in rows for name, value in rows[row].items()]
    assert re.findall(r"^\| [a-z0-9-]+ \| [a-z0-9_]+ \| .* \|$", text("docs/gpu.md"), re.MULTILINE)[1:] == wanted


def test_the_world_page_shows_the_world() -> None:
    page = text("docs/world.md")
    habits = yaml.safe_load(text("profiles/tiny.yaml"))["base"]["habits"]
    assert {name: float(value) for name, value in settings_table("docs/world.md").items()} == habits
    for family, plans in families.FAMILIES.items():
        assert re.search(rf"^\| {family} \|.*\| {', '.join(plan.name for plan in plans)} \|$", page, re.MULTILINE)
    types = re.findall(r"\| ([a-z]+) \| ([A-D]) \| ([A-D]) (?=\|)", page)
    assert set(types) == {(kind.word, kind.family, kind.exception) for kind in families.TYPES.values()}


def test_the_world_page_s_example_is_right() -> None:
    question, answer = re.findall(r"^    ( ?(?:jar|rod).+?)(?: {3,}.*)?$", text("docs/world.md"), re.MULTILINE)
    problem = problems.parse(question)
    assert traces.write(problem, traces.plans_used(answer)) == answer
    assert answer.endswith(f"\\boxed{{{problems.answer(problem)}}}")


def test_the_amounts_of_rl_are_those_of_their_tables() -> None:
    lines = re.findall(r"^\| (?:8|16|32|64) steps.*\|$", text("docs/world.md"), re.MULTILINE)
    folders = [f"reports/{name}" for name in ("amount-of-rl/steps8", "amount-of-rl/steps16", "study/tables")]
    folders += ["reports/amount-of-rl/steps64", "reports/amount-of-rl/slow"]
    for line, folder in zip(lines, folders, strict=True):
        rows = {
            (row.arm, row.k): row
            for row in read.read(ROOT / folder / "main.csv")
            if row.benchmark == MEAN and row.metric == PASS and len(row.runs) == 10
        }
        shown = [", ".join(f"{rows[arm, k].value:.2f}" for k in (1, 64)) for arm in ("vanilla", "star", "n1", "n16")]
        for k in (1, 64):
            row = rows["n16", k]
            star = r"\*" if row.significant == "yes" else ""
            shown.append(f"{row.diff:+.3f} [{row.diff_low:+.3f}, {row.diff_high:+.3f}]{star}")
        assert [cell.strip() for cell in line.split("|")[2:-1]] == shown, folder
        changed = yaml.safe_load(text(f"{folder}/params.yaml" if "rl" in folder else "reports/study/params.yaml"))
        steps = changed["questions"]["rl"]["count"] * changed["rl"]["epochs"] / changed["rl"]["prompts"]
        assert line.startswith(f"| {steps:.0f} steps")
        assert ("a rate of 1e-4" in line) == (changed["rl"]["learning_rate"] == 1e-4)
