"""The command line: what it runs, and that every kind of bad input is one line and exit code 2."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

from polya_midtrain import __version__, cli, stages, start
from polya_midtrain import params as settings
from polya_midtrain.checkpoints import hub
from polya_midtrain.errors import UserError
from polya_midtrain.runtime import mlflow_store
from polya_midtrain.tools import check
from polya_midtrain.world import tokenizer

ROOT = Path(__file__).resolve().parents[1]

NAP = """
import pathlib, time
def run(params, *more):
    pathlib.Path("ran").write_text(f"{params.profile} {more}")
    {what}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project root with the committed profiles and catalogues; params.yaml is profile tiny."""
    for name in ("profiles", "data/heuristics"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "profiles/tiny.yaml", tmp_path / "params.yaml")
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def add_stage(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, what: str = "") -> None:
    """A stage of the test's own, found as the others are."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(NAP.replace("{what}", what))
    monkeypatch.setattr(stages, "__path__", [*stages.__path__, str(folder)])


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail as bad input does; its one line."""
    assert start.main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("polya: ")
    assert captured.err.count("\n") == 1
    return captured.err.removeprefix("polya: ").strip()


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert start.main(["--version"]) == 0
    assert capsys.readouterr().out == f"polya-midtrain {__version__}\n"
    assert start.main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("stage", "profile", "readme", "check", "sync"):
        assert command in text
        assert start.main([command, "--help"]) == 0
        assert len(capsys.readouterr().out.splitlines()) > 4


def test_help_loads_no_heavy_library() -> None:
    script = (
        "import sys; from polya_midtrain.start import main; main(['--help']); "
        "print(sorted({'torch', 'transformers', 'mlflow', 'pandas', 'pyarrow', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stage", "nothing"], "no stage 'nothing'; the stages are base, "),
        (["stage", "rl"], "stage rl needs --arm"),
        (["stage", "tables"], "stage tables needs --table"),
        (["stage", "generate", "--arm", "n1"], "stage generate takes no --arm; leave it out"),
        (["stage", "rl", "--arm", "n3"], "params.yaml: no arm 'n3'; the arms are vanilla, "),
        (["stage", "tables", "--table", "nine"], "no table 'nine'; the tables are main, midtrain"),
        (["stage", "tables", "--table", "main"], "missing; run `dvc repro`"),
        (["stage", "generate"], "missing; run `dvc repro`"),
        (["profile", "huge"], "no profile 'huge' in profiles/; the profiles are discovers, "),
        (["readme"], "reports/study/params.yaml: no such file"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("temperature: 1.0", "temperature: hot", "temperature: "),
        ("  epochs: 1", "  epoch: 1", "rl.epoch"),
        ("seeds: [", "seeds: [1, 1, ", "seeds: "),
        ("score:", "score", "not valid YAML"),
    ],
)
def test_a_bad_setting_is_named_with_its_line(
    old: str, new: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path("params.yaml").read_text()
    assert old in text
    Path("params.yaml").write_text(text.replace(old, new, 1))
    line = refused(capsys, "stage", "questions")
    assert line.startswith("params.yaml:")
    assert line.split(":")[1].isdigit()
    assert words in line
    assert not Path("data/questions").exists(), "nothing ran"


def test_a_wrong_command_line_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert start.main(["stage"]) == 2
    assert "Usage: polya stage" in capsys.readouterr().err
    assert start.main(["stags"]) == 2
    assert "No such command" in capsys.readouterr().err


def test_a_stage_gets_the_settings_and_its_arm_or_table(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_stage(monkeypatch, project / "more", "nap")
    assert start.main(["stage", "nap"]) == 0
    assert Path("ran").read_text() == "tiny ()"
    monkeypatch.setattr(cli, "ARM_STAGES", {"nap"})
    assert start.main(["stage", "nap", "--arm", "star"]) == 0
    assert Path("ran").read_text() == "tiny ('star',)"


def test_a_bug_in_a_stage_is_a_traceback(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_stage(monkeypatch, project / "more", "bug", "raise ZeroDivisionError('a bug')")
    with pytest.raises(ZeroDivisionError, match="a bug"):
        start.main(["stage", "bug"])


def test_an_edit_while_a_stage_runs_is_an_error(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_stage(monkeypatch, project / "more", "edit", "p = pathlib.Path('params.yaml'); p.write_text('x: 1')")
    text = Path("dvc.yaml").read_text()
    Path("dvc.yaml").write_text(
        text.replace("stages:\n", "stages:\n  edit: {cmd: polya stage edit, params: [seeds]}\n")
    )
    assert "params.yaml: seeds: changed while stage edit ran" in refused(capsys, "stage", "edit")


@pytest.mark.parametrize("last", [False, True])
def test_only_the_last_stage_posts_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: bool) -> None:
    posted: list[None] = []
    add_stage(monkeypatch, tmp_path / "more", "nap")
    monkeypatch.setattr(mlflow_store, "post_pending", lambda: posted.append(None))
    if last:
        monkeypatch.setattr(cli, "LAST_STAGE", "nap")
    assert start.main(["stage", "nap"]) == 0
    assert len(posted) == last


def test_ctrl_c_ends_a_stage_with_130_and_a_line(project: Path) -> None:
    (project / "more").mkdir()
    (project / "more/nap.py").write_text(NAP.replace("{what}", "print('ready', flush=True); time.sleep(60)"))
    script = textwrap.dedent(
        """
        import sys
        from polya_midtrain import start, stages
        stages.__path__.append("more")
        sys.exit(start.main(["stage", "nap"]))
        """
    )
    running = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite started in the background inherits an ignored SIGINT, which Python then leaves ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGINT)
    _, printed = running.communicate()
    assert running.returncode == 130
    assert printed == "polya: interrupted; the same command goes on from the last checkpoint\n"


def test_profile_replaces_params_only_if_it_differs(capsys: pytest.CaptureFixture[str]) -> None:
    target = Path("params.yaml")
    before = target.stat().st_mtime_ns
    assert start.main(["profile", "tiny"]) == 0
    assert target.stat().st_mtime_ns == before
    assert start.main(["profile", "smoke"]) == 0
    assert target.read_bytes() == Path("profiles/smoke.yaml").read_bytes()
    assert not Path("params.yaml.bak").exists(), "it was a profile's text: nothing of the user's is lost"
    assert capsys.readouterr().out == "params.yaml is profile tiny already\nparams.yaml is now profile smoke\n"


def test_profile_keeps_the_settings_that_a_user_edited(capsys: pytest.CaptureFixture[str]) -> None:
    edited = Path("params.yaml").read_text() + "# mine\n"
    Path("params.yaml").write_text(edited)
    assert start.main(["profile", "tiny"]) == 0
    assert Path("params.yaml.bak").read_text() == edited
    assert "params.yaml.bak" in capsys.readouterr().out


def test_a_bad_profile_is_refused_and_params_stays(capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("params.yaml").read_bytes()
    Path("profiles/mine.yaml").write_text("profile: mine\n")
    assert refused(capsys, "profile", "mine").startswith("profiles/mine.yaml:1: ")
    assert Path("params.yaml").read_bytes() == before


def test_check_reads_every_profile_and_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert start.main(["check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["params.yaml", *map(str, sorted(Path("profiles").glob("*.yaml")))]
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("heuristics: 16 ", "heuristics: 60 "))
    assert "60" in refused(capsys, "check")


def test_check_asks_the_hub_for_the_models_of_the_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, bool]] = []

    def describe(name: str, revision: str, folder: Path, *, chat: bool) -> None:
        asked.append((name, revision, chat))
        if name.startswith("Skywork"):
            raise UserError("params.yaml: no")

    monkeypatch.setattr(hub, "describe", describe)
    monkeypatch.setattr(hub, "same_end", lambda folder, where: None)  # has tests of its own
    assert start.main(["check", "--hub"]) == 0
    assert asked == []  # profile tiny has no model of the hub
    capsys.readouterr()
    shutil.copy("profiles/paper.yaml", "params.yaml")
    assert start.main(["check", "--hub"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "polya: params.yaml: no\n"
    assert captured.out.splitlines()[-1].endswith(": the hub has it, and it can be read")
    assert [(name, chat) for name, _, chat in asked] == [
        ("meta-llama/Llama-3.2-3B-Instruct", True),
        ("Qwen/QwQ-32B", True),
        ("Skywork/Skywork-Reward-V2-Llama-3.1-8B", True),
    ]
    monkeypatch.setattr(hub, "describe", lambda name, revision, folder, chat: asked.append((name, revision, chat)))
    monkeypatch.setattr(check, "lengths", lambda params, root: None)  # has a test of its own
    assert start.main(["check", "--hub"]) == 0
    assert asked[-1][::2] == ("sentence-transformers/all-MiniLM-L6-v2", False)


def test_check_measures_the_prompts_with_the_hub_s_tokenizers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def describe(name: str, revision: str, folder: Path, *, chat: bool) -> None:
        tokenizer.build().save_pretrained(folder)
        limit = {"meta-llama/Llama-3.2-3B-Instruct": 160, "Qwen/QwQ-32B": 90}[name]
        (folder / "config.json").write_text(json.dumps({"model_type": "llama", "max_position_embeddings": limit}))

    content = yaml.safe_load(Path("params.yaml").read_text())
    paper = yaml.safe_load(Path("profiles/paper.yaml").read_text())
    content |= {"base": paper["base"], "teacher": paper["teacher"]}
    monkeypatch.setattr(hub, "describe", describe)
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert start.main(["check", "--hub"]) == 2  # of the teacher's context
    captured = capsys.readouterr()
    fits = captured.out.splitlines()[-1]
    assert fits.startswith("12 question sets: all prompts fit with their answers; question ")
    assert fits.endswith(" prompt tokens, the most of all")
    assert captured.err.startswith("polya: params.yaml: questions.mid: question mid/")
    assert "the context of the teacher (max_position_embeddings) is 90" in captured.err
    Path("params.yaml").write_text(yaml.safe_dump(content | {"evaluate": content["evaluate"] | {"max_tokens": 150}}))
    assert start.main(["check", "--hub"]) == 2
    assert "with evaluate.max_tokens 150 1" in capsys.readouterr().err


def test_sync_says_what_it_posted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert start.main(["sync"]) == 0
    assert capsys.readouterr().out == "0 runs posted\n"
    monkeypatch.setattr(mlflow_store, "_warned", False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nothing listens on the discard port
    mlflow_store.keep(mlflow_store.Record("generate", {}, {}, 1, status="FINISHED"))
    assert start.main(["sync"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "0 runs posted, 1 still wait\n"
    assert "the study goes on" in captured.err


WRITES = {
    "a full disk": "pathlib.Path('/dev/full').write_text('x')",
    "a folder that takes nothing": "from polya_midtrain.runtime import scratch; "
    "scratch.publish(pathlib.Path('ran'), pathlib.Path('reports/main.csv'))",
}


@pytest.mark.parametrize("fault", WRITES)
def test_a_disk_that_takes_nothing_is_one_line(
    fault: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "reports").symlink_to("/sys/kernel")  # where not even root may make a file
    name = f"fill{list(WRITES).index(fault)}"
    add_stage(monkeypatch, project / "more", name, WRITES[fault])
    said = refused(capsys, "stage", name)
    expected = {
        "a full disk": "the disk: No space left on device; make room",
        "a folder that takes nothing": r"reports/\S*: [A-Z][a-z -]+; (make it writable|let this user .*)",
    }
    assert re.fullmatch(f"{expected[fault]}, then run the same command again", said), said


def test_nothing_that_an_error_quotes_reaches_the_terminal_as_more_than_text(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_planted")
    text = "\\x1b[2Jgone\\nhf_planted \\u202e http://me:pass-word@host/a?sig_token=planted"
    add_stage(
        monkeypatch, project / "more", "quote", f"from polya_midtrain import errors; raise errors.UserError('{text}')"
    )
    said = refused(capsys, "stage", "quote")
    assert said.isprintable()
    assert said.split() == ["[2Jgone", "[HF_TOKEN]", "http://host/a?sig_token=..."]


def test_a_fault_of_a_profile_is_said_of_its_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = project / "profiles/study.yaml"
    usual = study.read_text()
    study.write_text(usual.replace("  heuristics: 16", "  heuristics: 99"))
    assert start.main(["check"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("polya: profiles/study.yaml: 99 heuristics are asked for, but the catalogue has 16; lower")
    content = yaml.safe_load(usual)
    folder = {"kind": "folder", "path": "models/mine", "sha256": "0" * 64}
    study.write_text(yaml.safe_dump(content | {"teacher": folder}))
    assert start.main(["check"]) == 2
    assert capsys.readouterr().err.startswith("polya: profiles/study.yaml: teacher.path: models/mine")
    endpoint = {"url": "http://127.0.0.1:9/v1", "model": "m", "max_tokens": 256, "tries": 1}
    endpoint |= {"temperature": 0.0, "timeout": 60.0, "parallel": 8}
    judged = content["compose"] | {"judge": "endpoint", "endpoint": endpoint}
    study.write_text(
        yaml.safe_dump(
            content | {"compose": judged, "prompts": content["prompts"] | {"catalogue": "data/heuristics/polya.yaml"}}
        )
    )
    assert start.main(["judge", "--profile", "study", "--labelled", str(ROOT / "data/judges/labelled.yaml")]) == 2
    assert capsys.readouterr().err.startswith(
        "polya: profiles/study.yaml: compose.endpoint: http://127.0.0.1:9/v1: no reply"
    )


def test_only_the_settings_file_itself_is_renamed_in_an_error() -> None:
    said = "params.yaml: x; set y in params.yaml. a/params.yaml, my-params.yaml: no"
    with pytest.raises(UserError) as caught, settings.named(Path("profiles/p.yaml")):
        raise UserError(said)
    assert str(caught.value) == "profiles/p.yaml: x; set y in profiles/p.yaml. a/params.yaml, my-params.yaml: no"
