"""Where a dry run happens: a small copy of the project below `.scratch`, with settings, cache and tracking of its own.

Nothing of the project itself is read back from there or changed: not params.yaml, dvc.lock, data, models or results.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from polya_midtrain.errors import UserError
from polya_midtrain.params import PARAMS_FILE, Params
from polya_midtrain.runtime import scratch, yamlfile

ROOT = scratch.ROOT / "dry-run"
FILES = ("claims.yaml", "dvc.yaml", ".dvcignore")  # what the pipeline reads and no stage makes
CODE = Path("src/polya_midtrain")
# Outside of git, and with no cache outside of the folder.
DVC = "[core]\n    no_scm = true\n    analytics = false\n    autostage = false\n    check_update = false\n"
# Keys belong to the real services, and the rest would send this run somewhere else.
DROPPED = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "OPENAI_API_KEY",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
)


def make(name: str, catalogue: Path) -> Path:
    """An empty copy for profile ``name``: the pipeline, its code and the ``catalogue``, at the places that they have.

    What an earlier dry run left is removed: each begins from nothing. Raises `UserError` where that cannot be done.
    """
    folder = ROOT / name / "project"
    if folder.parent.exists():
        try:
            shutil.rmtree(folder.parent)
        except OSError as error:  # a stage of an interrupted run may still write there
            raise UserError(
                f"{folder.parent}: cannot be emptied ({error.strerror}); wait for the dry run that still works there, "
                "or remove it"
            ) from error
    files = [Path(file) for file in FILES]
    for path in files if catalogue.is_absolute() else [*files, catalogue]:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.copytree(CODE, folder / CODE, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text(DVC, encoding="utf-8")
    return folder


def write_settings(folder: Path, params: Params) -> None:
    """The copy's params.yaml."""
    text = yamlfile.dump(params.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)
    (folder / PARAMS_FILE).write_text(text, encoding="utf-8")


def environment(folder: Path, url: str, data: Path) -> dict[str, str]:
    """The environment of the copy's stages: the hub is at ``url``, and caches are beside the copy."""
    kept = {name: value for name, value in os.environ.items() if name not in DROPPED}
    home = folder.parent.resolve() / "cache"
    hosts = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "127.0.0.1"]))
    return kept | {
        "POLYA_DATA": str(data.resolve()),
        "HF_ENDPOINT": url,
        "HF_HOME": str(home / "huggingface"),
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "DVC_SITE_CACHE_DIR": str(home / "dvc"),
        "NO_PROXY": hosts,
        "no_proxy": hosts,
    }
