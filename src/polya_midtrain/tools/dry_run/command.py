"""What `polya dry-run` does: a small copy of the project below `.scratch`, in which every stage is run.

Nothing of the project itself is changed: not params.yaml, dvc.lock, data, models or results.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from polya_midtrain import params as settings
from polya_midtrain import paths
from polya_midtrain.errors import UserError
from polya_midtrain.params import OwnFile, Params, yamlfile
from polya_midtrain.runtime import scratch
from polya_midtrain.runtime.progress import duration
from polya_midtrain.runtime.stage import by_stage, read_seconds
from polya_midtrain.stages import questions
from polya_midtrain.tools.dry_run import small, standins

ROOT = scratch.ROOT / "dry-run"
# What the pipeline reads and no stage makes.
FILES = ("claims.yaml", "docs/preregistration.md", "dvc.yaml", ".dvcignore")
CODE = Path("src/polya_midtrain")
# Outside of git, and with no cache outside of the folder.
DVC = "[core]\n    no_scm = true\n    analytics = false\n    autostage = false\n    check_update = false\n"
DROPPED = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY")  # keys of real services
STEPS = (["polya", "check"], ["dvc", "repro"])  # that the copy has to pass


def dry_run(path: Path) -> None:
    """Walk all stages of the profile in ``path`` on stand-ins; print what passed.

    Raises `UserError` where it cannot begin, or where a stage fails.
    """
    begun = time.monotonic()
    params, named = settings.load(path), os.environ.get("POLYA_DATA")
    if not named or not Path(named).is_dir():
        raise UserError(
            f"{path}: a dry run reads its questions from a folder, not from the hub; set POLYA_DATA to one with the "
            "public sets (docs/data.md lists its files)"
        )
    less, absent = small.shrink(params, path, Path(named))  # what is refused is refused before anything is written
    folder = _copy(path.stem, less)
    less = standins.make(less, folder)
    text = yamlfile.dump(less.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)
    (folder / settings.PARAMS_FILE).write_text(text, encoding="utf-8")
    for command in STEPS:
        run(command, folder, _environment(folder, Path(named)))
    print(report(folder, params, absent, time.monotonic() - begun))


def _copy(name: str, params: Params) -> Path:
    """An empty copy for profile ``name``; what an earlier dry run left is removed: each begins from nothing."""
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    own = [spec.path for spec in questions.sets_of(params.questions).values() if isinstance(spec, OwnFile)]
    for path in (*map(Path, FILES), params.prompts.catalogue, *own):
        if not path.is_absolute():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / path)
    shutil.copytree(CODE, folder / CODE, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    (folder / ".dvc").mkdir(exist_ok=True)
    (folder / ".dvc/config").write_text(DVC, encoding="utf-8")
    return folder


def _environment(folder: Path, data: Path) -> dict[str, str]:
    """The environment of the copy's stages: no hub, no key, no tracking elsewhere."""
    kept = {name: value for name, value in os.environ.items() if name not in DROPPED and not name.startswith("MLFLOW_")}
    here = {"POLYA_DATA": str(data.resolve()), "DVC_SITE_CACHE_DIR": str((folder / ".dvc/site").resolve())}
    return kept | here | {"HF_HUB_OFFLINE": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


def run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """A command in the copy, its output on this console; `UserError` where it fails or is interrupted."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command] if command[0] == "dvc" else command, cwd=folder, env=environment
    )
    try:
        code = process.wait()
    except KeyboardInterrupt:
        code = process.wait() or 1  # it was interrupted as well, and ends its stage
    if code:
        raise UserError(f"dry run: `{' '.join(command)}` ended with code {code}, for the reason above; see {folder}")


def report(folder: Path, params: Params, absent: list[str], seconds: float) -> str:
    """What was walked, a line a stage with its runs and seconds, and what was not."""
    done = Counter(name.partition("@")[0] for name in yamlfile.content(folder / "dvc.lock")["stages"])
    spent = by_stage(read_seconds(folder / paths.METRICS))
    lines = [f"Dry run of profile {params.profile}: {done.total()} stages passed in {duration(seconds)}"]
    lines += [f"  {stage:<10} x {count:<3} {duration(spent.get(stage, 0.0))}" for stage, count in done.items()]
    lines.append("Not walked: the hub, its models and tokenizers, a GPU, vLLM, several processes, an endpoint's judge.")
    if absent:
        lines.append(f"Left out, because POLYA_DATA lacks their files: {', '.join(absent)}.")
    return "\n".join([*lines, f"Its numbers mean nothing. Tables and page: {folder / paths.PAGE}"])
